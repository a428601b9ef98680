//! Tiles of 16 rows of 64 bytes, multiplied by one instruction (Intel AMX). The compiler has no stable functions for
//! them yet, so they are written as assembly. Tiles keep their shapes and sums from one piece of it to the next: the
//! compiler knows nothing of tiles, and nothing else in this program uses them.
//!
//! In a block, level times whole scale is a whole number of at most 13 bits. Its lower eight and its upper bits are
//! multiplied apart, and 256 inputs are summed before anything becomes a float: the same whole numbers as elsewhere.

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512, __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_fmadd_ps,
    _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_mullo_epi16, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srli_epi16, _mm512_srli_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_epi8, _mm512_sub_epi16, _mm512_ternarylogic_epi32,
};
use std::ops::Range;
use std::sync::LazyLock;

use super::super::levels::{BLOCK, GROUP, GROUPS};
use super::super::packed::{QUAD_BYTES, TILE, Tile, level_bytes, span_bytes};
use super::avx512::{self, Avx512};
use super::lanes::{Lanes, QUADS, by_grid, levels};
use super::{Activations, BLOCK_SUMS, ROW_STEP, ZERO_OF_BLOCKS, block_row};

/// Fewer rows are sooner done without tiles, which always compute 16.
const FEWEST_ROWS: usize = 8;

/// Rows of a tile, and outputs of one.
const SIDE: usize = 16;

