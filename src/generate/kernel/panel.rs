//! Products with panels of half floats, 32 columns wide: what attention is made of. Keys lie in panels of 32 tokens,
//! values in panels of 32 dimensions, so that both products are this one.
#![expect(clippy::inline_always, reason = "see `lanes`")]

use half::f16;

use super::lanes::Lanes;
use super::portable::Portable;
use super::{Kernel, TILE};
#[cfg(target_arch = "x86_64")]
use super::{avx256, avx512};

/// Columns of a panel.
pub(crate) const PANEL: usize = TILE;

/// `out += a * panel`: row `r` of `a` begins at `r * a_stride` and has as many numbers as the panel has rows of 32;
/// row `r` of `out` begins at `r * out_stride` and has 32.
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
            Kernel::Avx512Vnni => unsafe { avx512::multiply_panel(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::AvxVnni | Kernel::Avx2 => unsafe { avx256::multiply_panel(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonDot => unsafe { super::neon::multiply_panel(self) },
            // SAFETY: plain Rust runs anywhere; the sizes are asserted above.
            _ => unsafe { multiply::<Portable>(self) },
        }
    }
}

/// # Safety
/// The CPU has the instructions of `L`, and the slices are as long as [`PanelProduct`] says.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(product: &mut PanelProduct<'_>) {
    let mut row = 0;
    while row < product.rows {
        // SAFETY: passed on from this function's contract.
        unsafe {
            row += match product.rows - row {
                6.. => rows::<L, 6>(product, row),
                3.. => rows::<L, 3>(product, row),
                _ => rows::<L, 1>(product, row),
            };
        }
    }
}

#[inline(always)]
unsafe fn rows<L: Lanes, const ROWS: usize>(product: &mut PanelProduct<'_>, first: usize) -> usize {
    let inner = product.panel.len() / PANEL;
    for column in (0..PANEL).step_by(2 * L::COUNT) {
        // SAFETY: by the caller's contract every place is inside its slice.
        unsafe {
            let a = product.a.as_ptr().add(first * product.a_stride);
            let panel = product.panel.as_ptr().add(column);
            let out = product.out.as_mut_ptr().add(first * product.out_stride + column);
            let mut sums = [[L::splat_real(0.0); 2]; ROWS];
            for (row, sums) in sums.iter_mut().enumerate() {
                let out = out.add(row * product.out_stride);
                *sums = [L::load_reals(out), L::load_reals(out.add(L::COUNT))];
            }
            for at in 0..inner {
                let columns = panel.add(at * PANEL);
                let columns = [L::load_halves(columns.cast()), L::load_halves(columns.add(L::COUNT).cast())];
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
        for (rows, inner) in [(1, 7), (5, 33), (13, 64)] {
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
                    let wanted = 0.5 + pairs.sum::<f32>();
                    assert!((out[row * 40 + column] - wanted).abs() < 1e-3);
                    assert!((portable[row * 40 + column] - wanted).abs() < 1e-3);
                }
            }
        }
    }
}
