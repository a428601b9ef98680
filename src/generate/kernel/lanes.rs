//! The kernel once for all instruction sets: what differs between them is a [`Lanes`].
//! No closures here: one is a function of its own, compiled without the instructions, and is not always inlined.
#![expect(
    clippy::inline_always,
    reason = "instructions are only inlined into functions that are compiled for the CPU that has them"
)]

use std::hint::black_box;
use std::ops::Range;

use super::super::levels::{BLOCK, GROUP, GROUPS};
use super::super::packed::{QUAD_BYTES, TILE, Tile, level_bytes, span_bytes};
use super::{Activations, BLOCK_PART, BLOCK_SUMS, ZERO_OF_BLOCKS, block_row};

/// Quads of inputs in a group.
pub(super) const QUADS: usize = 8;
const HALF: usize = QUADS / 2;

/// Registers of one instruction set, each with a number for every one of [`Lanes::COUNT`] outputs.
///
/// # Safety
/// All functions need a CPU that has the instructions; those that take a pointer read or write there as many bytes as
/// they say, or as a register has.
pub(super) trait Lanes {
    /// Outputs a register.
    const COUNT: usize;
    /// Rows that its registers hold sums of at the same time.
    const MOST_ROWS: usize;
    /// The same for products of floats in [`super::panel`], with two registers a row: 8 at most.
    const MOST_REAL_ROWS: usize;
    /// Products of quads with levels of four bits that [`Self::dot`] may add up before [`Self::widen`]: it may have no
    /// more than 16 bits for the sum.
    const MOST_QUADS_4: usize = QUADS;
    /// The same with levels of five bits.
    const MOST_QUADS_5: usize = QUADS;
    /// The same with levels of six bits.
    const MOST_QUADS_6: usize = QUADS;
    /// What [`Self::dot`] takes away from levels of eight bits.
    const ZERO_8: u8 = 0;
    /// Whether a loop over the quads of a block is faster than its steps one after another.
    const ROLLED: bool = true;
    /// 32-bit whole numbers, two of 16 bits, or four bytes in the place of each.
    type Whole: Copy;
    /// 32-bit floats.
    type Real: Copy;