/// Whether the CPU has the tiles and Linux lets this process use them; it must be asked once.
pub(super) fn is_available() -> bool {
    static GRANTED: LazyLock<bool> = LazyLock::new(|| {
        const LEAF: u32 = 7;
        const TILES: u32 = 1 << 24;
        const BYTES: u32 = 1 << 25;
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        let features = __cpuid_count(LEAF, 0).edx;
        if features & TILES == 0 || features & BYTES == 0 {
            return false;
        }
        // SAFETY: this call takes two numbers and touches no memory of ours; a kernel that does not know it says so.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    });
    *GRANTED
}

/// # Safety
/// As [`lanes::multiply`](super::lanes::multiply); `out` has whole steps of rows where the activations have room for them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn multiply(tile: Tile<'_>, activations: &Activations, rows: Range<usize>, out: &mut [[f32; TILE]]) {
    // SAFETY: this function's contract is the same. Where there is room for whole steps of rows, these begin at a
    // multiple of a step, so that every tile that is loaded lies inside the activations.
    unsafe {
        if rows.len() < FEWEST_ROWS || !activations.room.is_multiple_of(ROW_STEP) {
            return avx512::multiply(tile, activations, rows, out);
        }
        assert!(rows.start.is_multiple_of(ROW_STEP) && out.len() >= rows.len().next_multiple_of(ROW_STEP));
        let out = &mut out[..rows.len().next_multiple_of(ROW_STEP)];
        configure(if tile.grid.span == BLOCK { 64 } else { GROUP as u8 });
        by_grid!(tile.grid, [], (tile, activations, rows, out));
        asm!("tilerelease", options(nostack, nomem));
    }
}

/// Shapes the tiles: 0 to 3 are sums, 4 and 5 rows of `depth` values, 6 and 7 as many levels of 16 outputs.
///
/// # Safety
/// The CPU has tiles and the process may use them.
unsafe fn configure(depth: u8) {
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }
    let mut shapes = Shapes { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    for (at, (bytes, rows)) in shapes.row_bytes.iter_mut().zip(&mut shapes.rows).take(8).enumerate() {
        (*bytes, *rows) = match at {
            0..4 => (64, SIDE as u8),
            4..6 => (u16::from(depth), SIDE as u8),
            _ => (64, depth / 4),
        };
    }
    // SAFETY: the caller vouches for the instruction; it reads the 64 bytes of `shapes`.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly)) }
}

/// Memory that tiles are loaded from and stored to, in whole cache lines.
#[repr(align(64))]
struct Lines<const BYTES: usize>([u8; BYTES]);

/// Bytes of the levels of 16 outputs in a block.
const HALF_BLOCK: usize = BLOCK * SIDE;
/// Bytes of a tile of sums.
const SUMS: usize = SIDE * 64;
/// Rows that are finished between two pieces of assembly.
const PART: usize = ROW_STEP / 4;

/// Multiplies one unit in four parts, and finishes a quarter of the rows of the one before after each.
macro_rules! while_finishing {
    (
        $unit:ident, $units:ident, $all_sums:ident, $multiply:ident($values:ident, $levels:ident),
        |$before:ident, $part:ident, $sums:ident| $finish:block
    ) => {
        while_finishing!(@part 0, $unit, $units, $all_sums, $multiply, $values, $levels, $before, $part, $sums, $finish);
        while_finishing!(@part 1, $unit, $units, $all_sums, $multiply, $values, $levels, $before, $part, $sums, $finish);
        while_finishing!(@part 2, $unit, $units, $all_sums, $multiply, $values, $levels, $before, $part, $sums, $finish);
        while_finishing!(@part 3, $unit, $units, $all_sums, $multiply, $values, $levels, $before, $part, $sums, $finish);
        if $unit < $units {
            store_sums(&mut $all_sums[$unit % 2]);
        }
    };
    (
        @part $number:literal, $unit:ident, $units:ident, $all_sums:ident, $multiply:ident, $values:ident, $levels:ident,
        $before:ident, $part:ident, $sums:ident, $finish:block
    ) => {
        if $unit < $units {
            $multiply::<$number>($values, $levels);
        }
        if let Some($before) = $unit.checked_sub(1) {
            let $part = $number;
            let $sums = $all_sums[$before % 2].0.as_ptr().add($part / 2 * 2 * SUMS + $part % 2 * PART * 64);
            $finish
        }
    };
}

/// The product with a tile of blocks. While 32 rows are multiplied with 16 outputs, the sums of those before them are
/// finished, so that tiles and vectors are busy at the same time.
///
/// # Safety
/// As [`multiply`], with tiles shaped for 64 values.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn blocks<const BITS: usize, const SCALES: usize, const LEAST: bool>(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    out.fill([0.0; TILE]);
    // Of each half of the outputs, the lower bytes and then the upper ones.
    let mut spread = Lines([0; 4 * HALF_BLOCK]);
    let mut sums = [Lines([0; 4 * SUMS]), Lines([0; 4 * SUMS])];
    let units = 2 * (out.len() / ROW_STEP);
    for block in 0..activations.spans {
        // SAFETY: the block is inside the tile, and every place that is read or written inside its buffer: rows that
        // the tiles take beyond `rows` are in the room for them.
        unsafe {
            let bytes = tile.bytes.as_ptr().add(block * span_bytes(tile.grid));
            spread_block::<BITS, SCALES>(bytes, &mut spread);
            let numbers = bytes.add(GROUPS * (level_bytes(BITS) + SCALES * TILE));
            let of_half = [Numbers::of_block::<LEAST>(numbers, 0), Numbers::of_block::<LEAST>(numbers, 1)];
            let at = activations.place(block, rows.start);
            for unit in 0..=units {
                let values = activations.values().as_ptr().add(block_row(at + unit / 2 * ROW_STEP));
                let levels = spread.0.as_ptr().add(unit % 2 * 2 * HALF_BLOCK);
                while_finishing!(unit, units, sums, multiply_quarter(values, levels), |before, part, sums| {
                    let row = before / 2 * ROW_STEP + part * PART;
                    let out = out.as_mut_ptr().add(row).cast::<f32>().add(before % 2 * SIDE);
                    finish_block_rows::<LEAST>(&of_half[before % 2], activations, at + row, sums, out);
                });
            }
        }
    }
}

/// Scales and leasts of 16 outputs.
struct Numbers {
    scale: __m512,
    least: __m512,
    /// Whole leasts of each two groups of a block.
    pairs: [__m512i; GROUPS / 2],
}

