//! 256-bit registers: with `vpdpbusd` (AVX-VNNI), or with the three instructions of AVX2 that do the same.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
    _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_ps,
};

use super::lanes::{self, Lanes};
use super::panel::{self, PanelProduct};
use super::{Activations, TILE, Tile};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

pub(super) fn has_vnni() -> bool {
    is_available() && is_x86_feature_detected!("avxvnni")
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn multiply(tile: Tile<'_>, activations: &Activations, first: usize, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Avx256<false>>(tile, activations, first, out) }
}

/// # Safety
/// As [`lanes::multiply`].
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) unsafe fn multiply_vnni(tile: Tile<'_>, activations: &Activations, first: usize, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same.
    unsafe { lanes::multiply::<Avx256<true>>(tile, activations, first, out) }
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
    const MOST_ROWS: usize = 2;
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
            let ones = _mm256_set1_epi16(1);
            let products = |levels| _mm256_madd_epi16(_mm256_maddubs_epi16(levels, values), ones);
            if BITS < 8 {
                // Two products of at most 63 * 127 fit 16 bits.
                return _mm256_add_epi32(sum, products(levels));
            }
            // Of 255 * 127 they would not: the halves of each level apart.
            let (low, high) = (products(Self::low(levels)), products(Self::high(levels)));
            _mm256_add_epi32(sum, _mm256_add_epi32(low, _mm256_slli_epi32::<4>(high)))
        }
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
}
