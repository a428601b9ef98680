//! Weights and activations rounded to 8 bits, for reading prompts: on CPUs with AVX-512 VNNI one instruction multiplies
//! 64 pairs. Weights are rounded once at load and cost one byte each beside the file's own; every 256 of them share a
//! scale, as do every 256 activations of a row, so sums stay whole numbers for 256 products.

use std::array;
use std::sync::{Mutex, PoisonError};

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::parallel::{self, Scattered};

/// Products that share a scale.
const BLOCK: usize = 256;
/// Outputs that are computed together: two registers of 16 sums.
const TILE: usize = 32;
/// Inputs that one instruction takes for each of 16 outputs.
const QUAD: usize = 4;
/// Rows for which a tile of weights stays in cache.
const ROW_BLOCK: usize = 64;

/// A block of one tile: for each quad of inputs, the four weights of each of 32 outputs.
type TileBlock = [[u8; TILE * QUAD]; BLOCK / QUAD];
/// A block of one row of activations, as the bit patterns of signed bytes.
type RowBlock = [[u8; QUAD]; BLOCK / QUAD];

/// Whether this CPU has the instructions that make the rounding pay.
pub(super) fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return vnni::is_available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A weight matrix in 8 bits, tile by tile.
pub(super) struct Packed {
    outputs: usize,
    blocks: usize,
    /// Unsigned, 128 being zero.
    weights: Vec<u8>,
    scales: Vec<f32>,
}

impl Packed {
    /// Rounds a tensor of the file on all cores; `None` when its outputs do not fill whole tiles.
    pub(super) fn pack(tensor: &QTensor) -> Result<Option<Self>, candle_core::Error> {
        let (outputs, inputs) = tensor.shape().dims2()?;
        if outputs % TILE != 0 {
            return Ok(None);
        }
        let blocks = inputs.div_ceil(BLOCK);
        let mut weights = vec![128; outputs * blocks * BLOCK];
        let mut scales = vec![0.0; outputs * blocks];
        let outcome = Mutex::new(Ok(()));
        let tiles = weights.chunks_mut(TILE * blocks * BLOCK).zip(scales.chunks_mut(TILE * blocks)).enumerate();
        parallel::each(tiles.collect(), |(tile, (weights, scales))| {
            match rows(tensor, *tile * TILE..(*tile + 1) * TILE) {
                Ok(rows) => pack_tile(&rows, inputs, weights, scales),
                Err(error) => *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Err(error),
            }
        });
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Ok(Some(Self { outputs, blocks, weights, scales }))
    }

    fn tile(&self, tile: usize) -> (&[TileBlock], &[[f32; TILE]]) {
        let (quads, _) = self.weights.as_chunks::<{ TILE * QUAD }>();
        let (blocks, _) = quads.as_chunks::<{ BLOCK / QUAD }>();
        let (scales, _) = self.scales.as_chunks::<TILE>();
        (&blocks[tile * self.blocks..][..self.blocks], &scales[tile * self.blocks..][..self.blocks])
    }
}

/// Some rows of a tensor as plain numbers.
fn rows(tensor: &QTensor, range: std::ops::Range<usize>) -> Result<Vec<f32>, candle_core::Error> {
    let ids = Tensor::arange(range.start as u32, range.end as u32, &Device::Cpu)?;
    tensor.embedding(&ids)?.flatten_all()?.to_vec1()
}

fn pack_tile(rows: &[f32], inputs: usize, weights: &mut [u8], scales: &mut [f32]) {
    let (quads, _) = weights.as_chunks_mut::<{ TILE * QUAD }>();
    for (output, row) in rows.chunks_exact(inputs).enumerate() {
        for (block, values) in row.chunks(BLOCK).enumerate() {
            let mut rounded = [0; BLOCK];
            scales[block * TILE + output] = round(values, &mut rounded);
            let quads = &mut quads[block * BLOCK / QUAD..][..BLOCK / QUAD];
            for (quad, values) in quads.iter_mut().zip(rounded.as_chunks::<QUAD>().0) {
                quad[output * QUAD..][..QUAD].copy_from_slice(&values.map(|value| (i32::from(value) + 128) as u8));
            }
        }
    }
}

/// Rounds up to 256 numbers to -127..=127 of the scale that it answers.
fn round(values: &[f32], rounded: &mut [i8; BLOCK]) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits; unlike `f32::round` it vectorises.
    const MAGIC: f32 = 12_582_912.0;
    let highest =
        values.iter().fold(0.0, |highest: f32, value| if value.abs() > highest { value.abs() } else { highest });
    let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
    for (rounded, value) in rounded.iter_mut().zip(values) {
        *rounded = ((value * inverse + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32) as i8;
    }
    highest / 127.0
}

/// Rows of activations in 8 bits.
pub(super) struct Activations {
    rows: usize,
    blocks: usize,
    values: Vec<u8>,
    scales: Vec<f32>,
    /// -128 times the sum of each block: takes back what the weights' offset of 128 adds.
    offsets: Vec<i32>,
}