impl Numbers {
    /// Those of one half of the outputs of a block, whose whole leasts and half floats are at `numbers`.
    ///
    /// # Safety
    /// The CPU has the instructions, and the numbers are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn of_block<const LEAST: bool>(numbers: *const u8, half: usize) -> Self {
        let mut found = Self {
            scale: _mm512_setzero_ps(),
            least: _mm512_setzero_ps(),
            pairs: [_mm512_setzero_si512(); GROUPS / 2],
        };
        // SAFETY: passed on from this function's contract.
        unsafe {
            let halves = numbers.add(if LEAST { GROUPS * TILE } else { 0 });
            found.scale = Avx512::load_halves(halves.add(half * SIDE * 2));
            if LEAST {
                found.least = Avx512::load_halves(halves.add((TILE + half * SIDE) * 2));
                for (pair, pairs) in found.pairs.iter_mut().enumerate() {
                    let leasts = numbers.add(2 * pair * TILE + half * SIDE);
                    *pairs = Avx512::load_pairs(leasts, leasts.add(TILE));
                }
            }
        }
        found
    }
}

/// Adds the sums of [`PART`] rows to `out`; the sums of the upper bytes are a tile behind those of the lower ones.
///
/// # Safety
/// The CPU has the instructions; the rows from `at` have room in the activations, in `sums` and in `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn finish_block_rows<const LEAST: bool>(
    numbers: &Numbers,
    activations: &Activations,
    at: usize,
    sums: *const u8,
    out: *mut f32,
) {
    for row in 0..PART {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let low = sums.add(row * 64);
            let (low, high) = (Avx512::load(low), Avx512::load(low.add(SUMS)));
            let whole = _mm512_add_epi32(low, _mm512_slli_epi32::<8>(high));
            let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), numbers.scale);
            if LEAST {
                let row_sums = activations.sums().as_ptr().add((at + row) * BLOCK_SUMS + GROUPS);
                let mut less = _mm512_setzero_si512();
                for (pair, leasts) in numbers.pairs.iter().enumerate() {
                    less = Avx512::dot_pairs(less, *leasts, _mm512_set1_epi32(*row_sums.add(pair)));
                }
                value = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(less), numbers.least, value);
            }
            let scale = _mm512_set1_ps(*activations.scales.as_ptr().add(at + row));
            let out = out.add(row * TILE);
            _mm512_storeu_ps(out, _mm512_fmadd_ps(value, scale, _mm512_loadu_ps(out)));
        }
    }
}

/// Level times whole scale of each weight of a block, its lower eight bits and what is above them.
///
/// # Safety
/// The CPU has the instructions, and `bytes` are those of a block.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn spread_block<const BITS: usize, const SCALES: usize>(
    bytes: *const u8,
    spread: &mut Lines<{ 4 * HALF_BLOCK }>,
) {
    let low_bytes = _mm512_set1_epi16(0xFF);
    for half in 0..2 {
        for group in 0..GROUPS {
            for part in 0..SCALES {
                // SAFETY: the block holds a scale for each part of a group and output, and `spread` has a place for each
                // quad.
                unsafe {
                    let scales = bytes.add(GROUPS * level_bytes(BITS) + (group * SCALES + part) * TILE + half * SIDE);
                    let upper = _mm512_slli_epi32::<16>(Avx512::load_scales(scales));
                    let scales = _mm512_or_si512(upper, _mm512_srli_epi32::<16>(upper));
                    for quad in part * QUADS / SCALES..(part + 1) * QUADS / SCALES {
                        let levels =
                            levels::<Avx512, BITS>(bytes.add(group * level_bytes(BITS)), quad, half * SIDE * 4);
                        let (mut even, mut odd) = (_mm512_and_si512(levels, low_bytes), _mm512_srli_epi16::<8>(levels));
                        if SCALES == 2 {
                            let zero = _mm512_set1_epi16(ZERO_OF_BLOCKS as i16);
                            (even, odd) = (_mm512_sub_epi16(even, zero), _mm512_sub_epi16(odd, zero));
                        }
                        let (even, odd) = (_mm512_mullo_epi16(even, scales), _mm512_mullo_epi16(odd, scales));
                        let low = select(low_bytes, even, _mm512_slli_epi16::<8>(odd));
                        let high = select(low_bytes, _mm512_srai_epi16::<8>(even), odd);
                        let place = half * 2 * HALF_BLOCK + (group * QUADS + quad) * SIDE * 4;
                        let place = spread.0.as_mut_ptr().add(place);
                        _mm512_storeu_si512(place.cast(), low);
                        _mm512_storeu_si512(place.add(HALF_BLOCK).cast(), high);
                    }
                }
            }
        }
    }
}

