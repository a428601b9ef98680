//! Products of activations rounded to 8 bits with packed weights: whole numbers within a group of inputs, floats across
//! groups. The widest instructions that this CPU has are chosen once, when the program runs; all give the same sums.

#[cfg(target_arch = "x86_64")]
mod avx256;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(super) mod panel;
#[cfg(test)]
mod plain;
mod portable;

use std::ops::Range;
use std::sync::LazyLock;

use super::levels::{BLOCK, GROUP, Grid};
use super::packed::{Packed, TILE, group_bytes};
use super::parallel::{self, Scattered};
use portable::Portable;

/// Rows for which a tile of weights stays in cache.
const ROW_BLOCK: usize = 64;

/// The instructions that a product is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// 64 products an instruction: Intel since Ice Lake, AMD since Zen 4.
    Avx512Vnni,
    /// 32: Intel's client CPUs since Alder Lake.
    AvxVnni,
    /// 32 in three instructions: nearly every x86 CPU since 2013.
    Avx2,
    /// 16: ARM servers since Neoverse N1, Apple since A11.
    NeonDot,
    /// None: plain Rust for any CPU.
    Portable,
}

impl Kernel {
    /// The best that this CPU can run, fast or not.
    pub(super) fn best_or_portable() -> Self {
        Self::best().unwrap_or(Self::Portable)
    }

    /// Those that this CPU can run, the best first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [Self::Avx512Vnni, Self::AvxVnni, Self::Avx2, Self::NeonDot, Self::Portable]
            .into_iter()
            .filter(|kernel| kernel.is_available())
    }

    /// The best that this CPU can run; `None` when there is none that is faster than candle's.
    pub(super) fn best() -> Option<Self> {
        static BEST: LazyLock<Option<Kernel>> =
            LazyLock::new(|| Kernel::available().next().filter(|kernel| *kernel != Kernel::Portable));
        *BEST
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx256::has_vnni(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx256::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => neon::is_available(),
            _ => false,
        }
    }

    /// Rows that one call computes at most: as many as its registers hold.
    fn most_rows(self) -> usize {
        match self {
            Self::Avx512Vnni | Self::NeonDot => 6,
            Self::AvxVnni | Self::Avx2 => 2,
            Self::Portable => 1,
        }
    }

    /// Multiplies `rows` of the activations with one tile, into one run of 32 numbers a row.
    fn multiply(self, tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
        assert!(self.is_available(), "only what `available` names is asked for");
        assert!(activations.span == GROUP || activations.span == BLOCK);
        assert!(tile.bytes.len() == tile.groups * group_bytes(tile.grid) && tile.groups == activations.groups());
        assert!(rows.end <= activations.rows && out.len() == rows.len());
        let mut row = rows.start;
        let mut out = out;
        while row < rows.end {
            let count = match (rows.end - row).min(self.most_rows()) {
                count @ (1 | 2 | 4 | 6) => count,
                count => count - 1,
            };
            let (now, rest) = out.split_at_mut(count);
            match self {
                // SAFETY: plain Rust runs anywhere; the sizes that it relies on are asserted above.
                Self::Portable => unsafe { lanes::multiply::<Portable>(tile, activations, row, now) },
                // SAFETY: the CPU has the instructions and the sizes are those that the kernels rely on, as asserted
                // above.
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => unsafe { avx512::multiply(tile, activations, row, now) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => unsafe { avx256::multiply_vnni(tile, activations, row, now) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => unsafe { avx256::multiply(tile, activations, row, now) },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                Self::NeonDot => unsafe { neon::multiply(tile, activations, row, now) },
                _ => unreachable!("`available` names only kernels of this CPU's family"),
            }
            out = rest;
            row += count;
        }
    }
}

/// One tile of packed weights.
#[derive(Clone, Copy)]
struct Tile<'a> {
    bytes: &'a [u8],
    groups: usize,
    grid: Grid,
}

/// Rows of activations in 8 bits.
pub(super) struct Activations {
    rows: usize,
    /// Values that share a scale: 32 or 256.
    span: usize,
    /// Spans of a row.
    spans: usize,
    /// Whole spans a row; what a row does not fill is 0.
    values: Vec<i8>,
    /// One a span.
    scales: Vec<f32>,
    /// Of each 16 values.
    sums: Vec<i32>,
    inputs: usize,
}