impl Activations {
    /// Rounds rows of `inputs` numbers.
    pub(super) fn new(input: &[f32], inputs: usize) -> Self {
        let (rows, blocks) = (input.len() / inputs, inputs.div_ceil(BLOCK));
        let mut values = vec![0; rows * blocks * BLOCK];
        let mut scales = vec![0.0; rows * blocks];
        let mut offsets = vec![0; rows * blocks];
        let parts = values.chunks_mut(blocks * BLOCK).zip(scales.chunks_mut(blocks)).zip(offsets.chunks_mut(blocks));
        parallel::each(parts.zip(input.chunks_exact(inputs)).collect(), |(((values, scales), offsets), input)| {
            for (block, input) in input.chunks(BLOCK).enumerate() {
                let mut rounded = [0; BLOCK];
                scales[block] = round(input, &mut rounded);
                offsets[block] = -128 * rounded.iter().map(|value| i32::from(*value)).sum::<i32>();
                for (value, rounded) in values[block * BLOCK..].iter_mut().zip(rounded) {
                    *value = rounded.cast_unsigned();
                }
            }
        });
        Self { rows, blocks, values, scales, offsets }
    }

    /// The products with several matrices of the same inputs.
    pub(super) fn multiply<const N: usize>(&self, matrices: [&Packed; N]) -> [Vec<f32>; N] {
        let mut outputs = matrices.map(|matrix| vec![0.0; self.rows * matrix.outputs]);
        let tiles: Vec<(usize, usize)> = matrices
            .iter()
            .enumerate()
            .flat_map(|(at, matrix)| (0..matrix.outputs / TILE).map(move |tile| (at, tile)))
            .collect();
        let scattered: Vec<Scattered> = outputs.iter_mut().map(|output| Scattered::new(output)).collect();
        let row_blocks = self.rows.div_ceil(ROW_BLOCK);
        parallel::each_index(tiles.len() * row_blocks, |at| {
            let (matrix, tile) = tiles[at / row_blocks];
            let (weights, scales) = matrices[matrix].tile(tile);
            let place = |row: usize| row * matrices[matrix].outputs + tile * TILE;
            let first = at % row_blocks * ROW_BLOCK;
            self.multiply_tile(weights, scales, first..self.rows.min(first + ROW_BLOCK), |row| {
                // SAFETY: one tile of one row is written by one part only: the one of this tile and this block of rows.
                let out = unsafe { scattered[matrix].place(place(row), TILE) };
                out.try_into().expect("a place is as long as a tile")
            });
        });
        drop(scattered);
        outputs
    }

    fn multiply_tile<'a>(
        &self,
        weights: &[TileBlock],
        scales: &[[f32; TILE]],
        rows: std::ops::Range<usize>,
        place: impl Fn(usize) -> &'a mut [f32; TILE],
    ) {
        let mut row = rows.start;
        while row < rows.end {
            row += match rows.end - row {
                8.. => self.multiply_rows::<8>(weights, scales, row, &place),
                4.. => self.multiply_rows::<4>(weights, scales, row, &place),
                _ => self.multiply_rows::<1>(weights, scales, row, &place),
            };
        }
    }

    fn multiply_rows<'a, const ROWS: usize>(
        &self,
        weights: &[TileBlock],
        scales: &[[f32; TILE]],
        first: usize,
        place: &impl Fn(usize) -> &'a mut [f32; TILE],
    ) -> usize {
        let out = array::from_fn(|row| place(first + row));
        #[cfg(target_arch = "x86_64")]
        if vnni::is_available() {
            // SAFETY: the CPU has just said that it has the instructions.
            unsafe { vnni::multiply::<ROWS>(self, weights, scales, first, out) };
            return ROWS;
        }
        multiply_plain::<ROWS>(self, weights, scales, first, out);
        ROWS
    }

    fn block(&self, row: usize, block: usize) -> (&RowBlock, f32, i32) {
        let at = row * self.blocks + block;
        let (quads, _) = self.values.as_chunks::<QUAD>();
        let (blocks, _) = quads.as_chunks::<{ BLOCK / QUAD }>();
        (&blocks[at], self.scales[at], self.offsets[at])
    }
}