/// Bits of `a` where `mask` has ones, else of `b`.
#[target_feature(enable = "avx512f")]
fn select(mask: __m512i, a: __m512i, b: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xCA>(mask, a, b)
}

/// Multiplies 64 of 256 values of 32 rows with the levels of 16 outputs: tiles 0 and 1 hold the sums of the lower and
/// the upper bytes of the first 16 rows, 2 and 3 those of the others.
///
/// # Safety
/// Tiles are shaped for 64 values; `values` has 32 rows and `levels` both bytes of each level.
#[inline]
unsafe fn multiply_quarter<const QUARTER: usize>(values: *const i8, levels: *const u8) {
    // SAFETY: the caller vouches for the places; no tile is used by anything else.
    unsafe {
        if QUARTER == 0 {
            clear_sums();
        }
        asm!(
            "tileloadd tmm6, [{low} + {line} + {quarter} * 1024]",
            "tileloadd tmm4, [{first} + {line} + {quarter} * 1024]",
            "tdpbsud tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{second} + {line} + {quarter} * 1024]",
            "tdpbsud tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{high} + {line} + {quarter} * 1024]",
            "tdpbssd tmm1, tmm4, tmm7",
            "tdpbssd tmm3, tmm5, tmm7",
            low = in(reg) levels,
            high = in(reg) levels.add(HALF_BLOCK),
            first = in(reg) values,
            second = in(reg) values.add(SIDE * BLOCK),
            line = in(reg) 64_usize,
            quarter = const QUARTER,
            options(nostack, readonly),
        );
    }
}

/// # Safety
/// Tiles are shaped.
#[inline]
unsafe fn clear_sums() {
    // SAFETY: the caller vouches for the instructions; no tile is used by anything else.
    unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) }
}

/// # Safety
/// Tiles are shaped.
#[inline]
unsafe fn store_sums(sums: &mut Lines<{ 4 * SUMS }>) {
    // SAFETY: the caller vouches for the instructions; the four tiles fill `sums`.
    unsafe {
        asm!(
            "tilestored [{sums} + {line}], tmm0",
            "tilestored [{sums} + {line} + 1024], tmm1",
            "tilestored [{sums} + {line} + 2048], tmm2",
            "tilestored [{sums} + {line} + 3072], tmm3",
            sums = in(reg) sums.0.as_mut_ptr(),
            line = in(reg) 64_usize,
            options(nostack),
        );
    }
}

/// The product with a tile of groups; sums are finished as in [`blocks`].
///
/// # Safety
/// As [`multiply`], with tiles shaped for 32 values.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn groups<const BITS: usize, const LEAST: bool>(
    tile: Tile<'_>,
    activations: &Activations,
    rows: Range<usize>,
    out: &mut [[f32; TILE]],
) {
    out.fill([0.0; TILE]);
    let mut spread = Lines([0; GROUP * TILE]);
    let mut sums = [Lines([0; 4 * SUMS]), Lines([0; 4 * SUMS])];
    let units = out.len() / ROW_STEP;
    for group in 0..activations.spans {
        // SAFETY: the group is inside the tile, and every place that is read or written inside its buffer: rows that
        // the tiles take beyond `rows` are in the room for them.
        unsafe {
            let bytes = tile.bytes.as_ptr().add(group * span_bytes(tile.grid));
            let zero = _mm512_set1_epi8(tile.grid.zero.cast_signed());
            for at in 0..2 * QUADS {
                let levels = levels::<Avx512, BITS>(bytes, at / 2, at % 2 * SIDE * 4);
                Avx512::store_bytes(spread.0.as_mut_ptr().add(at * SIDE * 4), _mm512_sub_epi8(levels, zero));
            }
            let numbers = bytes.add(level_bytes(BITS));
            let of_half = [Numbers::of_group::<LEAST>(numbers, 0), Numbers::of_group::<LEAST>(numbers, 1)];
            let at = activations.place(group, rows.start);
            for unit in 0..=units {
                let values = activations.values().as_ptr().add((at + unit * ROW_STEP) * GROUP);
                let levels = spread.0.as_ptr();
                while_finishing!(unit, units, sums, multiply_sixteenth(values, levels), |before, part, sums| {
                    let row = before * ROW_STEP + part * PART;
                    let out = out.as_mut_ptr().add(row).cast::<f32>();
                    finish_group_rows::<LEAST>(&of_half, activations, at + row, sums, out);
                });
            }
        }
    }
}

