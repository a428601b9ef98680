//! The kernel once for all instruction sets: what differs between them is a [`Lanes`].
//! No closures here: one is a function of its own, compiled without the instructions, and is not always inlined.
#![expect(
    clippy::inline_always,
    reason = "instructions are only inlined into functions that are compiled for the CPU that has them"
)]

use super::super::levels::{BLOCK, GROUP};
use super::super::packed::{QUAD_BYTES, TILE, group_bytes, level_bytes};
use super::{Activations, Tile};

/// Registers of one instruction set, each with a number for every one of [`Lanes::COUNT`] outputs.
///
/// # Safety
/// All functions need a CPU that has the instructions; those that take a pointer read or write as many bytes there as a
/// register has (half as many for half floats).
pub(super) trait Lanes {
    /// Outputs a register.
    const COUNT: usize;
    /// Rows that its registers hold sums of at the same time.
    const MOST_ROWS: usize;
    /// 32-bit whole numbers, or four bytes in the place of each.
    type Whole: Copy;
    /// 32-bit floats.
    type Real: Copy;

    unsafe fn splat(value: i32) -> Self::Whole;
    unsafe fn load(from: *const u8) -> Self::Whole;
    /// The lower four bits of each byte.
    unsafe fn low(bytes: Self::Whole) -> Self::Whole;
    /// The upper four bits of each byte.
    unsafe fn high(bytes: Self::Whole) -> Self::Whole;
    /// Bits `2 * AT` and `2 * AT + 1` of each byte as its bits 4 and 5, together with `low`.
    unsafe fn with_pair<const AT: usize>(low: Self::Whole, bytes: Self::Whole) -> Self::Whole;
    /// Adds to each sum the products of four unsigned bytes of `levels` and four signed ones of `values`; `BITS` is the
    /// size of the levels.
    unsafe fn dot<const BITS: usize>(sum: Self::Whole, levels: Self::Whole, values: Self::Whole) -> Self::Whole;
    unsafe fn real(whole: Self::Whole) -> Self::Real;
    unsafe fn splat_real(value: f32) -> Self::Real;
    /// Half floats as floats.
    unsafe fn load_halves(from: *const u8) -> Self::Real;
    unsafe fn load_reals(from: *const f32) -> Self::Real;
    /// `sum + a * b`, rounded once.
    unsafe fn add_product(sum: Self::Real, a: Self::Real, b: Self::Real) -> Self::Real;
    unsafe fn store(into: *mut f32, value: Self::Real);
}

/// Multiplies `out.len()` rows from `first` with one tile: 1, 2, 4 or 6 rows.
///
/// # Safety
/// The CPU has the instructions of `L`; the tile is as long as its groups take, and the activations have these rows and
/// groups.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(
    tile: Tile<'_>,
    activations: &Activations,
    first: usize,
    out: &mut [[f32; TILE]],
) {
    macro_rules! by_grid {
        ($rows:literal) => {{
            let out: &mut [[f32; TILE]; $rows] = out.try_into().expect("the length was matched");
            let grid = tile.grid;
            // SAFETY: passed on from this function's contract.
            unsafe {
                match (grid.bits, grid.scales, grid.has_least, activations.span) {
                    (4, _, true, BLOCK) => rows::<L, 4, 1, true, 8, $rows>(tile, activations, first, out),
                    (6, 1, true, BLOCK) => rows::<L, 6, 1, true, 8, $rows>(tile, activations, first, out),
                    (6, 2, _, BLOCK) => rows::<L, 6, 2, false, 8, $rows>(tile, activations, first, out),
                    (4, _, false, GROUP) => rows::<L, 4, 1, false, 1, $rows>(tile, activations, first, out),
                    (4, _, true, GROUP) => rows::<L, 4, 1, true, 1, $rows>(tile, activations, first, out),
                    (6, 1, false, GROUP) => rows::<L, 6, 1, false, 1, $rows>(tile, activations, first, out),
                    (6, 1, true, GROUP) => rows::<L, 6, 1, true, 1, $rows>(tile, activations, first, out),
                    (6, _, _, GROUP) => rows::<L, 6, 2, false, 1, $rows>(tile, activations, first, out),
                    (8, .., GROUP) => rows::<L, 8, 1, false, 1, $rows>(tile, activations, first, out),
                    _ => unreachable!("no format has {grid:?} with spans of {}", activations.span),
                }
            }
        }};
    }
    match out.len() {
        1 => by_grid!(1),
        2 => by_grid!(2),
        4 if L::MOST_ROWS >= 4 => by_grid!(4),
        6 if L::MOST_ROWS >= 6 => by_grid!(6),
        count => unreachable!("{count} rows at once"),
    }
}

/// The product of `ROWS` rows with a tile, two registers of outputs at a time; `SPAN` groups share a scale of the
/// activations.
#[inline(always)]
unsafe fn rows<
    L: Lanes,
    const BITS: usize,
    const SCALES: usize,
    const LEAST: bool,
    const SPAN: usize,
    const ROWS: usize,
