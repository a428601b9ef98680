//! What the fast kernels compute, in plain Rust: to test them against.

use half::f16;

use super::super::levels::GROUP;
use super::super::packed::{QUAD, QUAD_BYTES, TILE, group_bytes, level_bytes};
use super::{Activations, Tile};

/// Multiplies rows from `first` with one tile.
pub(super) fn multiply(tile: Tile<'_>, activations: &Activations, first: usize, out: &mut [[f32; TILE]]) {
    for (row, out) in (first..).zip(out) {
        for (output, out) in out.iter_mut().enumerate() {
            *out = 0.0;
            for group in 0..tile.groups {
                let scale = activations.scales[row * activations.spans + group * GROUP / activations.span];
                *out += group_product(tile, activations, row, output, group) * scale;
            }
        }
    }
}

fn group_product(tile: Tile<'_>, activations: &Activations, row: usize, output: usize, group: usize) -> f32 {
    let bytes = &tile.bytes[group * group_bytes(tile.grid)..][..group_bytes(tile.grid)];
    let number = |n: usize| {
        let at = level_bytes(tile.grid.bits) + (n * TILE + output) * 2;
        f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
    };
    let values = &activations.values[row * activations.stride() + group * GROUP..][..GROUP];
    let scales = tile.grid.scales;
    let mut product = 0.0;
    for part in 0..scales {
        let inputs = part * GROUP / scales..(part + 1) * GROUP / scales;
        let pairs = inputs.map(|at| (level(bytes, tile.grid.bits, at / QUAD, output * QUAD + at % QUAD), values[at]));
        let sum: i32 =
            pairs.map(|(level, value)| (i32::from(level) - i32::from(tile.grid.zero)) * i32::from(value)).sum();
        product += sum as f32 * number(part);
    }
    if tile.grid.has_least {
        product -= values.iter().map(|value| i32::from(*value)).sum::<i32>() as f32 * number(scales);
    }
    product
}

fn level(bytes: &[u8], bits: usize, quad: usize, at: usize) -> u8 {
    if bits == 8 {
        return bytes[quad * QUAD_BYTES + at];
    }
    let low = bytes[quad % 4 * QUAD_BYTES + at] >> (quad / 4 * 4) & 15;
    let high = if bits == 6 { bytes[(4 + quad % 2) * QUAD_BYTES + at] >> (quad / 2 * 2) & 3 } else { 0 };
    low | high << 4
}
