//! Products of activations rounded to 8 bits with packed weights: whole numbers within a group or block of inputs, floats
//! across them. The widest instructions that this CPU has are chosen once, when the program runs; all give the same bits.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
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

use super::buffers::Buffer;
use super::levels::{BLOCK, GROUP, GROUPS};
use super::math;
use super::packed::{Packed, TILE, Tile, tile_bytes};
use super::parallel::{self, Scattered};
use portable::Portable;

/// Rows for which a tile of weights is read once: enough to be worth spreading it, few enough to stay in cache.
const ROW_BLOCK: usize = 256;

/// So few rows are not many: an answer's, or those of a few people.
const FEW_ROWS: usize = 16;

/// Room for many rows comes in such steps.
const ROW_STEP: usize = 32;

/// Rows of a block of activations that lie together, how many bytes of each, and how many of all.
const BLOCK_ROWS: usize = 16;
const BLOCK_ROW_BYTES: usize = 64;
const BLOCK_PART: usize = BLOCK_ROWS * BLOCK_ROW_BYTES;

/// Where the first values of a row are among those of blocks; a row is one of all rows of all blocks.
#[inline]
const fn block_row(row: usize) -> usize {
    row / BLOCK_ROWS * BLOCK_ROWS * BLOCK + row % BLOCK_ROWS * BLOCK_ROW_BYTES
}

/// Sums that are kept of a block of activations: of the first and last 16 values of each group side by side, then of
/// each two groups side by side.
const BLOCK_SUMS: usize = GROUPS + GROUPS / 2;

/// The level that stands for 0 in blocks without leasts (`Q6_K`).
const ZERO_OF_BLOCKS: i32 = 32;

/// The instructions that a product is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// 16,384 products an instruction: Intel's servers since Sapphire Rapids. Few rows are left to the next.
    Amx,
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
        [Self::Amx, Self::Avx512Vnni, Self::AvxVnni, Self::Avx2, Self::NeonDot, Self::Portable]
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => avx512::is_available() && amx::is_available(),
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

    /// Multiplies `rows` of the activations with one tile, into one run of 32 numbers a row; what else there is of `out`
    /// may be written over.
    fn multiply(self, tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
        assert!(self.is_available(), "only what `available` names is asked for");
        assert!(tile.grid.span == activations.span && (tile.grid.span == GROUP || tile.grid.span == BLOCK));
        assert!(tile.bytes.len() == tile_bytes(activations.inputs, tile.grid));
        assert!(rows.end <= activations.rows && out.len() >= rows.len());
        match self {
            // SAFETY: plain Rust runs anywhere; the sizes that it relies on are asserted above.
            Self::Portable => unsafe { lanes::multiply::<Portable>(tile, activations, rows, out) },
            // SAFETY: the CPU has the instructions and the sizes are those that the kernels rely on, as asserted above.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => unsafe { amx::multiply(tile, activations, rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => unsafe { avx512::multiply(tile, activations, rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => unsafe { avx256::multiply_vnni(tile, activations, rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx256::multiply(tile, activations, rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => unsafe { neon::multiply(tile, activations, rows, out) },
            _ => unreachable!("`available` names only kernels of this CPU's family"),
        }
    }
}

/// Rows of activations in 8 bits, span by span, and in each row by row. Blocks lie as tiles of matrix units are loaded:
/// 16 rows together, and of these 64 values of each row, then the next 64.
pub(super) struct Activations {
    inputs: usize,
    rows: usize,
    /// Rows that there is room for; those beyond `rows` mean nothing.
    room: usize,
    /// Values that share a scale: 32 or 256.
    span: usize,
    spans: usize,
    /// Bytes.
    values: Buffer,
    /// One a span and row.
    scales: Buffer,
    /// 32-bit whole numbers. Of groups, the sum of each; of blocks, [`BLOCK_SUMS`].
    sums: Buffer,
}

impl Activations {
    /// Rounds rows of `inputs` numbers, of which each `span` share a scale.
    pub(super) fn new(input: &[f32], inputs: usize, span: usize) -> Self {
        Self::of(input.len() / inputs, inputs, span, &Rows { input, inputs })
    }

    /// Rounds the rows of `gate` after `activation` has been given the same of `up`.
    pub(super) fn gated(gate: &Tiled, up: &Tiled, span: usize, activation: fn(&mut [f32], &[f32])) -> Self {
        Self::of(gate.rows, gate.outputs, span, &Gated { gate, up, activation })
    }

