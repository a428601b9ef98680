//! A weight matrix in the order in which the kernels read it: 32 outputs side by side, and of each the same levels and
//! scales as in the file. It takes 4.6 to 8.5 bits a weight, so it can stand instead of the file's copy, not beside it.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor};
use half::f16;
use memmap2::Mmap;

use super::GenerateError;
use super::levels::{self, Block, GROUP, GROUPS, Grid, Group, Row};
use super::parallel;

/// Outputs that are computed together.
pub(super) const TILE: usize = 32;
/// Inputs that one instruction takes for each output.
pub(super) const QUAD: usize = 4;
/// Bytes of one quad of a tile when a level takes a byte.
pub(super) const QUAD_BYTES: usize = TILE * QUAD;

/// A matrix, outputs x inputs, tile by tile and in each tile [`Grid::span`] inputs after another.
///
/// A group of a tile holds, for 32 inputs of 32 outputs: the levels, then the scales, then the least values, both as
/// half floats. A block holds, for 256 inputs: the levels of its eight groups, the whole scales of each (a byte an
/// output), the whole leasts likewise, then scales and leasts as half floats.
///
/// Levels of 4 bits: 4 runs of 128 bytes, quad `n` in the low and quad `n + 4` in the high halves of run `n`. Levels of
/// 6 bits: the same for their lower 4 bits, then 2 runs, in which bits `2 * i` of run `n` belong to quad `n + 2 * i`.
/// Levels of 8 bits: 8 runs.
pub(super) struct Packed {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) grid: Grid,
    /// What scales and least values are multiplied with: a power of two that keeps them in the range of half floats.
    /// Blocks have half floats in the file, and 1 here.
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
    pub(super) fn fits(kind: GgmlDType, outputs: usize, inputs: usize) -> bool {
        outputs > 0 && inputs > 0 && inputs.is_multiple_of(Grid::of(kind).span)
    }

    /// Packs the bytes of a tensor on all cores.
    pub(super) fn pack(kind: GgmlDType, outputs: usize, inputs: usize, raw: &[u8]) -> Result<Self, GenerateError> {
        assert!(Self::fits(kind, outputs, inputs), "the caller asked before");
        let grid = Grid::of(kind);
        let row_bytes = raw.len() / outputs;
        let tiles = outputs.div_ceil(TILE);
        let tile_rows = |tile: usize| -> Result<Vec<Row>, GenerateError> {
            let rows = tile * TILE..outputs.min((tile + 1) * TILE);
            rows.map(|row| read_row(kind, &raw[row * row_bytes..][..row_bytes], inputs)).collect()
        };

        let mut highest: Vec<Result<f32, GenerateError>> = (0..tiles).map(|_| Ok(0.0)).collect();
        if grid.span == GROUP {
            parallel::each(highest.iter_mut().enumerate().collect(), |(tile, highest)| {
                **highest = tile_rows(*tile).map(|rows| rows.iter().map(Row::highest).fold(0.0, f32::max));
            });
        }
        let highest = highest.into_iter().collect::<Result<Vec<f32>, _>>()?.into_iter().fold(0.0, f32::max);
        // The largest becomes 2^13 to 2^14: far from infinity, and the smallest that matter stay normal numbers.
        let exponent = if highest > 0.0 { highest.log2().floor() as i32 - 13 } else { 0 };
        let factor = 2f32.powi(exponent);

        let mut bytes = vec![0; size_bytes(outputs, inputs, grid)];
        let mut outcome: Vec<Result<(), GenerateError>> = (0..tiles).map(|_| Ok(())).collect();
        let parts = bytes.chunks_mut(tile_bytes(inputs, grid)).zip(&mut outcome).enumerate();
        parallel::each(parts.collect(), |(tile, (bytes, outcome))| {
            **outcome = tile_rows(*tile).map(|rows| {
                for (output, row) in rows.iter().enumerate() {
                    match row {
                        Row::Groups(groups) => put_groups(groups, output, grid, factor, bytes),
                        Row::Blocks(blocks) => put_blocks(blocks, output, grid, bytes),
                    }
                }
            });
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

    /// One tile.
    pub(super) fn tile(&self, tile: usize) -> Tile<'_> {
        let size = tile_bytes(self.inputs, self.grid);
        Tile { bytes: &self.bytes()[tile * size..][..size], grid: self.grid }
    }

    /// Whether [`Self::factor`] changes anything.
    pub(super) fn has_factor(&self) -> bool {
        self.factor.to_bits() != 1f32.to_bits()
    }
}

/// One tile of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) grid: Grid,
}

