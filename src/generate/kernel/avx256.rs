//! 256-bit registers: with `vpdpbusd` (AVX-VNNI), or with the three instructions of AVX2 that do the same.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch, _mm_unpacklo_epi8, _mm256_abs_epi8,
    _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi8_epi16, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mullo_epi32, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16,
    _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_xor_si256,
};
use std::ops::Range;

use super::super::packed::{TILE, Tile};
use super::Activations;
use super::lanes::{self, Lanes};
use super::panel::{self, PanelProduct};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

pub(super) fn has_vnni() -> bool {
    is_available() && is_x86_feature_detected!("avxvnni")
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn multiply(tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Avx256<false>>(tile, activations, rows, out) }
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) unsafe fn multiply_vnni(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Avx256<true>>(tile, activations, rows, out) }
}

/// # Safety
/// As [`panel::multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn multiply_panel(product: &mut PanelProduct<'_>) {
    // SAFETY: this function's contract is the same.
    unsafe { panel::multiply::<Avx256<false>>(product) }
}

struct Avx256<const VNNI: bool>;

// SAFETY of every block below: the caller of a function of `Lanes` has made sure of the instructions and of the bytes
// behind a pointer.
#[expect(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl<const VNNI: bool> Lanes for Avx256<VNNI> {
    const COUNT: usize = 8;
    const MOST_ROWS: usize = if VNNI { 2 } else { 4 };
    const MOST_REAL_ROWS: usize = 6;
    // 16 bits hold the sum of sixteen products of at most 15 * 127, of eight of at most 31 * 127, or of four of at most
    // 63 * 127.
    const MOST_QUADS_4: usize = 8;
    const MOST_QUADS_5: usize = if VNNI { 8 } else { 4 };
    const MOST_QUADS_6: usize = if VNNI { 8 } else { 2 };
    const ROLLED: bool = VNNI;
    const ZERO_8: u8 = if VNNI { 0 } else { 128 };
    type Whole = __m256i;
    type Real = __m256;

    #[inline(always)]
    unsafe fn splat(value: i32) -> __m256i {
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(into: *mut u8, value: __m256i) {
        unsafe { _mm256_storeu_si256(into.cast(), value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn with_pair<const AT: usize>(low: __m256i, bytes: __m256i) -> __m256i {
        unsafe {
            let placed = match AT {
                0 => _mm256_slli_epi16::<4>(bytes),
                1 => _mm256_slli_epi16::<2>(bytes),
                2 => bytes,
                _ => _mm256_srli_epi16::<2>(bytes),
            };
            _mm256_or_si256(_mm256_and_si256(placed, _mm256_set1_epi8(0x30)), low)
        }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: __m256i, levels: __m256i, values: __m256i) -> __m256i {
        unsafe {
            if VNNI {
                return _mm256_dpbusd_avx_epi32(sum, levels, values);
            }
            if BITS < 8 {
                return _mm256_add_epi16(sum, _mm256_maddubs_epi16(levels, values));
            }
            // Two products of at most 255 * 127 do not fit 16 bits, two of at most 128 * 127 do: the sign of each level
            // less 128 goes over to the value.
            let levels = _mm256_xor_si256(levels, _mm256_set1_epi8(-128));
            let products = _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(values, levels));
            _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn widen<const BITS: usize>(total: __m256i, sum: __m256i) -> __m256i {
        unsafe {
            let sum = if VNNI || BITS == 8 { sum } else { _mm256_madd_epi16(sum, _mm256_set1_epi16(1)) };
            _mm256_add_epi32(total, sum)
        }
    }

    #[inline(always)]
    unsafe fn load_scales(from: *const u8) -> __m256i {
        unsafe {
            let scales = _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()));
            if VNNI {
                return scales;
            }
            // In both halves, for the two 16-bit sums.
            let upper = _mm256_slli_epi32::<16>(scales);
            _mm256_or_si256(upper, _mm256_srli_epi32::<16>(upper))
        }
    }

    #[inline(always)]
    unsafe fn add_scaled(total: __m256i, sum: __m256i, scale: __m256i) -> __m256i {
        unsafe {
            let scaled = if VNNI { _mm256_mullo_epi32(sum, scale) } else { _mm256_madd_epi16(sum, scale) };
            _mm256_add_epi32(total, scaled)
        }
    }

    #[inline(always)]
    unsafe fn load_pairs(first: *const u8, second: *const u8) -> __m256i {
        unsafe {
            let pairs = _mm_unpacklo_epi8(_mm_loadl_epi64(first.cast()), _mm_loadl_epi64(second.cast()));
            _mm256_cvtepi8_epi16(pairs)
        }
    }

    #[inline(always)]
    unsafe fn dot_pairs(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn less_zeros(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_sub_epi32(a, _mm256_slli_epi32::<5>(b)) }
    }

    #[inline(always)]
    unsafe fn real(whole: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(whole) }
    }

    #[inline(always)]
    unsafe fn splat_real(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u8) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_reals(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    unsafe fn store(into: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(into, value) }
    }

    #[inline(always)]
    fn fetch(line: *const u8) {
        // SAFETY: fetching ahead reads nothing that a program could notice, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}