    unsafe fn splat(value: i32) -> Self::Whole;
    unsafe fn load(from: *const u8) -> Self::Whole;
    unsafe fn store_bytes(into: *mut u8, value: Self::Whole);
    /// The lower four bits of each byte.
    unsafe fn low(bytes: Self::Whole) -> Self::Whole;
    /// The upper four bits of each byte.
    unsafe fn high(bytes: Self::Whole) -> Self::Whole;
    /// Bits `2 * AT` and `2 * AT + 1` of each byte as its bits 4 and 5, together with `low`.
    unsafe fn with_pair<const AT: usize>(low: Self::Whole, bytes: Self::Whole) -> Self::Whole;
    /// Adds to each sum the products of four unsigned bytes of `levels` and four signed ones of `values`; `BITS` is the
    /// size of the levels; from those of eight [`Self::ZERO_8`] is taken away. The sums mean something to [`Self::widen`] and [`Self::add_scaled`] only.
    unsafe fn dot<const BITS: usize>(sum: Self::Whole, levels: Self::Whole, values: Self::Whole) -> Self::Whole;
    /// Adds the sums of [`Self::dot`] to 32-bit ones.
    unsafe fn widen<const BITS: usize>(total: Self::Whole, sum: Self::Whole) -> Self::Whole;
    /// A signed byte an output, for [`Self::add_scaled`].
    unsafe fn load_scales(from: *const u8) -> Self::Whole;
    /// `total + scale * sum`, where `sum` is one of [`Self::dot`] with levels of fewer than eight bits.
    unsafe fn add_scaled(total: Self::Whole, sum: Self::Whole, scale: Self::Whole) -> Self::Whole;
    /// A signed byte an output from each place, as 16-bit numbers side by side.
    unsafe fn load_pairs(first: *const u8, second: *const u8) -> Self::Whole;
    /// Adds to each 32-bit sum the products of two 16-bit numbers.
    unsafe fn dot_pairs(sum: Self::Whole, a: Self::Whole, b: Self::Whole) -> Self::Whole;
    /// `a - 32 * b`.
    unsafe fn less_zeros(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    unsafe fn real(whole: Self::Whole) -> Self::Real;
    unsafe fn splat_real(value: f32) -> Self::Real;
    /// Half floats as floats.
    unsafe fn load_halves(from: *const u8) -> Self::Real;
    unsafe fn load_reals(from: *const f32) -> Self::Real;
    /// `sum + a * b`, rounded once.
    unsafe fn add_product(sum: Self::Real, a: Self::Real, b: Self::Real) -> Self::Real;
    unsafe fn store(into: *mut f32, value: Self::Real);
    /// Has a cache line fetched that will be read soon; it may lie anywhere.
    fn fetch(_line: *const u8) {}
}

/// Bytes that weights are fetched ahead of their use: the CPU's own prefetchers stop at each page of 4 KB, and the
/// products of a few rows fill its window of instructions before it meets the next load. Without it a Zen 5 read 40 GB/s
/// of weights for one row and 23 for four, with it 56 and 42 (of 2 to 16 KB ahead, 8 and 12 were best).
pub(super) const AHEAD: usize = 8192;

/// Has part `part` of `parts` of the `size` bytes that lie ahead of `bytes` fetched.
#[inline(always)]
fn fetch_ahead<L: Lanes>(bytes: *const u8, size: usize, part: usize, parts: usize) {
    let start = bytes.wrapping_add(AHEAD);
    let lines = size.div_ceil(LINE);
    for line in lines * part / parts..lines * (part + 1) / parts {
        L::fetch(start.wrapping_add(line * LINE));
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Calls the `blocks` or `groups` of a kernel that is compiled for the weights of this grid.
macro_rules! by_grid {
    ($grid:expr, [$($lanes:tt)*], $arguments:tt) => {{
        let grid = $grid;
        match (grid.span, grid.bits, grid.scales, grid.has_least) {
            (BLOCK, 4, 1, true) => blocks::<$($lanes)* 4, 1, true> $arguments,
            (BLOCK, 6, 1, true) => blocks::<$($lanes)* 6, 1, true> $arguments,
            (BLOCK, 6, 2, false) => blocks::<$($lanes)* 6, 2, false> $arguments,
            (GROUP, 4, 1, false) => groups::<$($lanes)* 4, false> $arguments,
            (GROUP, 4, 1, true) => groups::<$($lanes)* 4, true> $arguments,
            (GROUP, 6, 1, false) => groups::<$($lanes)* 6, false> $arguments,
            (GROUP, 6, 1, true) => groups::<$($lanes)* 6, true> $arguments,
            (GROUP, 8, 1, false) => groups::<$($lanes)* 8, false> $arguments,
            _ => unreachable!("no format has {grid:?}"),
        }
    }};
}
pub(super) use by_grid;

/// Multiplies rows of the activations with one tile.
///
/// # Safety
/// The CPU has the instructions of `L`; the tile is as long as its spans take, the activations have these rows and
/// spans, and `out` has as many rows or more.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes>(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    // SAFETY: passed on from this function's contract.
    unsafe { by_grid!(tile.grid, [L,], (tile, activations, rows, out)) }
}

/// Calls `$product::<…, ROWS, WIDTH>` for as many of the `$left` rows as registers hold, and tells how many those are.
macro_rules! some_rows {
    ($lanes:ident, $left:expr, $product:ident::<$($parameter:tt),*>($($argument:expr),*)) => {
        match $left {
            6.. if $lanes::MOST_ROWS >= 6 => { $product::<$($parameter),*, 6, 2>($($argument),*); 6 }
            4.. if $lanes::MOST_ROWS >= 4 => { $product::<$($parameter),*, 4, 2>($($argument),*); 4 }
            // One row or two have registers for a whole tile. It is then read in the order in which it lies, from memory
            // sooner than one half of each quad after the other (docs/benchmarks.md).
            2.. if $lanes::MOST_ROWS >= 4 && TILE == 4 * $lanes::COUNT => {
                $product::<$($parameter),*, 2, 4>($($argument),*);
                2
            }
            2.. if $lanes::MOST_ROWS >= 2 => { $product::<$($parameter),*, 2, 2>($($argument),*); 2 }
            _ if TILE == 4 * $lanes::COUNT => { $product::<$($parameter),*, 1, 4>($($argument),*); 1 }
            _ => { $product::<$($parameter),*, 1, 2>($($argument),*); 1 }
        }
    };
}

/// The product with a tile of groups.
#[inline(always)]
unsafe fn groups<L: Lanes, const BITS: usize, const LEAST: bool>(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    const { assert!(BITS < 8 || !LEAST, "`ZERO_8` is not made good for where there are leasts") };
    let size = span_bytes(tile.grid);
    out[..rows.len()].fill([0.0; TILE]);
    let mut spread = if BITS < 8 && rows.len() > L::MOST_ROWS { Some(Spread([0; BLOCK * TILE])) } else { None };
    for first in (0..activations.spans).step_by(GROUPS) {
        let these = first..activations.spans.min(first + GROUPS);
        if let Some(spread) = &mut spread {
            // SAFETY: a run has no more groups than a block, for which there is room, and these are inside the tile.
            unsafe { spread.fill::<L, BITS>(tile.bytes.as_ptr().add(first * size), size, these.len()) };
        }
        let mut done = 0;
        while done < rows.len() {
            let (row, left, out) = (rows.start + done, rows.len() - done, &raw mut out[done]);
            let these = these.clone();
            // SAFETY: passed on from the caller's contract.
            done += unsafe {
                if let Some(Spread(spread)) = &spread {
                    let spread = spread.as_ptr();
                    some_rows!(L, left, group_rows::<L, BITS, LEAST, true>(tile, these, spread, activations, row, out))
                } else {
                    let spread = std::ptr::null();
                    some_rows!(L, left, group_rows::<L, BITS, LEAST, false>(tile, these, spread, activations, row, out))
                }
            };
        }
    }
}

/// Adds the product of `ROWS` rows with these groups of a tile, `WIDTH` registers of outputs at a time.
#[inline(always)]
unsafe fn group_rows<
    L: Lanes,
    const BITS: usize,
    const LEAST: bool,
    const SPREAD: bool,
    const ROWS: usize,
    const WIDTH: usize,
>(
    tile: Tile<'_>,
    these: Range<usize>,
    spread: *const u8,
    activations: &Activations,
    first: usize,
    out: *mut [f32; TILE],
) {
    const { assert!(matches!(most_quads::<L, BITS, 1>(), HALF | QUADS), "one run is a group, or two are") };
    // Not asked of the grid, so that the compiler knows it.
    let size = level_bytes(BITS) + (1 + usize::from(LEAST)) * 2 * TILE;
    for outputs in (0..TILE).step_by(WIDTH * L::COUNT) {
        // SAFETY: the caller vouches for the sizes: every group of the tile and of the rows is read once, and `out` has
        // 32 numbers a row.
        unsafe {
            let mut totals = [[L::splat_real(0.0); WIDTH]; ROWS];
            for (row, totals) in totals.iter_mut().enumerate() {
                let out = out.add(row).cast::<f32>().add(outputs);
                for (register, total) in totals.iter_mut().enumerate() {
                    *total = L::load_reals(out.add(register * L::COUNT));
                }
            }
            for group in these.clone() {
                let bytes = tile.bytes.as_ptr().add(group * size);
                let spread = spread.wrapping_add((group - these.start) * GROUP * TILE);
                let numbers = bytes.add(level_bytes(BITS) + outputs * 2);
                let at = activations.place(group, first);
                let mut whole = [[L::splat(0); WIDTH]; ROWS];
                if !LEAST {
                    let zero = i32::from(tile.grid.zero) - if BITS == 8 { i32::from(L::ZERO_8) } else { 0 };
                    for (row, whole) in whole.iter_mut().enumerate() {
                        let sum = *activations.sums().get_unchecked(at + row);
                        *whole = [L::splat(-zero * sum); WIDTH];
                    }
                }
                let place = (at, outputs);
                group_quads::<L, BITS, SPREAD, ROWS, WIDTH, 0>(bytes, size, spread, activations, place, &mut whole);
                if most_quads::<L, BITS, 1>() < QUADS {
                    group_quads::<L, BITS, SPREAD, ROWS, WIDTH, HALF>(
                        bytes,
                        size,
                        spread,
                        activations,
                        place,
                        &mut whole,
                    );
                }
                let mut scales = [L::splat_real(0.0); WIDTH];
                let mut leasts = scales;
                for register in 0..WIDTH {
                    scales[register] = L::load_halves(numbers.add(register * L::COUNT * 2));
                    if LEAST {
                        leasts[register] = L::load_halves(numbers.add((TILE + register * L::COUNT) * 2));
                    }
                }
                for (row, (totals, whole)) in totals.iter_mut().zip(whole).enumerate() {
                    let scale = L::splat_real(*activations.scales.get_unchecked(at + row));
                    for register in 0..WIDTH {
                        let mut value = L::add_product(L::splat_real(0.0), L::real(whole[register]), scales[register]);
                        if LEAST {
                            let less = L::splat_real(-*activations.sums().get_unchecked(at + row) as f32);
                            value = L::add_product(value, less, leasts[register]);
                        }
                        totals[register] = L::add_product(totals[register], value, scale);
                    }
                }
            }
            for (row, totals) in totals.into_iter().enumerate() {
                for (register, total) in totals.into_iter().enumerate() {
                    L::store(out.add(row).cast::<f32>().add(outputs + register * L::COUNT), total);
                }
            }
        }
    }
}

/// Adds the products of `ROWS` rows with as many quads of a group as one sum holds, from quad `FIRST` on, to `whole`.
/// `place` is that of the first row in the activations of this group, and the first output.
#[inline(always)]
unsafe fn group_quads<
    L: Lanes,
    const BITS: usize,
    const SPREAD: bool,
    const ROWS: usize,
    const WIDTH: usize,
    const FIRST: usize,
>(
    bytes: *const u8,
    size: usize,
    spread: *const u8,
    activations: &Activations,
    (at, outputs): (usize, usize),
    whole: &mut [[L::Whole; WIDTH]; ROWS],
) {
    // SAFETY: passed on from the caller's contract: the group and the rows are there.
    unsafe {
        let mut sums = [[L::splat(0); WIDTH]; ROWS];
        let end = FIRST + const { most_quads::<L, BITS, 1>() };
        // Not unrolled, as in `block_rows`: with AVX2 too it is some 10 % faster here.
        let end = if SPREAD { black_box(end) } else { end };
        for quad in FIRST..end {
            if !SPREAD && outputs == 0 {
                fetch_ahead::<L>(bytes, size, quad, QUADS);
            }
            let mut registers = [L::splat(0); WIDTH];
            for (register, levels) in registers.iter_mut().enumerate() {
                let place = (outputs + register * L::COUNT) * 4;
                *levels = if SPREAD {
                    L::load(spread.add(quad * QUAD_BYTES + place))
                } else {
                    self::levels::<L, BITS>(bytes, quad, place)
                };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let values = four_values::<L>(activations, (at + row) * GROUP + quad * 4);
                for (sum, levels) in sums.iter_mut().zip(registers) {
                    *sum = L::dot::<BITS>(*sum, levels, values);
                }
            }
        }
        for (whole, sums) in whole.iter_mut().zip(sums) {
            for (whole, sum) in whole.iter_mut().zip(sums) {
                *whole = L::widen::<BITS>(*whole, sum);
            }
        }
    }
}

/// The levels of a block, or of as many groups, a byte each, when they are spread once for many rows.
#[repr(align(64))]
struct Spread([u8; BLOCK * TILE]);

impl Spread {
    /// Spreads the levels of `count` groups, at most a block, that begin every `size` bytes.
    ///
    /// # Safety
    /// The CPU has the instructions of `L`, and there are as many groups.
    #[inline(always)]
    unsafe fn fill<L: Lanes, const BITS: usize>(&mut self, groups: *const u8, size: usize, count: usize) {
        assert!(count <= GROUPS);
        for group in 0..count {
            for quad in 0..QUADS {
                for at in (0..QUAD_BYTES).step_by(4 * L::COUNT) {
                    // SAFETY: each register of levels has its place here, and the group is there by the contract.
                    unsafe {
                        let levels = levels::<L, BITS>(groups.add(group * size), quad, at);
                        let place = (group * QUADS + quad) * QUAD_BYTES + at;
                        L::store_bytes(self.0.as_mut_ptr().add(place), levels);
                    }
                }
            }
        }
    }
}

/// The product with a tile of blocks, one block after another for all rows.
#[inline(always)]
unsafe fn blocks<L: Lanes, const BITS: usize, const SCALES: usize, const LEAST: bool>(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    let size = span_bytes(tile.grid);
    out[..rows.len()].fill([0.0; TILE]);
    if rows.len() <= L::MOST_ROWS {
        for block in 0..activations.spans {
            let mut done = 0;
            while done < rows.len() {
                let (at, left, out) =
                    (activations.place(block, rows.start + done), rows.len() - done, &raw mut out[done]);
                // SAFETY: passed on from the caller's contract.
                done += unsafe {
                    let bytes = tile.bytes.as_ptr().add(block * size);
                    some_rows!(L, left, block_rows::<L, BITS, SCALES, LEAST, false>(bytes, bytes, activations, at, out))
                };
            }
        }
        return;
    }
    let mut spread = Spread([0; BLOCK * TILE]);
    for block in 0..activations.spans {
        let bytes = tile.bytes[block * size..].as_ptr();
        // SAFETY: a block is GROUPS groups of levels, and this one is inside the tile.
        unsafe { spread.fill::<L, BITS>(bytes, level_bytes(BITS), GROUPS) };
        let mut done = 0;
        while done < rows.len() {
            let (at, left, out) = (activations.place(block, rows.start + done), rows.len() - done, &raw mut out[done]);
            let spread = spread.0.as_ptr();
            // SAFETY: passed on from the caller's contract.
            done += unsafe {
                some_rows!(L, left, block_rows::<L, BITS, SCALES, LEAST, true>(bytes, spread, activations, at, out))
            };
        }
    }
}

/// Adds the product of `ROWS` rows with one block. Everything within a block is whole numbers, so that it is the same
/// however it is computed. `at` is the place of the first row in the activations of this block.
#[inline(always)]
unsafe fn block_rows<
    L: Lanes,
    const BITS: usize,
    const SCALES: usize,
    const LEAST: bool,
    const SPREAD: bool,
    const ROWS: usize,
    const WIDTH: usize,
>(
    bytes: *const u8,
    spread: *const u8,
    activations: &Activations,
    at: usize,
    out: *mut [f32; TILE],
) {
    let quads = QUADS / SCALES;
    let most = most_quads::<L, BITS, SCALES>();
    let run = if most < quads { most } else { quads };
    for outputs in (0..TILE).step_by(WIDTH * L::COUNT) {
        // SAFETY: the caller vouches for the sizes: every number of the block is read once, and `out` has 32 numbers a
        // row.
        unsafe {
            let scales = bytes.add(GROUPS * level_bytes(BITS) + outputs);
            let leasts = scales.add(GROUPS * SCALES * TILE);
            let mut whole = [[L::splat(0); WIDTH]; ROWS];
            for group in 0..GROUPS {
                if !SPREAD && outputs == 0 {
                    let leasts = if LEAST { (GROUPS + 2) * TILE } else { 0 };
                    let size = GROUPS * (level_bytes(BITS) + SCALES * TILE) + leasts + 2 * TILE;
                    fetch_ahead::<L>(bytes, size, group, GROUPS);
                }
                for part in 0..SCALES {
                    let scales = scales.add((group * SCALES + part) * TILE);
                    let mut factors = [L::splat(0); WIDTH];
                    for (register, factor) in factors.iter_mut().enumerate() {
                        *factor = L::load_scales(scales.add(register * L::COUNT));
                    }
                    for start in (part * quads..(part + 1) * quads).step_by(run) {
                        let mut sums = [[L::splat(0); WIDTH]; ROWS];
                        // Rolled: else the compiler would load the values of all quads before the first product, more
                        // than there are registers, and put them away. A Zen 4 is 2 to 7 % faster for it.
                        let end = if SPREAD && L::ROLLED { black_box(start + run) } else { start + run };
                        for quad in start..end {
                            let mut registers = [L::splat(0); WIDTH];
                            for (register, levels) in registers.iter_mut().enumerate() {
                                let place = (outputs + register * L::COUNT) * 4;
                                *levels = if SPREAD {
                                    L::load(spread.add((group * QUADS + quad) * QUAD_BYTES + place))
                                } else {
                                    self::levels::<L, BITS>(bytes.add(group * level_bytes(BITS)), quad, place)
                                };
                            }
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let part = group / 2 * BLOCK_PART + group % 2 * GROUP;
                                let place = block_row(at + row) + part + quad * 4;
                                let values = four_values::<L>(activations, place);
                                for (sum, levels) in sums.iter_mut().zip(registers) {
                                    *sum = L::dot::<BITS>(*sum, levels, values);
                                }
                            }
                        }
                        for (whole, sums) in whole.iter_mut().zip(sums) {
                            for register in 0..WIDTH {
                                whole[register] = L::add_scaled(whole[register], sums[register], factors[register]);
                            }
                        }
                    }
                }
            }

            let mut less = [[L::splat(0); WIDTH]; ROWS];
            let (pairs, first_sum) = if LEAST { (leasts, GROUPS) } else { (scales, 0) };
            for pair in 0..if LEAST { GROUPS / 2 } else { GROUPS } {
                for register in 0..WIDTH {
                    let pairs = pairs.add(2 * pair * TILE + register * L::COUNT);
                    let numbers = L::load_pairs(pairs, pairs.add(TILE));
                    for (row, less) in less.iter_mut().enumerate() {
                        let sums = *activations.sums().get_unchecked((at + row) * BLOCK_SUMS + first_sum + pair);
                        less[register] = L::dot_pairs(less[register], numbers, L::splat(sums));
                    }
                }
            }

            let halves = leasts.add(if LEAST { GROUPS * TILE } else { 0 }).add(outputs);
            for register in 0..WIDTH {
                let scale = L::load_halves(halves.add(register * L::COUNT * 2));
                let least = if LEAST {
                    let least = L::load_halves(halves.add((TILE + register * L::COUNT) * 2));
                    L::add_product(L::splat_real(0.0), least, L::splat_real(-1.0))
                } else {
                    L::splat_real(0.0)
                };
                for row in 0..ROWS {
                    let out = out.add(row).cast::<f32>().add(outputs + register * L::COUNT);
                    let scale_of_row = L::splat_real(*activations.scales.get_unchecked(at + row));
                    let value = if LEAST {
                        let value = L::add_product(L::splat_real(0.0), L::real(whole[row][register]), scale);
                        L::add_product(value, L::real(less[row][register]), least)
                    } else {
                        const { assert!(ZERO_OF_BLOCKS == 32, "what `less_zeros` multiplies with") };
                        let whole = L::less_zeros(whole[row][register], less[row][register]);
                        L::add_product(L::splat_real(0.0), L::real(whole), scale)
                    };
                    L::store(out, L::add_product(L::load_reals(out), value, scale_of_row));
                }
            }
        }
    }
}

/// Quads that [`Lanes::dot`] may add up for levels of so many bits.
#[inline(always)]
const fn most_quads<L: Lanes, const BITS: usize, const SCALES: usize>() -> usize {
    match (BITS, SCALES) {
        (4, _) => L::MOST_QUADS_4,
        // `Q5_0`, `Q5_1` and `Q5_K` are kept in six bits and fill five.
        (6, 1) => L::MOST_QUADS_5,
        (6, _) => L::MOST_QUADS_6,
        _ => QUADS,
    }
}

/// Four values of a row, for every output.
#[inline(always)]
unsafe fn four_values<L: Lanes>(activations: &Activations, at: usize) -> L::Whole {
    // SAFETY: the caller vouches for the place.
    unsafe { L::splat(activations.values().as_ptr().add(at).cast::<i32>().read_unaligned()) }
}

/// The levels of one quad of a group, a byte each, from byte `at` of the quad.
#[inline(always)]
pub(super) unsafe fn levels<L: Lanes, const BITS: usize>(group: *const u8, quad: usize, at: usize) -> L::Whole {
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
