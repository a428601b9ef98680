//! Registers as arrays of plain Rust, for CPUs without any of the instruction sets.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::array;

use half::f16;

use super::lanes::Lanes;

pub(super) struct Portable;

// SAFETY of every block below: the caller of a function of `Lanes` has made sure of the bytes behind a pointer.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl Lanes for Portable {
    const COUNT: usize = 8;
    const MOST_ROWS: usize = 1;
    type Whole = [[u8; 4]; 8];
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