>(
    tile: Tile<'_>,
    activations: &Activations,
    first: usize,
    out: &mut [[f32; TILE]; ROWS],
) {
    let group_size = group_bytes(tile.grid);
    for outputs in (0..TILE).step_by(2 * L::COUNT) {
        // SAFETY: the caller vouches for the sizes: every group of the tile and of the rows is read once, and `out` has
        // 32 numbers a row.
        unsafe {
            let mut totals = [[L::splat_real(0.0); 2]; ROWS];
            for span in 0..activations.spans {
                let mut partial = [[L::splat_real(0.0); 2]; ROWS];
                let first_group = span * SPAN;
                for group in first_group..tile.groups.min(first_group + SPAN) {
                    let bytes = tile.bytes.as_ptr().add(group * group_size);
                    let numbers = bytes.add(level_bytes(BITS) + outputs * 2);
                    for part in 0..SCALES {
                        let mut sums = [[L::splat(0); 2]; ROWS];
                        if !LEAST {
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let sum = sum::<SCALES>(activations, first + row, group, part);
                                *sums = [L::splat(-i32::from(tile.grid.zero) * sum); 2];
                            }
                        }
                        let quads = 8 / SCALES;
                        for quad in part * quads..(part + 1) * quads {
                            let levels = [
                                levels::<L, BITS>(bytes, quad, outputs * 4),
                                levels::<L, BITS>(bytes, quad, (outputs + L::COUNT) * 4),
                            ];
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let at = (first + row) * activations.stride() + group * GROUP + quad * 4;
                                let values = activations.values.as_ptr().add(at).cast::<i32>().read_unaligned();
                                let values = L::splat(values);
                                for (sum, levels) in sums.iter_mut().zip(levels) {
                                    *sum = L::dot::<BITS>(*sum, levels, values);
                                }
                            }
                        }
                        for half in 0..2 {
                            let scale = L::load_halves(numbers.add((part * TILE + half * L::COUNT) * 2));
                            for (partial, sums) in partial.iter_mut().zip(&sums) {
                                partial[half] = L::add_product(partial[half], L::real(sums[half]), scale);
                            }
                        }
                    }
                    if LEAST {
                        for half in 0..2 {
                            let least = L::load_halves(numbers.add((SCALES * TILE + half * L::COUNT) * 2));
                            for (row, partial) in partial.iter_mut().enumerate() {
                                let sum = sum::<1>(activations, first + row, group, 0);
                                partial[half] = L::add_product(partial[half], L::splat_real(-sum as f32), least);
                            }
                        }
                    }
                }
                for (row, (totals, partial)) in totals.iter_mut().zip(partial).enumerate() {
                    let scale = *activations.scales.get_unchecked((first + row) * activations.spans + span);
                    for (total, partial) in totals.iter_mut().zip(partial) {
                        *total = L::add_product(*total, partial, L::splat_real(scale));
                    }
                }
            }
            for (out, totals) in out.iter_mut().zip(totals) {
                for (half, total) in totals.into_iter().enumerate() {
                    L::store(out.as_mut_ptr().add(outputs + half * L::COUNT), total);
                }
            }
        }
    }
}

/// The sum of the activations of a group, or of one half of it when `SCALES` is 2.
#[inline(always)]
unsafe fn sum<const SCALES: usize>(activations: &Activations, row: usize, group: usize, part: usize) -> i32 {
    let at = row * (activations.stride() / 16) + group * 2;
    // SAFETY: the caller vouches for row and group; each group has two sums.
    unsafe {
        if SCALES == 2 {
            *activations.sums.get_unchecked(at + part)
        } else {
            *activations.sums.get_unchecked(at) + *activations.sums.get_unchecked(at + 1)
        }
    }
}

/// The levels of one quad, a byte each, from byte `at` of the quad.
#[inline(always)]
unsafe fn levels<L: Lanes, const BITS: usize>(group: *const u8, quad: usize, at: usize) -> L::Whole {
    // SAFETY: quad and place are inside a group of this size by the layout of `Packed`.
    unsafe {
        if BITS == 8 {
            return L::load(group.add(quad * QUAD_BYTES + at));
        }
        let both = L::load(group.add(quad % 4 * QUAD_BYTES + at));
        let low = if quad < 4 { L::low(both) } else { L::high(both) };
        if BITS == 4 {
            return low;
        }
        let pairs = L::load(group.add((4 + quad % 2) * QUAD_BYTES + at));
        match quad / 2 {
            0 => L::with_pair::<0>(low, pairs),
            1 => L::with_pair::<1>(low, pairs),
            2 => L::with_pair::<2>(low, pairs),
            _ => L::with_pair::<3>(low, pairs),
        }
    }
}
