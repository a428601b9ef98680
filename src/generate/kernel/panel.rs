//! Products with panels of half floats, 32 columns wide: what attention is made of. Keys lie in panels of 32 tokens,
//! values in panels of 32 dimensions, so that both products are this one.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use std::ops::Range;

use half::f16;

use super::lanes::{AHEAD, Lanes};
use super::portable::Portable;
use super::{Kernel, TILE};
#[cfg(target_arch = "x86_64")]
use super::{avx256, avx512};

/// Columns of a panel.
pub(crate) const PANEL: usize = TILE;

/// `out = a * panel`: row `r` of `a` begins at `r * a_stride` and has as many numbers as the panel
/// has rows of 32; row `r` of `out` begins at `r * out_stride` and has 32.
pub(crate) struct PanelProduct<'a> {
    pub(crate) rows: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) panel: &'a [f16],
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl PanelProduct<'_> {
    /// Computes it with the best instructions of this CPU.
    pub(crate) fn compute(&mut self) {
        let inner = self.panel.len() / PANEL;
        assert!(self.rows > 0 && self.a.len() >= (self.rows - 1) * self.a_stride + inner);
        assert!(self.out.len() >= (self.rows - 1) * self.out_stride + PANEL);
        match Kernel::best_or_portable() {
            // SAFETY: `best_or_portable` names what the CPU has; the sizes are asserted above.
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx | Kernel::Avx512Vnni => unsafe { avx512::multiply_panel(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::AvxVnni | Kernel::Avx2 => unsafe { avx256::multiply_panel(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonDot => unsafe { super::neon::multiply_panel(self) },
            // SAFETY: plain Rust runs anywhere; the sizes are asserted above.
            Kernel::Portable => unsafe { multiply::<Portable>(self) },
            _ => unreachable!("`available` names only kernels of this CPU's family"),
        }
    }
}

/// Numbers of a column that are turned into floats at once: with 32 columns 16 KB, half of the first-level cache.
const RUN: usize = 128;

/// A run of a panel, in whole cache lines.
#[repr(align(64))]
struct Floats([f32; RUN * PANEL]);

/// # Safety
/// The CPU has the instructions of `L`, and the slices are as long as [`PanelProduct`] says.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(product: &mut PanelProduct<'_>) {
    let inner = product.panel.len() / PANEL;
    if product.rows <= L::MOST_REAL_ROWS {
        // SAFETY: passed on from this function's contract.
        return unsafe { all_rows::<L, f16>(product, product.panel.as_ptr(), 0..inner) };
    }
    let mut floats = Floats([0.0; RUN * PANEL]);
    for start in (0..inner).step_by(RUN) {
        let run = start..inner.min(start + RUN);
        // SAFETY: `floats` has room for a run; the rest is passed on.
        unsafe {
            for at in (0..run.len() * PANEL).step_by(L::COUNT) {
                let halves = product.panel.as_ptr().add(start * PANEL + at);
                L::store(floats.0.as_mut_ptr().add(at), L::load_halves(halves.cast()));
            }
            all_rows::<L, f32>(product, floats.0.as_ptr(), run);
        }
    }
}

/// A number of a panel.
trait Number {
    /// Whether they come from memory and are read once, so that those ahead are fetched.
    const STREAMS: bool;

    /// A register of them as floats.
    ///
    /// # Safety
    /// The CPU has the instructions of `L`, and there are as many numbers.
    unsafe fn load<L: Lanes>(from: *const Self) -> L::Real;
}

impl Number for f16 {
    const STREAMS: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::Real {
        // SAFETY: this function's contract is the same.
        unsafe { L::load_halves(from.cast()) }
    }
}

impl Number for f32 {
    const STREAMS: bool = false;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::Real {
        // SAFETY: this function's contract is the same.
        unsafe { L::load_reals(from) }
    }
}

/// Adds the products with a run of the panel, whose numbers are at `panel`.
///
/// # Safety
/// As [`multiply`]; `panel` has the numbers of `run`.
#[inline(always)]
unsafe fn all_rows<L: Lanes, N: Number>(product: &mut PanelProduct<'_>, panel: *const N, run: Range<usize>) {
    let mut row = 0;
    while row < product.rows {
        // SAFETY: passed on from this function's contract.
        unsafe {
            row += match (product.rows - row).min(L::MOST_REAL_ROWS) {
                8.. => rows::<L, N, 8>(product, row, panel, run.clone()),
                7 => rows::<L, N, 7>(product, row, panel, run.clone()),
                6 => rows::<L, N, 6>(product, row, panel, run.clone()),
                5 => rows::<L, N, 5>(product, row, panel, run.clone()),
                4 => rows::<L, N, 4>(product, row, panel, run.clone()),
                3 => rows::<L, N, 3>(product, row, panel, run.clone()),
                2 => rows::<L, N, 2>(product, row, panel, run.clone()),
                _ => rows::<L, N, 1>(product, row, panel, run.clone()),
            };
        }
    }
}

#[inline(always)]
unsafe fn rows<L: Lanes, N: Number, const ROWS: usize>(
    product: &mut PanelProduct<'_>,
    first: usize,
    panel: *const N,
    run: Range<usize>,
) -> usize {
    for column in (0..PANEL).step_by(2 * L::COUNT) {
        // SAFETY: by the caller's contract every place is inside its slice.
        unsafe {
            let a = product.a.as_ptr().add(first * product.a_stride + run.start);
            let panel = panel.add(column);
            let out = product.out.as_mut_ptr().add(first * product.out_stride + column);
            let mut sums = [[L::splat_real(0.0); 2]; ROWS];
            if run.start > 0 {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let out = out.add(row * product.out_stride);
                    *sums = [L::load_reals(out), L::load_reals(out.add(L::COUNT))];
                }
            }
            for at in 0..run.len() {
                let columns = panel.add(at * PANEL);
                if N::STREAMS && column == 0 {
                    L::fetch(columns.cast::<u8>().wrapping_add(AHEAD));
                }
                let columns = [N::load::<L>(columns), N::load::<L>(columns.add(L::COUNT))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat_real(*a.add(row * product.a_stride + at));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = L::add_product(*sum, value, column);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (half, sum) in sums.into_iter().enumerate() {
                    L::store(out.add(row * product.out_stride + half * L::COUNT), sum);
                }
            }
        }
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_product_is_the_product_by_definition() {
        for (rows, inner) in [(1, 7), (2, 8), (4, 5), (5, 33), (7, 40), (13, 64), (8, 300), (19, 20)] {
            let a: Vec<f32> = (0..rows * (inner + 3)).map(|at| (at * 37 % 23) as f32 / 8.0 - 1.0).collect();
            let panel: Vec<f16> =
                (0..inner * PANEL).map(|at| f16::from_f32((at * 53 % 29) as f32 / 16.0 - 1.0)).collect();
            let mut out = vec![0.5; rows * 40];
            let mut portable = out.clone();
            let product = |out| PanelProduct { rows, a: &a, a_stride: inner + 3, panel: &panel, out, out_stride: 40 };
            product(&mut out).compute();
            // SAFETY: plain Rust, and the slices are as long as `compute` has just asserted.
            unsafe { multiply::<Portable>(&mut product(&mut portable)) };
            for row in 0..rows {
                for column in 0..PANEL {
                    let pairs = (0..inner).map(|at| a[row * (inner + 3) + at] * panel[at * PANEL + column].to_f32());
                    let wanted = pairs.sum::<f32>();
                    assert!((out[row * 40 + column] - wanted).abs() < 1e-3);
                    assert!((portable[row * 40 + column] - wanted).abs() < 1e-3);
                }
            }
        }
    }
}