    fn of(rows: usize, inputs: usize, span: usize, source: &impl Source) -> Self {
        assert!(inputs.is_multiple_of(span) && span <= BLOCK, "as `Packed::fits` has made sure");
        let spans = inputs / span;
        let room = rows.next_multiple_of(if rows < FEW_ROWS { BLOCK_ROWS } else { ROW_STEP });
        let sums_of_span = if span == GROUP { 1 } else { BLOCK_SUMS };
        let mut values = Buffer::new(room * inputs / size_of::<f32>());
        let mut scales = Buffer::new(room * spans);
        let mut sums = Buffer::new(room * spans * sums_of_span);
        let of_values = bytemuck::cast_slice_mut::<f32, i8>(&mut values).chunks_mut(room * span);
        let of_sums = bytemuck::cast_slice_mut::<f32, i32>(&mut sums).chunks_mut(room * sums_of_span);
        let parts = of_values.zip(scales.chunks_mut(room)).zip(of_sums).enumerate();
        let parts = parts.map(|(at, ((values, scales), sums))| Span { at, values, scales, sums });
        let round_span = |part: &mut Span<'_>| {
            let places = part.scales.iter_mut().zip(part.sums.chunks_mut(sums_of_span));
            let (mut numbers, mut rounded) = ([0.0; BLOCK], [0; BLOCK]);
            let rounded = &mut rounded[..span];
            for (row, (scale, sums)) in places.take(rows).enumerate() {
                math::round(source.read(row, part.at * span, &mut numbers[..span]), rounded, scale);
                sum_up(rounded, sums);
                if span == GROUP {
                    part.values.as_chunks_mut::<GROUP>().0[row] = rounded.as_chunks().0[0];
                } else {
                    let places = &mut part.values[block_row(row)..];
                    for (n, bytes) in rounded.as_chunks::<BLOCK_ROW_BYTES>().0.iter().enumerate() {
                        places[n * BLOCK_PART..].as_chunks_mut().0[0] = *bytes;
                    }
                }
            }
        };
        if rows < FEW_ROWS {
            // Done sooner than handed over.
            parts.for_each(|mut part| round_span(&mut part));
        } else {
            parallel::each(parts.collect(), round_span);
        }
        Self { inputs, rows, room, span, spans, values, scales, sums }
    }

    /// The products with several matrices of the same inputs, as they come.
    pub(super) fn multiply_tiled<const N: usize>(&self, kernel: Kernel, matrices: [&Packed; N]) -> [Tiled; N] {
        assert!(matrices.iter().all(|matrix| matrix.inputs == self.inputs));
        let mut products = matrices.map(|matrix| Tiled {
            rows: self.rows,
            outputs: matrix.outputs,
            room: self.room,
            numbers: Buffer::new(matrix.tiles() * self.room * TILE),
        });
        let tiles = tiles_of(matrices);
        let scattered: Vec<Scattered> = products.iter_mut().map(|it| Scattered::new(&mut it.numbers)).collect();
        let row_blocks = self.rows.div_ceil(ROW_BLOCK);
        parallel::each_index(tiles.len() * row_blocks, |at| {
            let (number, tile) = tiles[at / row_blocks];
            let matrix = matrices[number];
            let first = at % row_blocks * ROW_BLOCK;
            let place = ((tile * self.room + first) * TILE, ROW_BLOCK.min(self.room - first) * TILE);
            // SAFETY: a block of rows of one tile is written by one part only.
            let out = unsafe { scattered[number].place(place.0, place.1) };
            let rows = first..self.rows.min(first + ROW_BLOCK);
            kernel.multiply(matrix.tile(tile), self, rows, out.as_chunks_mut().0);
            if matrix.has_factor() {
                for number in out {
                    *number *= matrix.factor;
                }
            }
        });
        drop(scattered);
        products
    }

    /// The products with several matrices of the same inputs.
    pub(super) fn multiply<const N: usize>(&self, kernel: Kernel, matrices: [&Packed; N]) -> [Buffer; N] {
        assert!(matrices.iter().all(|matrix| matrix.inputs == self.inputs));
        let mut outputs = matrices.map(|matrix| Buffer::new(self.rows * matrix.outputs));
        let tiles = tiles_of(matrices);
        let scattered: Vec<Scattered> = outputs.iter_mut().map(|output| Scattered::new(output)).collect();
        let row_blocks = self.rows.div_ceil(ROW_BLOCK);
        parallel::each_index(tiles.len() * row_blocks, |at| {
            let (matrix, tile) = tiles[at / row_blocks];
            let (place, matrix) = (&scattered[matrix], matrices[matrix]);
            let first = at % row_blocks * ROW_BLOCK;
            let rows = first..self.rows.min(first + ROW_BLOCK);
            let mut out = Buffer::new(if rows.len() < FEW_ROWS { FEW_ROWS } else { ROW_BLOCK } * TILE);
            let out = out.as_chunks_mut().0;
            kernel.multiply(matrix.tile(tile), self, rows.clone(), out);
            let width = TILE.min(matrix.outputs - tile * TILE);
            for (row, out) in rows.zip(out) {
                // SAFETY: one tile of one row is written by one part only: the one of this tile and block of rows.
                let place = unsafe { place.place(row * matrix.outputs + tile * TILE, width) };
                math::scale_into(place, out, matrix.factor);
            }
        });
        drop(scattered);
        outputs
    }

    /// All values.
    #[inline]
    fn values(&self) -> &[i8] {
        bytemuck::cast_slice(&self.values)
    }

    /// All sums.
    #[inline]
    fn sums(&self) -> &[i32] {
        bytemuck::cast_slice(&self.sums)
    }

    /// Where a row of a span is, counted in rows.
    #[inline]
    fn place(&self, span: usize, row: usize) -> usize {
        span * self.room + row
    }
}

