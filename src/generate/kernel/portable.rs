//! Registers as arrays of plain Rust, for CPUs without any of the instruction sets.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::array;

use half::f16;

use super::lanes::Lanes;

pub(super) struct Portable;

type Numbers = [[u8; 4]; 8];

#[inline(always)]
fn each(a: Numbers, b: Numbers, combine: impl Fn(i32, i32) -> i32) -> Numbers {
    array::from_fn(|n| combine(i32::from_ne_bytes(a[n]), i32::from_ne_bytes(b[n])).to_ne_bytes())
}

// SAFETY of every block below: the caller of a function of `Lanes` has made sure of the bytes behind a pointer.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl Lanes for Portable {
    const COUNT: usize = 8;
    const MOST_ROWS: usize = 1;
    const MOST_REAL_ROWS: usize = 6;
    type Whole = Numbers;
    type Real = [f32; 8];

    #[inline(always)]
    unsafe fn splat(value: i32) -> Self::Whole {
        [value.to_ne_bytes(); 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::Whole {
        unsafe { from.cast::<Self::Whole>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_bytes(into: *mut u8, value: Self::Whole) {
        unsafe { into.cast::<Self::Whole>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: Self::Whole) -> Self::Whole {
        bytes.map(|quad| quad.map(|byte| byte & 15))
    }

    #[inline(always)]
    unsafe fn high(bytes: Self::Whole) -> Self::Whole {
        bytes.map(|quad| quad.map(|byte| byte >> 4))
    }

    #[inline(always)]
    unsafe fn with_pair<const AT: usize>(low: Self::Whole, bytes: Self::Whole) -> Self::Whole {
        array::from_fn(|n| array::from_fn(|at| low[n][at] | (bytes[n][at] >> (2 * AT) & 3) << 4))
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: Self::Whole, levels: Self::Whole, values: Self::Whole) -> Self::Whole {
        array::from_fn(|n| {
            let pairs = levels[n].iter().zip(values[n]);
            let product: i32 = pairs.map(|(level, value)| i32::from(*level) * i32::from(value.cast_signed())).sum();
            (i32::from_ne_bytes(sum[n]) + product).to_ne_bytes()
        })
    }

    #[inline(always)]
    unsafe fn widen<const BITS: usize>(total: Self::Whole, sum: Self::Whole) -> Self::Whole {
        each(total, sum, |total, sum| total + sum)
    }

    #[inline(always)]
    unsafe fn load_scales(from: *const u8) -> Self::Whole {
        unsafe { from.cast::<[i8; 8]>().read_unaligned() }.map(|scale| i32::from(scale).to_ne_bytes())
    }

    #[inline(always)]
    unsafe fn add_scaled(total: Self::Whole, sum: Self::Whole, scale: Self::Whole) -> Self::Whole {
        each(total, each(sum, scale, |sum, scale| sum * scale), |total, scaled| total + scaled)
    }

    #[inline(always)]
    unsafe fn load_pairs(first: *const u8, second: *const u8) -> Self::Whole {
        let (first, second) = unsafe { (Self::load_scales(first), Self::load_scales(second)) };
        each(first, second, |first, second| first & 0xFFFF | second << 16)
    }

    #[inline(always)]
    unsafe fn dot_pairs(sum: Self::Whole, a: Self::Whole, b: Self::Whole) -> Self::Whole {
        let product = |a: i32, b: i32| i32::from(a as i16) * i32::from(b as i16) + (a >> 16) * (b >> 16);
        each(sum, each(a, b, product), |sum, product| sum + product)
    }

    #[inline(always)]
    unsafe fn less_zeros(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        each(a, b, |a, b| a - 32 * b)
    }

    #[inline(always)]
    unsafe fn real(whole: Self::Whole) -> [f32; 8] {
        whole.map(|bytes| i32::from_ne_bytes(bytes) as f32)
    }

    #[inline(always)]
    unsafe fn splat_real(value: f32) -> [f32; 8] {
        [value; 8]
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u8) -> [f32; 8] {
        unsafe { from.cast::<[u16; 8]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    unsafe fn load_reals(from: *const f32) -> [f32; 8] {
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn add_product(sum: [f32; 8], a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        array::from_fn(|n| a[n].mul_add(b[n], sum[n]))
    }

    #[inline(always)]
    unsafe fn store(into: *mut f32, value: [f32; 8]) {
        unsafe { into.cast::<[f32; 8]>().write_unaligned(value) }
    }
}