/// Bytes that a matrix takes.
pub(super) fn size_bytes(outputs: usize, inputs: usize, grid: Grid) -> usize {
    outputs.div_ceil(TILE) * tile_bytes(inputs, grid)
}

/// Bytes of one tile.
pub(super) fn tile_bytes(inputs: usize, grid: Grid) -> usize {
    inputs / grid.span * span_bytes(grid)
}

/// Bytes of the levels in one group of a tile.
pub(super) const fn level_bytes(bits: usize) -> usize {
    TILE * GROUP * bits / 8
}

/// Bytes of one group or block of a tile.
pub(super) const fn span_bytes(grid: Grid) -> usize {
    let halves = (1 + grid.has_least as usize) * TILE * size_of::<f16>();
    if grid.span == GROUP {
        return level_bytes(grid.bits) + halves;
    }
    GROUPS * (level_bytes(grid.bits) + (grid.scales + grid.has_least as usize) * TILE) + halves
}

impl Row {
    fn highest(&self) -> f32 {
        match self {
            Self::Groups(groups) => {
                groups.iter().fold(0.0, |highest, group| highest.max(group.scale.abs()).max(group.least.abs()))
            }
            Self::Blocks(_) => 0.0,
        }
    }
}

fn read_row(kind: GgmlDType, row: &[u8], inputs: usize) -> Result<Row, GenerateError> {
    if let Some(row) = levels::read_row(kind, row) {
        return Ok(row);
    }
    let row = QTensor::new(candle_core::quantized::QStorage::from_data(row.into(), &Device::Cpu, kind)?, (1, inputs))?;
    let values: Vec<f32> = row.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
    Ok(Row::Groups(values.chunks_exact(GROUP).map(levels::round).collect()))
}

fn put_groups(groups: &[Group], output: usize, grid: Grid, factor: f32, tile: &mut [u8]) {
    for (group, bytes) in groups.iter().zip(tile.chunks_exact_mut(span_bytes(grid))) {
        let (levels, halves) = bytes.split_at_mut(level_bytes(grid.bits));
        check_levels(grid, &group.levels);
        put_levels(levels, grid.bits, output, &group.levels);
        put_half(halves, output, f16::from_f32(group.scale / factor));
        if grid.has_least {
            put_half(&mut halves[TILE * 2..], output, f16::from_f32(group.least / factor));
        }
    }
}

fn put_blocks(blocks: &[Block], output: usize, grid: Grid, tile: &mut [u8]) {
    for (block, bytes) in blocks.iter().zip(tile.chunks_exact_mut(span_bytes(grid))) {
        let (levels, numbers) = bytes.split_at_mut(GROUPS * level_bytes(grid.bits));
        check_levels(grid, &block.levels);
        for (bytes, levels) in levels.chunks_exact_mut(level_bytes(grid.bits)).zip(block.levels.as_chunks().0) {
            put_levels(bytes, grid.bits, output, levels);
        }
        let scales = &block.whole_scales[..GROUPS * grid.scales];
        let leasts = &block.whole_leasts[..if grid.has_least { GROUPS } else { 0 }];
        let (whole, halves) = numbers.split_at_mut((scales.len() + leasts.len()) * TILE);
        for (bytes, number) in whole.chunks_exact_mut(TILE).zip(scales.iter().chain(leasts)) {
            bytes[output] = number.cast_unsigned();
        }
        put_half(halves, output, block.scale);
        if grid.has_least {
            put_half(&mut halves[TILE * 2..], output, block.least);
        }
    }
}

fn put_half(halves: &mut [u8], output: usize, number: f16) {
    halves[output * 2..][..2].copy_from_slice(&number.to_le_bytes());
}

/// Kernels with 16 bits for a sum add up as many products as levels of five bits allow where six are kept with one scale.
fn check_levels(grid: Grid, levels: &[u8]) {
    debug_assert!(grid.bits != 6 || grid.scales == 2 || levels.iter().all(|level| *level < 32), "levels of five bits");
}

fn put_levels(bytes: &mut [u8], bits: usize, output: usize, levels: &[u8; GROUP]) {
    for (at, level) in levels.iter().enumerate() {
        let (quad, place) = (at / QUAD, output * QUAD + at % QUAD);
        if bits == 8 {
            bytes[quad * QUAD_BYTES + place] = *level;
            continue;
        }
        bytes[quad % 4 * QUAD_BYTES + place] |= (level & 15) << (quad / 4 * 4);
        if bits == 6 {
            bytes[(4 + quad % 2) * QUAD_BYTES + place] |= (level >> 4) << (quad / 2 * 2);
        }
    }
}