/// What activations are rounded from.
trait Source: Sync {
    /// Numbers of a row from `from` on, as many as there is `room`, where they may be put.
    fn read<'a>(&'a self, row: usize, from: usize, room: &'a mut [f32]) -> &'a [f32];
}

/// Rows one after another.
struct Rows<'s> {
    input: &'s [f32],
    inputs: usize,
}

impl Source for Rows<'_> {
    fn read<'a>(&'a self, row: usize, from: usize, room: &'a mut [f32]) -> &'a [f32] {
        &self.input[row * self.inputs + from..][..room.len()]
    }
}

/// What [`Activations::gated`] is given.
struct Gated<'s> {
    gate: &'s Tiled,
    up: &'s Tiled,
    activation: fn(&mut [f32], &[f32]),
}

impl Source for Gated<'_> {
    fn read<'a>(&'a self, row: usize, from: usize, room: &'a mut [f32]) -> &'a [f32] {
        let mut others = [0.0; BLOCK];
        let others = &mut others[..room.len()];
        self.gate.read(row, from, room);
        self.up.read(row, from, others);
        (self.activation)(room, others);
        room
    }
}

/// All tiles of some matrices: the number of the matrix, and of its tile.
fn tiles_of<const N: usize>(matrices: [&Packed; N]) -> Vec<(usize, usize)> {
    let of_one = |(at, matrix): (usize, &Packed)| (0..matrix.tiles()).map(move |tile| (at, tile));
    matrices.into_iter().enumerate().flat_map(of_one).collect()
}

/// Products as the kernels compute them: 32 outputs of all rows, then the next 32.
pub(super) struct Tiled {
    rows: usize,
    outputs: usize,
    /// Rows that there is room for.
    room: usize,
    numbers: Buffer,
}

impl Tiled {
    /// Reads numbers of a row from output `from` on, which begins a tile.
    fn read(&self, row: usize, from: usize, into: &mut [f32]) {
        for (tile, into) in (from / TILE..).zip(into.chunks_mut(TILE)) {
            // Not as an array: that is copied in pieces too small for the wide loads that follow, which then wait.
            into.copy_from_slice(&self.numbers[(tile * self.room + row) * TILE..][..into.len()]);
        }
    }
}

/// Where the rows of one span go.
struct Span<'a> {
    at: usize,
    values: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

/// The sums of a span that [`Activations::sums`] holds.
fn sum_up(values: &[i8], sums: &mut [i32]) {
    let mut sixteens = [0; BLOCK / 16];
    math::sum_sixteens(&mut sixteens, values);
    if let [whole] = sums {
        *whole = sixteens[0] + sixteens[1];
        return;
    }
    let side_by_side = |first: i32, second: i32| first & 0xFFFF | second << 16;
    let (of_groups, of_pairs) = sums.split_at_mut(GROUPS);
    for (at, of_group) in of_groups.iter_mut().enumerate() {
        *of_group = side_by_side(sixteens[2 * at], sixteens[2 * at + 1]);
    }
    for (at, of_pair) in of_pairs.iter_mut().enumerate() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| sixteens[4 * at + n]);
        *of_pair = side_by_side(a + b, c + d);
    }
}

#[cfg(test)]
mod tests;
