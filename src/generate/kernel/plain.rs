//! What the fast kernels compute, in plain Rust: to test them against.

use half::f16;

use super::super::levels::{BLOCK, GROUP, GROUPS};
use super::super::packed::{QUAD, QUAD_BYTES, TILE, Tile, level_bytes, span_bytes};
use super::{Activations, BLOCK_PART, BLOCK_ROW_BYTES, block_row};

/// Multiplies all rows with one tile.
pub(super) fn multiply(tile: Tile<'_>, activations: &Activations, out: &mut [[f32; TILE]]) {
    for (row, out) in out.iter_mut().enumerate() {
        for (output, out) in out.iter_mut().enumerate() {
            *out = 0.0;
            for span in 0..activations.spans {
                let at = span * activations.room + row;
                let values = activations.read(at);
                let bytes = &tile.bytes[span * span_bytes(tile.grid)..][..span_bytes(tile.grid)];
                let product = if tile.grid.span == BLOCK { block_product } else { group_product };
                *out += product(tile, bytes, &values, output) * activations.scales[at];
            }
        }
    }
}

fn group_product(tile: Tile<'_>, bytes: &[u8], values: &[i8], output: usize) -> f32 {
    let (levels, numbers) = bytes.split_at(level_bytes(tile.grid.bits));
    let mut product = dot(tile, levels, values, 0..GROUP, output) as f32 * half_at(numbers, output);
    if tile.grid.has_least {
        product -= sum(values) as f32 * half_at(&numbers[TILE * 2..], output);
    }
    product
}

fn block_product(tile: Tile<'_>, bytes: &[u8], values: &[i8], output: usize) -> f32 {
    let (bits, scales) = (tile.grid.bits, tile.grid.scales);
    let (levels, numbers) = bytes.split_at(GROUPS * level_bytes(bits));
    let (whole_scales, numbers) = numbers.split_at(GROUPS * scales * TILE);
    let (whole_leasts, halves) = numbers.split_at(if tile.grid.has_least { GROUPS * TILE } else { 0 });
    let number = |numbers: &[u8], at: usize| i32::from(numbers[at * TILE + output].cast_signed());
    let (mut whole, mut less) = (0, 0);
    for (group, values) in values.chunks_exact(GROUP).enumerate() {
        let levels = &levels[group * level_bytes(bits)..];
        for part in 0..scales {
            let inputs = part * GROUP / scales..(part + 1) * GROUP / scales;
            whole += dot(tile, levels, values, inputs, output) * number(whole_scales, group * scales + part);
        }
        if tile.grid.has_least {
            less += sum(values) * number(whole_leasts, group);
        }
    }
    let product = whole as f32 * half_at(halves, output);
    if tile.grid.has_least { product - less as f32 * half_at(&halves[TILE * 2..], output) } else { product }
}

fn dot(tile: Tile<'_>, levels: &[u8], values: &[i8], inputs: std::ops::Range<usize>, output: usize) -> i32 {
    let zero = i32::from(tile.grid.zero);
    let level = |at| i32::from(level(levels, tile.grid.bits, at / QUAD, output * QUAD + at % QUAD));
    inputs.map(|at| (level(at) - zero) * i32::from(values[at])).sum()
}

fn sum(values: &[i8]) -> i32 {
    values.iter().map(|value| i32::from(*value)).sum()
}

fn half_at(halves: &[u8], output: usize) -> f32 {
    f16::from_le_bytes([halves[output * 2], halves[output * 2 + 1]]).to_f32()
}

fn level(bytes: &[u8], bits: usize, quad: usize, at: usize) -> u8 {
    if bits == 8 {
        return bytes[quad * QUAD_BYTES + at];
    }
    let low = bytes[quad % 4 * QUAD_BYTES + at] >> (quad / 4 * 4) & 15;
    let high = if bits == 6 { bytes[(4 + quad % 2) * QUAD_BYTES + at] >> (quad / 2 * 2) & 3 } else { 0 };
    low | high << 4
}

impl Activations {
    /// The values of a row of a span, in order.
    pub(super) fn read(&self, at: usize) -> Vec<i8> {
        if self.span == GROUP {
            return self.values()[at * GROUP..][..GROUP].to_vec();
        }
        let part = |n: usize| &self.values()[block_row(at) + n * BLOCK_PART..][..BLOCK_ROW_BYTES];
        (0..BLOCK / BLOCK_ROW_BYTES).flat_map(part).copied().collect()
    }
}