impl Activations {
    /// Rounds rows of `inputs` numbers, of which each `span` share a scale.
    pub(super) fn new(input: &[f32], inputs: usize, span: usize) -> Self {
        let (rows, spans) = (input.len() / inputs, inputs.div_ceil(span));
        let mut values = vec![0; rows * spans * span];
        let mut scales = vec![0.0; rows * spans];
        let mut sums = vec![0; rows * spans * span / 16];
        let parts =
            values.chunks_mut(spans * span).zip(scales.chunks_mut(spans)).zip(sums.chunks_mut(spans * span / 16));
        parallel::each(parts.zip(input.chunks_exact(inputs)).collect(), |(((values, scales), sums), input)| {
            let spans = values.chunks_mut(span).zip(scales.iter_mut()).zip(input.chunks(span));
            for ((values, scale), input) in spans {
                *scale = round(input, values);
            }
            for (sum, values) in sums.iter_mut().zip(values.as_chunks::<16>().0) {
                *sum = values.iter().map(|value| i32::from(*value)).sum();
            }
        });
        Self { rows, span, spans, values, scales, sums, inputs }
    }

    /// The products with several matrices of the same inputs.
    pub(super) fn multiply<const N: usize>(&self, kernel: Kernel, matrices: [&Packed; N]) -> [Vec<f32>; N] {
        assert!(matrices.iter().all(|matrix| matrix.inputs == self.inputs));
        let mut outputs = matrices.map(|matrix| vec![0.0; self.rows * matrix.outputs]);
        let tiles: Vec<(usize, usize)> = matrices
            .iter()
            .enumerate()
            .flat_map(|(at, matrix)| (0..matrix.tiles()).map(move |tile| (at, tile)))
            .collect();
        let scattered: Vec<Scattered> = outputs.iter_mut().map(|output| Scattered::new(output)).collect();
        let row_blocks = self.rows.div_ceil(ROW_BLOCK);
        parallel::each_index(tiles.len() * row_blocks, |at| {
            let (matrix, tile) = tiles[at / row_blocks];
            let (place, matrix) = (&scattered[matrix], matrices[matrix]);
            let first = at % row_blocks * ROW_BLOCK;
            let rows = first..self.rows.min(first + ROW_BLOCK);
            let mut out = [[0.0; TILE]; ROW_BLOCK];
            let out = &mut out[..rows.len()];
            let weights = Tile { bytes: matrix.tile(tile), groups: matrix.inputs / GROUP, grid: matrix.grid };
            kernel.multiply(weights, self, rows.clone(), out);
            let width = TILE.min(matrix.outputs - tile * TILE);
            for (row, out) in rows.zip(out) {
                // SAFETY: one tile of one row is written by one part only: the one of this tile and block of rows.
                let place = unsafe { place.place(row * matrix.outputs + tile * TILE, width) };
                place.iter_mut().zip(out).for_each(|(place, out)| *place = *out * matrix.factor);
            }
        });
        drop(scattered);
        outputs
    }

    fn groups(&self) -> usize {
        self.inputs / GROUP
    }

    /// Values that one row takes, those that fill its last span included.
    fn stride(&self) -> usize {
        self.spans * self.span
    }
}

/// Rounds the numbers of a span to -127..=127 of the scale that it answers.
fn round(values: &[f32], rounded: &mut [i8]) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits; unlike `f32::round` it vectorises.
    const MAGIC: f32 = 12_582_912.0;
    let mut lanes = [0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (highest, value) in lanes.iter_mut().zip(chunk) {
            *highest = if value.abs() > *highest { value.abs() } else { *highest };
        }
    }
    let highest = lanes.iter().chain(rest).fold(0.0, |highest: f32, value| highest.max(value.abs()));
    let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
    for (rounded, value) in rounded.iter_mut().zip(values) {
        *rounded = ((value * inverse + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32) as i8;
    }
    highest / 127.0
}

#[cfg(test)]
mod tests;
