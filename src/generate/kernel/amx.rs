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
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::LazyLock;

use super::super::buffers::Buffer;
use super::super::levels::{BLOCK, GROUP, GROUPS};
use super::super::packed::{QUAD_BYTES, TILE, Tile, level_bytes, span_bytes};
use super::avx512::{self, Avx512};
use super::lanes::{Lanes, QUADS, by_grid, levels};
use super::{Activations, BLOCK_SUMS, FEW_ROWS, ROW_BLOCK, ROW_STEP, ZERO_OF_BLOCKS, block_row};

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
        if rows.len() < FEW_ROWS || !activations.room.is_multiple_of(ROW_STEP) {
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

/// The same for each quarter of a unit, which is a constant for the assembly in it.
macro_rules! for_quarters {
    ($quarter:ident => $body:block) => {
        for_quarters!(@one 0, $quarter, $body);
        for_quarters!(@one 1, $quarter, $body);
        for_quarters!(@one 2, $quarter, $body);
        for_quarters!(@one 3, $quarter, $body);
    };
    (@one $number:literal, $quarter:ident, $body:block) => {{
        #[expect(non_upper_case_globals, reason = "it stands for a variable")]
        const $quarter: usize = $number;
        $body
    }};
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
    // Of each half of the outputs, the lower bytes and then the upper ones. To clear it for each tile would take time.
    let mut spread = MaybeUninit::<Lines<{ 4 * HALF_BLOCK }>>::uninit();
    let spread = spread.as_mut_ptr().cast::<u8>();
    let mut sums = MaybeUninit::<[Lines<{ 4 * SUMS }>; 2]>::uninit();
    let sums = sums.as_mut_ptr().cast::<u8>();
    let sums_of = |unit: usize| sums.wrapping_add(unit % 2 * 4 * SUMS);
    let zeros = Lines([0; SIDE * 4]);
    let units = 2 * (out.len() / ROW_STEP);
    for block in 0..activations.spans {
        // SAFETY: the block is inside the tile, and every place that is read or written inside its buffer: rows that
        // the tiles take beyond `rows` are in the room for them.
        unsafe {
            let bytes = tile.bytes.as_ptr().add(block * span_bytes(tile.grid));
            spread_block::<BITS, SCALES>(bytes, spread);
            let numbers = bytes.add(GROUPS * (level_bytes(BITS) + SCALES * TILE));
            let of_half = [Numbers::of_block::<LEAST>(numbers, 0), Numbers::of_block::<LEAST>(numbers, 1)];
            let at = activations.place(block, rows.start);
            for unit in 0..=units {
                let values = activations.values().as_ptr().add(block_row(at + unit / 2 * ROW_STEP));
                let levels = spread.add(unit % 2 * 2 * HALF_BLOCK);
                for_quarters!(quarter => {
                    if unit < units {
                        multiply_quarter::<quarter>(values, levels);
                    }
                    // Of the rows before, so that tiles and vectors are busy at the same time.
                    if let Some(before) = unit.checked_sub(1) {
                        let sums = sums_of(before).add(quarter / 2 * 2 * SUMS + quarter % 2 * PART * 64);
                        let row = before / 2 * ROW_STEP + quarter * PART;
                        let out = out.as_mut_ptr().add(row).cast::<f32>().add(before % 2 * SIDE);
                        let so_far = if block == 0 { (zeros.0.as_ptr().cast(), 0) } else { (out.cast_const(), TILE) };
                        finish_block_rows::<LEAST>(&of_half[before % 2], activations, at + row, sums, so_far, out);
                    }
                });
                if unit < units {
                    store_sums(sums_of(unit));
                }
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

/// Adds the sums of [`PART`] rows to what there is so far, a row each `stride`; the sums of the upper bytes are a tile behind
/// those of the lower ones.
///
/// # Safety
/// The CPU has the instructions; the rows from `at` have room in the activations, in `sums`, in `so_far` and in `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn finish_block_rows<const LEAST: bool>(
    numbers: &Numbers,
    activations: &Activations,
    at: usize,
    sums: *const u8,
    (so_far, stride): (*const f32, usize),
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
            let so_far = _mm512_loadu_ps(so_far.add(row * stride));
            _mm512_storeu_ps(out.add(row * TILE), _mm512_fmadd_ps(value, scale, so_far));
        }
    }
}

/// Level times whole scale of each weight of a block, its lower eight bits and what is above them.
///
/// # Safety
/// The CPU has the instructions, and `bytes` are those of a block.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn spread_block<const BITS: usize, const SCALES: usize>(bytes: *const u8, spread: *mut u8) {
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
                        let place = spread.add(place);
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
/// Tiles are shaped, and `sums` has room for four.
#[inline]
unsafe fn store_sums(sums: *mut u8) {
    // SAFETY: the caller vouches for the instructions and the place.
    unsafe {
        asm!(
            "tilestored [{sums} + {line}], tmm0",
            "tilestored [{sums} + {line} + 1024], tmm1",
            "tilestored [{sums} + {line} + 2048], tmm2",
            "tilestored [{sums} + {line} + 3072], tmm3",
            sums = in(reg) sums,
            line = in(reg) 64_usize,
            options(nostack),
        );
    }
}

/// Groups whose levels are spread at once: few enough that these and the values of 16 rows stay in the nearest cache.
const SLAB: usize = 8;

/// What [`groups`] works with.
struct Slab {
    /// How many groups are in it.
    groups: usize,
    /// Levels without their zero, of each group quad by quad.
    levels: Lines<{ SLAB * GROUP * TILE }>,
    /// Scales and leasts of each half of the outputs.
    numbers: [[[__m512; 2]; 2]; SLAB],
    /// Sums of the values of each row.
    of_rows: [[f32; ROW_BLOCK]; SLAB],
    /// Two tiles as they are stored.
    sums: Lines<{ 2 * SUMS }>,
}

/// The product with a tile of groups. The products of 16 rows with 16 outputs stay in registers over a slab of groups.
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
    let padded = rows.len().next_multiple_of(SIDE);
    assert!(padded <= ROW_BLOCK);
    let mut room = Buffer::new(size_of::<Slab>() / size_of::<f32>());
    #[expect(clippy::cast_ptr_alignment, reason = "asserted next")]
    let slab = room.as_mut_ptr().cast::<Slab>();
    assert!(slab.is_aligned());
    // SAFETY: as large and as aligned, and any bits are numbers: what was there before does not matter.
    let slab = unsafe { &mut *slab };
    for first in (0..activations.spans).step_by(SLAB) {
        slab.groups = SLAB.min(activations.spans - first);
        let at = activations.place(first, rows.start);
        // SAFETY: the groups are inside the tile, and every place that is read or written inside its buffer: rows that
        // the tiles take beyond `rows` are in the room for them.
        unsafe {
            for group in 0..slab.groups {
                let bytes = tile.bytes.as_ptr().add((first + group) * span_bytes(tile.grid));
                slab.take_group::<BITS, LEAST>(group, bytes, tile.grid.zero.cast_signed());
                if LEAST {
                    let sums = activations.sums().as_ptr().add(at + group * activations.room);
                    for row in (0..padded).step_by(SIDE) {
                        let sums = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums.add(row).cast()));
                        _mm512_storeu_ps(slab.of_rows[group].as_mut_ptr().add(row), sums);
                    }
                }
            }
            for row in (0..padded).step_by(SIDE) {
                for half in 0..2 {
                    slab.multiply::<LEAST>(activations, (at + row, row), half, first == 0, out);
                }
            }
        }
    }
}