/// What the fast kernel computes, in plain Rust: for CPUs without it, and to test it against.
fn multiply_plain<const ROWS: usize>(
    activations: &Activations,
    weights: &[TileBlock],
    scales: &[[f32; TILE]],
    first: usize,
    out: [&mut [f32; TILE]; ROWS],
) {
    for (row, out) in out.into_iter().enumerate() {
        for (output, out) in out.iter_mut().enumerate() {
            *out = 0.0;
            for (block, (weights, scales)) in weights.iter().zip(scales).enumerate() {
                let (values, scale, offset) = activations.block(first + row, block);
                let pairs = weights.iter().flat_map(|quad| &quad[output * QUAD..][..QUAD]).zip(values.as_flattened());
                let sum: i32 = pairs.map(|(weight, value)| i32::from(*weight) * i32::from(value.cast_signed())).sum();
                *out = ((sum + offset) as f32).mul_add(scales[output] * scale, *out);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    //! The kernel for CPUs with AVX-512 VNNI.

    use std::arch::x86_64::{
        _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps,
        _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    use std::array;

    use super::{Activations, TILE, TileBlock};

    pub(super) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }

    /// One tile of `ROWS` rows. Eight rows use 16 registers for sums and leave 16 for the rest.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn multiply<const ROWS: usize>(
        activations: &Activations,
        weights: &[TileBlock],
        scales: &[[f32; TILE]],
        first: usize,
        out: [&mut [f32; TILE]; ROWS],
    ) {
        let mut totals = [[_mm512_setzero_ps(); 2]; ROWS];
        for (block, (weights, scales)) in weights.iter().zip(scales).enumerate() {
            let rows: [_; ROWS] = array::from_fn(|row| activations.block(first + row, block));
            let mut sums = rows.map(|(_, _, offset)| [_mm512_set1_epi32(offset); 2]);
            for (quad, weights) in weights.iter().enumerate() {
                // SAFETY: the two loads read the 128 bytes of `weights`.
                let (low, high) = unsafe {
                    (_mm512_loadu_si512(weights.as_ptr().cast()), _mm512_loadu_si512(weights[64..].as_ptr().cast()))
                };
                for row in 0..ROWS {
                    let values = _mm512_set1_epi32(i32::from_ne_bytes(rows[row].0[quad]));
                    sums[row] = [
                        _mm512_dpbusd_epi32(sums[row][0], low, values),
                        _mm512_dpbusd_epi32(sums[row][1], high, values),
                    ];
                }
            }
            // SAFETY: the two loads read the 32 numbers of `scales`.
            let scales = unsafe { [_mm512_loadu_ps(scales.as_ptr()), _mm512_loadu_ps(scales[16..].as_ptr())] };
            for row in 0..ROWS {
                let scale = _mm512_set1_ps(rows[row].1);
                for half in 0..2 {
                    let sum = _mm512_cvtepi32_ps(sums[row][half]);
                    totals[row][half] = _mm512_fmadd_ps(sum, _mm512_mul_ps(scales[half], scale), totals[row][half]);
                }
            }
        }
        for (out, total) in out.into_iter().zip(totals) {
            // SAFETY: the two stores write the 32 numbers of `out`.
            unsafe {
                _mm512_storeu_ps(out.as_mut_ptr(), total[0]);
                _mm512_storeu_ps(out[16..].as_mut_ptr(), total[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729 + at / 97) % 1999) as f32 / 1000.0 - 1.0).collect()
    }

    fn packed(weights: &[f32], outputs: usize, inputs: usize) -> Packed {
        let tensor = Tensor::from_vec(weights.to_vec(), (outputs, inputs), &Device::Cpu).unwrap();
        Packed::pack(&QTensor::quantize(&tensor, GgmlDType::F32).unwrap()).unwrap().unwrap()
    }

    fn check(rows: usize, inputs: usize, outputs: usize) {
        let (input, weights) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
        let matrix = packed(&weights, outputs, inputs);
        let activations = Activations::new(&input, inputs);
        let [first, second] = activations.multiply([&matrix, &matrix]);
        assert_eq!(first, second);

        let (mut off, mut size) = (0.0, 0.0);
        for row in 0..rows {
            for output in 0..outputs {
                let pairs = input[row * inputs..][..inputs].iter().zip(&weights[output * inputs..]);
                let exact: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                off += (f64::from(first[row * outputs + output]) - exact).powi(2);
                size += exact.powi(2);
            }
        }
        let error = (off / size).sqrt();
        assert!(error < 0.02, "{rows} x {inputs} x {outputs}: relative error {error}");

        for row in 0..rows {
            for tile in 0..outputs / TILE {
                let (weights, scales) = matrix.tile(tile);
                let mut plain = [0.0; TILE];
                multiply_plain::<1>(&activations, weights, scales, row, [&mut plain]);
                let found = &first[row * outputs + tile * TILE..][..TILE];
                let worst = plain.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-4, "row {row}, tile {tile}: off by {worst}");
            }
        }
    }

    #[test]
    fn products_are_those_of_the_rounded_numbers_and_close_to_the_exact_ones() {
        check(1, 256, 32);
        check(13, 512, 96);
        check(70, 256, 64);
    }

    #[test]
    fn inputs_need_not_fill_whole_blocks() {
        check(5, 576, 64);
        check(9, 64, 32);
    }

    #[test]
    fn zeros_stay_zero() {
        let matrix = packed(&noise(32 * 256, 4), 32, 256);
        let [out] = Activations::new(&[0.0; 256], 256).multiply([&matrix]);
        assert_eq!(out, [0.0; 32]);
    }

    #[test]
    fn outputs_that_fill_no_tile_are_left_alone() {
        let tensor = Tensor::zeros((40, 256), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(Packed::pack(&QTensor::quantize(&tensor, GgmlDType::F32).unwrap()).unwrap().is_none());
    }
}