impl Numbers {
    /// Those of one half of the outputs of a group, whose half floats are at `numbers`.
    ///
    /// # Safety
    /// The CPU has the instructions, and the numbers are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn of_group<const LEAST: bool>(numbers: *const u8, half: usize) -> Self {
        // SAFETY: passed on from this function's contract.
        unsafe {
            let numbers = numbers.add(half * SIDE * 2);
            let least = if LEAST { Avx512::load_halves(numbers.add(TILE * 2)) } else { _mm512_setzero_ps() };
            Self { scale: Avx512::load_halves(numbers), least, pairs: [_mm512_setzero_si512(); GROUPS / 2] }
        }
    }
}

/// Adds the sums of [`PART`] rows and all outputs to `out`; those of the second half are a tile behind the first.
///
/// # Safety
/// As [`finish_block_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn finish_group_rows<const LEAST: bool>(
    of_half: &[Numbers; 2],
    activations: &Activations,
    at: usize,
    sums: *const u8,
    out: *mut f32,
) {
    for row in 0..PART {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let scale = _mm512_set1_ps(*activations.scales.as_ptr().add(at + row));
            let sum = _mm512_cvtepi32_ps(_mm512_set1_epi32(*activations.sums().as_ptr().add(at + row)));
            for (half, numbers) in of_half.iter().enumerate() {
                let whole = _mm512_loadu_si512(sums.add(half * SUMS + row * 64).cast());
                let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), numbers.scale);
                if LEAST {
                    value = _mm512_fnmadd_ps(sum, numbers.least, value);
                }
                let out = out.add(row * TILE + half * SIDE);
                _mm512_storeu_ps(out, _mm512_fmadd_ps(value, scale, _mm512_loadu_ps(out)));
            }
        }
    }
}

/// Multiplies 16 of 32 rows of 32 values with 16 of 32 outputs: tiles 0 and 1 hold the sums of the first 16 rows, 2 and
/// 3 those of the others. Must be called for 0 to 3 in order.
///
/// # Safety
/// Tiles are shaped for 32 values; `values` has 32 rows and `levels` 8 quads of 32 outputs.
#[inline]
unsafe fn multiply_sixteenth<const PART: usize>(values: *const i8, levels: *const u8) {
    // SAFETY: the caller vouches for the places; no tile is used by anything else.
    unsafe {
        match PART {
            0 => {
                clear_sums();
                asm!(
                    "tileloadd tmm6, [{levels} + {quad}]",
                    "tileloadd tmm4, [{values} + {stride}]",
                    "tdpbssd tmm0, tmm4, tmm6",
                    levels = in(reg) levels,
                    values = in(reg) values,
                    quad = in(reg) QUAD_BYTES,
                    stride = in(reg) GROUP,
                    options(nostack, readonly),
                );
            }
            1 => asm!(
                "tileloadd tmm7, [{levels} + {quad}]",
                "tdpbssd tmm1, tmm4, tmm7",
                levels = in(reg) levels.add(SIDE * 4),
                quad = in(reg) QUAD_BYTES,
                options(nostack, readonly),
            ),
            2 => asm!(
                "tileloadd tmm5, [{values} + {stride}]",
                "tdpbssd tmm2, tmm5, tmm6",
                values = in(reg) values.add(SIDE * GROUP),
                stride = in(reg) GROUP,
                options(nostack, readonly),
            ),
            _ => asm!("tdpbssd tmm3, tmm5, tmm7", options(nostack, nomem)),
        }
    }
}