impl Slab {
    /// Spreads the levels and numbers of a group.
    ///
    /// # Safety
    /// The CPU has the instructions, `bytes` are those of a group, and `group` is below [`SLAB`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn take_group<const BITS: usize, const LEAST: bool>(&mut self, group: usize, bytes: *const u8, zero: i8) {
        let zero = _mm512_set1_epi8(zero);
        // SAFETY: the group holds as many levels and numbers, and there is a place for each group of a slab.
        unsafe {
            let levels_at = self.levels.0.as_mut_ptr().add(group * GROUP * TILE);
            for at in 0..2 * QUADS {
                let levels = levels::<Avx512, BITS>(bytes, at / 2, at % 2 * SIDE * 4);
                Avx512::store_bytes(levels_at.add(at * SIDE * 4), _mm512_sub_epi8(levels, zero));
            }
            for half in 0..2 {
                let halves = bytes.add(level_bytes(BITS) + half * SIDE * 2);
                self.numbers[group][half][0] = Avx512::load_halves(halves);
                if LEAST {
                    self.numbers[group][half][1] = Avx512::load_halves(halves.add(TILE * 2));
                }
            }
        }
    }

    /// Adds the products of 16 rows, the first of which is the activations' `at` and the out's `row`, with one half of the
    /// outputs to `out`.
    ///
    /// # Safety
    /// As [`multiply`], with tiles shaped for 32 values; the groups of the slab are those of the activations from `at` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn multiply<const LEAST: bool>(
        &mut self,
        activations: &Activations,
        (at, row): (usize, usize),
        half: usize,
        is_first: bool,
        out: &mut [[f32; TILE]],
    ) {
        let groups = self.groups;
        let out = out[row..row + SIDE].as_mut_ptr().cast::<f32>().wrapping_add(half * SIDE);
        let sums = self.sums.0.as_mut_ptr();
        let mut all = [_mm512_setzero_ps(); SIDE];
        // SAFETY: the caller vouches for the places and the instructions.
        unsafe {
            if !is_first {
                for (row, numbers) in all.iter_mut().enumerate() {
                    *numbers = _mm512_loadu_ps(out.add(row * TILE));
                }
            }
            for step in 0..groups + 2 {
                // While one group is multiplied, the one before is stored and the one before that finished.
                if (1..=groups).contains(&step) {
                    if step % 2 == 1 { store_tile::<0>(sums) } else { store_tile::<1>(sums.add(SUMS)) }
                }
                if step < groups {
                    let values = activations.values().as_ptr().add((at + step * activations.room) * GROUP);
                    let levels = self.levels.0.as_ptr().add(step * GROUP * TILE + half * SIDE * 4);
                    if step % 2 == 0 {
                        multiply_group::<0>(values, levels);
                    } else {
                        multiply_group::<1>(values, levels);
                    }
                }
                if let Some(done) = step.checked_sub(2) {
                    let [scales, leasts] = self.numbers[done][half];
                    let of_rows = self.of_rows[done].as_ptr().add(row);
                    let row_scales = activations.scales.as_ptr().add(at + done * activations.room);
                    for (row, numbers) in all.iter_mut().enumerate() {
                        let whole = _mm512_loadu_si512(sums.add(done % 2 * SUMS + row * 64).cast());
                        let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), scales);
                        if LEAST {
                            value = _mm512_fnmadd_ps(_mm512_set1_ps(*of_rows.add(row)), leasts, value);
                        }
                        *numbers = _mm512_fmadd_ps(value, _mm512_set1_ps(*row_scales.add(row)), *numbers);
                    }
                }
            }
            for (row, numbers) in all.iter().enumerate() {
                _mm512_storeu_ps(out.add(row * TILE), *numbers);
            }
        }
    }
}

