//! 512-bit registers with `vpdpbusd`.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::arch::asm;
use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    _mm256_loadu_si256, _mm256_set_m128i, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi8_epi16,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mullo_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi16,
    _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_ternarylogic_epi32,
};
use std::ops::Range;

use super::super::packed::{TILE, Tile};
use super::Activations;
use super::lanes::{self, Lanes};
use super::panel::{self, PanelProduct};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn multiply(tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Avx512>(tile, activations, rows, out) }
}

/// # Safety
/// As [`panel::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn multiply_panel(product: &mut PanelProduct<'_>) {
    // SAFETY: this function's contract is the same.
    unsafe { panel::multiply::<Avx512>(product) }
}

pub(super) struct Avx512;

// SAFETY of every block below: the caller of a function of `Lanes` has made sure of the instructions and of the bytes
// behind a pointer.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl Lanes for Avx512 {
    const COUNT: usize = 16;
    const MOST_ROWS: usize = 6;
    const MOST_REAL_ROWS: usize = 8;
    type Whole = __m512i;
    type Real = __m512;

    #[inline(always)]
    unsafe fn splat(value: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(into: *mut u8, value: __m512i) {
        unsafe { _mm512_storeu_si512(into.cast(), value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn with_pair<const AT: usize>(low: __m512i, bytes: __m512i) -> __m512i {
        unsafe {
            let placed = match AT {
                0 => _mm512_slli_epi16::<4>(bytes),
                1 => _mm512_slli_epi16::<2>(bytes),
                2 => bytes,
                _ => _mm512_srli_epi16::<2>(bytes),
            };
            // (placed & 0x30) | low
            _mm512_ternarylogic_epi32::<0xEA>(placed, _mm512_set1_epi8(0x30), low)
        }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: __m512i, levels: __m512i, values: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, levels, values) }
    }

    #[inline(always)]
    unsafe fn widen<const BITS: usize>(total: __m512i, sum: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(total, sum) }
    }

    #[inline(always)]
    unsafe fn load_scales(from: *const u8) -> __m512i {
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn add_scaled(total: __m512i, sum: __m512i, scale: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(total, _mm512_mullo_epi32(sum, scale)) }
    }

    #[inline(always)]
    unsafe fn load_pairs(first: *const u8, second: *const u8) -> __m512i {
        unsafe {
            let (first, second) = (_mm_loadu_si128(first.cast()), _mm_loadu_si128(second.cast()));
            let pairs = _mm256_set_m128i(_mm_unpackhi_epi8(first, second), _mm_unpacklo_epi8(first, second));
            _mm512_cvtepi8_epi16(pairs)
        }
    }

    #[inline(always)]
    unsafe fn dot_pairs(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        unsafe { add_dot_pairs(sum, a, b) }
    }

    #[inline(always)]
    unsafe fn less_zeros(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_sub_epi32(a, _mm512_slli_epi32::<5>(b)) }
    }

    #[inline(always)]
    unsafe fn real(whole: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(whole) }
    }

    #[inline(always)]
    unsafe fn splat_real(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u8) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_reals(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m512, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    unsafe fn store(into: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(into, value) }
    }

    #[inline(always)]
    fn fetch(line: *const u8) {
        // SAFETY: fetching ahead reads nothing that a program could notice, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

/// The instruction itself: from the function for it the compiler makes two, which take longer where many sums go on at once.
///
/// # Safety
/// The CPU has it.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_dot_pairs(mut sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the caller vouches for the instruction; it touches registers alone.
    unsafe {
        asm!(
            "vpdpwssd {sum}, {a}, {b}",
            sum = inout(zmm_reg) sum,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
