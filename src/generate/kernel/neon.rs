//! 128-bit registers of ARM, with `sdot`.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::arch::aarch64::{
    float32x4_t, int8x8_t, int8x16_t, int32x4_t, vaddq_s32, vandq_u8, vcreate_s8, vcvt_f32_f16, vcvtq_f32_s32,
    vdupq_n_f32, vdupq_n_s32, vdupq_n_u8, veorq_u8, vfmaq_f32, vget_low_s16, vld1_u8, vld1q_f32, vld1q_u8, vmlaq_s32,
    vmovl_s8, vmovl_s16, vmull_high_s16, vmull_s16, vorrq_u8, vpaddq_s32, vreinterpret_f16_u8, vreinterpretq_s8_s32,
    vreinterpretq_s8_u8, vreinterpretq_s16_s32, vreinterpretq_s32_s16, vreinterpretq_s32_u8, vreinterpretq_u8_s32,
    vshlq_n_s32, vshlq_n_u8, vshrq_n_u8, vst1q_f32, vst1q_u8, vsubq_s32, vzip1_s8,
};
use std::arch::{asm, is_aarch64_feature_detected};
use std::ops::Range;

use super::super::packed::{TILE, Tile};
use super::Activations;
use super::lanes::{self, Lanes};
use super::panel::{self, PanelProduct};

pub(super) fn is_available() -> bool {
    is_aarch64_feature_detected!("dotprod") && is_aarch64_feature_detected!("fp16")
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn multiply(tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Neon>(tile, activations, rows, out) }
}

/// # Safety
/// As [`panel::multiply`].
#[target_feature(enable = "neon,dotprod,fp16")]
pub(super) unsafe fn multiply_panel(product: &mut PanelProduct<'_>) {
    // SAFETY: this function's contract is the same.
    unsafe { panel::multiply::<Neon>(product) }
}

struct Neon;

// SAFETY of every block below: the caller of a function of `Lanes` has made sure of the instructions and of the bytes
// behind a pointer.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl Lanes for Neon {
    const COUNT: usize = 4;
    const MOST_ROWS: usize = 6;
    const MOST_REAL_ROWS: usize = 8;
    type Whole = int32x4_t;
    type Real = float32x4_t;

    #[inline(always)]
    unsafe fn splat(value: i32) -> int32x4_t {
        unsafe { vdupq_n_s32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> int32x4_t {
        unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(into: *mut u8, value: int32x4_t) {
        unsafe { vst1q_u8(into, vreinterpretq_u8_s32(value)) }
    }

    #[inline(always)]
    unsafe fn low(bytes: int32x4_t) -> int32x4_t {
        unsafe { vreinterpretq_s32_u8(vandq_u8(vreinterpretq_u8_s32(bytes), vdupq_n_u8(15))) }
    }

    #[inline(always)]
    unsafe fn high(bytes: int32x4_t) -> int32x4_t {
        unsafe { vreinterpretq_s32_u8(vshrq_n_u8::<4>(vreinterpretq_u8_s32(bytes))) }
    }

    #[inline(always)]
    unsafe fn with_pair<const AT: usize>(low: int32x4_t, bytes: int32x4_t) -> int32x4_t {
        unsafe {
            let bytes = vreinterpretq_u8_s32(bytes);
            let placed = match AT {
                0 => vshlq_n_u8::<4>(bytes),
                1 => vshlq_n_u8::<2>(bytes),
                2 => bytes,
                _ => vshrq_n_u8::<2>(bytes),
            };
            vreinterpretq_s32_u8(vorrq_u8(vandq_u8(placed, vdupq_n_u8(0x30)), vreinterpretq_u8_s32(low)))
        }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: int32x4_t, levels: int32x4_t, values: int32x4_t) -> int32x4_t {
        unsafe {
            let values = vreinterpretq_s8_s32(values);
            let levels = vreinterpretq_u8_s32(levels);
            if BITS < 8 {
                return dot_bytes(sum, vreinterpretq_s8_u8(levels), values);
            }
            // `sdot` takes signed bytes: each level less 128, and 128 times the values' own sum.
            let less = vreinterpretq_s8_u8(veorq_u8(levels, vdupq_n_u8(0x80)));
            let own = dot_bytes(vdupq_n_s32(0), vreinterpretq_s8_u8(vdupq_n_u8(1)), values);
            dot_bytes(vaddq_s32(sum, vshlq_n_s32::<7>(own)), less, values)
        }
    }

    #[inline(always)]
    unsafe fn widen<const BITS: usize>(total: int32x4_t, sum: int32x4_t) -> int32x4_t {
        unsafe { vaddq_s32(total, sum) }
    }

    #[inline(always)]
    unsafe fn load_scales(from: *const u8) -> int32x4_t {
        unsafe { vmovl_s16(vget_low_s16(vmovl_s8(four_bytes(from)))) }
    }

    #[inline(always)]
    unsafe fn add_scaled(total: int32x4_t, sum: int32x4_t, scale: int32x4_t) -> int32x4_t {
        unsafe { vmlaq_s32(total, sum, scale) }
    }

    #[inline(always)]
    unsafe fn load_pairs(first: *const u8, second: *const u8) -> int32x4_t {
        unsafe { vreinterpretq_s32_s16(vmovl_s8(vzip1_s8(four_bytes(first), four_bytes(second)))) }
    }

    #[inline(always)]
    unsafe fn dot_pairs(sum: int32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        unsafe {
            let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
            let lower = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vaddq_s32(sum, vpaddq_s32(lower, vmull_high_s16(a, b)))
        }
    }

    #[inline(always)]
    unsafe fn less_zeros(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        unsafe { vsubq_s32(a, vshlq_n_s32::<5>(b)) }
    }

    #[inline(always)]
    unsafe fn real(whole: int32x4_t) -> float32x4_t {
        unsafe { vcvtq_f32_s32(whole) }
    }

    #[inline(always)]
    unsafe fn splat_real(value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u8) -> float32x4_t {
        unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from))) }
    }

    #[inline(always)]
    unsafe fn load_reals(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(sum, a, b) }
    }

    #[inline(always)]
    unsafe fn store(into: *mut f32, value: float32x4_t) {
        unsafe { vst1q_f32(into, value) }
    }
}

/// Adds to each sum the products of four signed bytes; the compiler has no stable function for it yet.
#[inline(always)]
unsafe fn dot_bytes(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but these registers.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Four bytes in the lower half of a register.
#[inline(always)]
unsafe fn four_bytes(from: *const u8) -> int8x8_t {
    // SAFETY: the caller vouches for four bytes.
    unsafe { vcreate_s8(u64::from(from.cast::<u32>().read_unaligned())) }
}