/// Multiplies 16 rows of 32 values with 16 of 32 outputs into a tile of sums, 0 or 1.
///
/// # Safety
/// Tiles are shaped for 32 values; `values` has 16 rows and `levels` 8 quads of 32 outputs.
#[inline]
unsafe fn multiply_group<const TO: usize>(values: *const i8, levels: *const u8) {
    macro_rules! multiply {
        ($sums:literal, $values:literal, $levels:literal) => {
            asm!(
                concat!("tilezero ", $sums),
                concat!("tileloadd ", $levels, ", [{levels} + {quad}]"),
                concat!("tileloadd ", $values, ", [{values} + {stride}]"),
                concat!("tdpbssd ", $sums, ", ", $values, ", ", $levels),
                levels = in(reg) levels,
                values = in(reg) values,
                quad = in(reg) QUAD_BYTES,
                stride = in(reg) GROUP,
                options(nostack, readonly),
            )
        };
    }
    // SAFETY: the caller vouches for the places; no tile is used by anything else.
    unsafe { if TO == 0 { multiply!("tmm0", "tmm4", "tmm6") } else { multiply!("tmm1", "tmm5", "tmm7") } }
}

/// Stores a tile of sums, 0 or 1.
///
/// # Safety
/// Tiles are shaped; `sums` has room for one.
#[inline]
unsafe fn store_tile<const FROM: usize>(sums: *mut u8) {
    // SAFETY: the caller vouches for the place.
    unsafe {
        asm!(
            "tilestored [{sums} + {line}], tmm{from}",
            sums = in(reg) sums,
            line = in(reg) 64_usize,
            from = const FROM,
            options(nostack),
        );
    }
}
