//! A weight matrix in the order in which the kernels read it: 32 outputs side by side, and of each the same levels and
//! scales as in the file. It takes 4.5 to 8.5 bits a weight, so it can stand instead of the file's copy, not beside it.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor};
use half::f16;
use memmap2::Mmap;

use super::GenerateError;
use super::levels::{self, GROUP, Grid, Group};
use super::parallel;

/// Outputs that are computed together.
pub(super) const TILE: usize = 32;
/// Inputs that one instruction takes for each output.
pub(super) const QUAD: usize = 4;
/// Bytes of one quad of a tile when a level takes a byte.
pub(super) const QUAD_BYTES: usize = TILE * QUAD;

/// A matrix, outputs x inputs, tile by tile and in each tile group by group.
///
/// A group of a tile holds, for 32 inputs of 32 outputs: the levels, then the scales, then the least values, both as
/// half floats. Levels of 4 bits: 4 runs of 128 bytes, quad `n` in the low and quad `n + 4` in the high halves of run
/// `n`. Levels of 6 bits: the same for their lower 4 bits, then 2 runs, in which bits `2 * i` of run `n` belong to quad
/// `n + 2 * i`. Levels of 8 bits: 8 runs.
pub(super) struct Packed {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) grid: Grid,
    /// What scales and least values are multiplied with: a power of two that keeps them in the range of half floats.
    pub(super) factor: f32,
    bytes: Bytes,
}

/// Where packed weights lie.
pub(super) enum Bytes {
    /// In memory of our own.
    Owned(Vec<u8>),
    /// In a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl Packed {
    /// A matrix whose bytes were packed before; `None` when their number is wrong.
    pub(super) fn new(outputs: usize, inputs: usize, grid: Grid, factor: f32, bytes: Bytes) -> Option<Self> {
        let packed = Self { outputs, inputs, grid, factor, bytes };
        (packed.bytes().len() == size_bytes(outputs, inputs, grid)).then_some(packed)
    }

    /// Whether a matrix of this shape can be packed.
    pub(super) fn fits(outputs: usize, inputs: usize) -> bool {
        outputs > 0 && inputs > 0 && inputs.is_multiple_of(GROUP)
    }

    /// Packs the bytes of a tensor on all cores.
    pub(super) fn pack(kind: GgmlDType, outputs: usize, inputs: usize, raw: &[u8]) -> Result<Self, GenerateError> {
        assert!(Self::fits(outputs, inputs), "the caller asked before");
        let grid = Grid::of(kind);
        let row_bytes = raw.len() / outputs;
        let rows = |range: Range<usize>| -> Result<Vec<Vec<Group>>, GenerateError> {
            range.map(|row| read_row(kind, &raw[row * row_bytes..][..row_bytes], inputs)).collect()
        };

        let tiles = outputs.div_ceil(TILE);
        let tile_rows = |tile: usize| rows(tile * TILE..outputs.min((tile + 1) * TILE));
        let mut highest: Vec<Result<f32, GenerateError>> = (0..tiles).map(|_| Ok(0.0)).collect();
        parallel::each(highest.iter_mut().enumerate().collect(), |(tile, highest)| {
            **highest = tile_rows(*tile)
                .map(|rows| rows.iter().flatten().fold(0.0, |high: f32, group| group.highest().max(high)));
        });
        let highest = highest.into_iter().collect::<Result<Vec<f32>, _>>()?.into_iter().fold(0.0, f32::max);
        // The largest becomes 2^13 to 2^14: far from infinity, and the smallest that matter stay normal numbers.
        let exponent = if highest > 0.0 { highest.log2().floor() as i32 - 13 } else { 0 };
        let factor = 2f32.powi(exponent);

        let mut bytes = vec![0; size_bytes(outputs, inputs, grid)];
        let mut outcome: Vec<Result<(), GenerateError>> = (0..tiles).map(|_| Ok(())).collect();
        let parts = bytes.chunks_mut(group_bytes(grid) * (inputs / GROUP)).zip(&mut outcome).enumerate();
        parallel::each(parts.collect(), |(tile, (bytes, outcome))| {
            **outcome = tile_rows(*tile).map(|rows| pack_tile(&rows, grid, factor, bytes));
        });
        outcome.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(Self { outputs, inputs, grid, factor, bytes: Bytes::Owned(bytes) })
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map, range) => &map[range.clone()],
        }
    }

    /// How many tiles there are; the last may stand for fewer than 32 outputs.
    pub(super) fn tiles(&self) -> usize {
        self.outputs.div_ceil(TILE)
    }

    /// The groups of one tile.
    pub(super) fn tile(&self, tile: usize) -> &[u8] {
        let size = group_bytes(self.grid) * (self.inputs / GROUP);
        &self.bytes()[tile * size..][..size]
    }
}

/// Bytes that a matrix takes.
pub(super) fn size_bytes(outputs: usize, inputs: usize, grid: Grid) -> usize {
    outputs.div_ceil(TILE) * (inputs / GROUP) * group_bytes(grid)
}

/// Bytes of the levels in one group of a tile.
pub(super) fn level_bytes(bits: usize) -> usize {
    TILE * GROUP * bits / 8
}

/// Bytes of one group of a tile.
pub(super) fn group_bytes(grid: Grid) -> usize {
    level_bytes(grid.bits) + (grid.scales + usize::from(grid.has_least)) * TILE * size_of::<f16>()
}

impl Group {
    fn highest(&self) -> f32 {
        self.scales[0].abs().max(self.scales[1].abs()).max(self.least.abs())
    }
}

fn read_row(kind: GgmlDType, row: &[u8], inputs: usize) -> Result<Vec<Group>, GenerateError> {
    if let Some(groups) = levels::read_row(kind, row) {
        return Ok(groups);
    }
    let row = QTensor::new(candle_core::quantized::QStorage::from_data(row.into(), &Device::Cpu, kind)?, (1, inputs))?;
    let values: Vec<f32> = row.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
    Ok(values.chunks_exact(GROUP).map(levels::round).collect())
}

fn pack_tile(rows: &[Vec<Group>], grid: Grid, factor: f32, bytes: &mut [u8]) {
    let levels_end = level_bytes(grid.bits);
    for (at, bytes) in bytes.chunks_exact_mut(group_bytes(grid)).enumerate() {
        let (levels, numbers) = bytes.split_at_mut(levels_end);
        for (output, row) in rows.iter().enumerate() {
            let group = &row[at];
            for (quad, values) in group.levels.as_chunks::<QUAD>().0.iter().enumerate() {
                for (n, level) in values.iter().enumerate() {
                    put_level(levels, grid.bits, quad, output * QUAD + n, *level);
                }
            }
            let least = grid.has_least.then_some(&group.least);
            for (n, number) in group.scales[..grid.scales].iter().chain(least).enumerate() {
                let number = f16::from_f32(number / factor).to_le_bytes();
                numbers[(n * TILE + output) * 2..][..2].copy_from_slice(&number);
            }
        }
    }
}

fn put_level(levels: &mut [u8], bits: usize, quad: usize, at: usize, level: u8) {
    if bits == 8 {
        levels[quad * QUAD_BYTES + at] = level;
        return;
    }
    levels[quad % 4 * QUAD_BYTES + at] |= (level & 15) << (quad / 4 * 4);
    if bits == 6 {
        levels[(4 + quad % 2) * QUAD_BYTES + at] |= (level >> 4) << (quad / 2 * 2);
    }
}
