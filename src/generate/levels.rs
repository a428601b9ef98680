//! What the block formats of GGUF say: whole levels, and for each 16 or 32 of them a scale and a least value.
//! The layouts are those of llama.cpp's `ggml-common.h`.

use candle_core::quantized::GgmlDType;
use half::f16;

/// Weights that share a scale in the older formats, and a least value in the K formats.
pub(super) const GROUP: usize = 32;

/// Weights in a block of the K formats.
pub(super) const BLOCK: usize = 256;

/// Groups in a block.
pub(super) const GROUPS: usize = BLOCK / GROUP;

/// 32 weights in a row of a matrix, each `scale * (level - zero) - least`, where [`Grid`] tells the zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// At most 15, 63 or 255, by [`Grid::bits`].
    pub(super) levels: [u8; GROUP],
    pub(super) scale: f32,
    /// 0 unless [`Grid::has_least`].
    pub(super) least: f32,
}

/// 256 weights of a K format in a row of a matrix, each `scale * whole scale * (level - zero) - least * whole least`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// At most 15 or 63.
    pub(super) levels: [u8; BLOCK],
    pub(super) scale: f16,
    pub(super) least: f16,
    /// Of each 32 weights, or of each 16 where [`Grid::scales`] is 2.
    pub(super) whole_scales: [i8; 2 * GROUPS],
    /// Of each 32 weights; at most 63.
    pub(super) whole_leasts: [i8; GROUPS],
}

/// A row of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    /// Of any format but those below.
    Groups(Vec<Group>),
    /// Of a K format.
    Blocks(Vec<Block>),
}

/// How finely the weights of a format are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Bits of a level: 4, 6 or 8.
    pub(super) bits: usize,
    /// Scales in a group: 1 or 2.
    pub(super) scales: usize,
    /// Whether each group has a least value of its own.
    pub(super) has_least: bool,
    /// Else: the level that stands for 0.
    pub(super) zero: u8,
    /// Weights that are kept together, and activations that share a scale when they meet them, as in llama.cpp: a
    /// [`Block`] of the K formats, a [`Group`] else.
    pub(super) span: usize,
}

impl Grid {
    /// The grid that holds a format exactly, or 8 bits for one that is rounded to it (see [`round`]).
    pub(super) fn of(kind: GgmlDType) -> Self {
        let symmetric = |bits, zero| Self { bits, scales: 1, has_least: false, zero, span: GROUP };
        let with_least = |bits, span| Self { bits, scales: 1, has_least: true, zero: 0, span };
        match kind {
            GgmlDType::Q4_0 => symmetric(4, 8),
            GgmlDType::Q5_0 => symmetric(6, 16),
            GgmlDType::Q4_1 => with_least(4, GROUP),
            GgmlDType::Q5_1 => with_least(6, GROUP),
            GgmlDType::Q4K => with_least(4, BLOCK),
            GgmlDType::Q5K => with_least(6, BLOCK),
            GgmlDType::Q6K => Self { scales: 2, span: BLOCK, ..symmetric(6, 32) },
            _ => symmetric(8, 128),
        }
    }
}

/// Reads one row of a tensor's bytes; `None` for a format that must be turned into floats first.
pub(super) fn read_row(kind: GgmlDType, row: &[u8]) -> Option<Row> {
    let groups = |size: usize, read: fn(&[u8]) -> Group| Some(Row::Groups(row.chunks_exact(size).map(read).collect()));
    let blocks = |size: usize, read: fn(&[u8]) -> Block| Some(Row::Blocks(row.chunks_exact(size).map(read).collect()));
    match kind {
        GgmlDType::Q4_0 => groups(18, |bytes| nibbles(bytes, 2)),
        GgmlDType::Q4_1 => groups(20, |bytes| Group { least: -real(&bytes[2..]).to_f32(), ..nibbles(bytes, 4) }),
        GgmlDType::Q5_0 => groups(22, |bytes| fifth_bits(nibbles(bytes, 6), &bytes[2..6])),
        GgmlDType::Q5_1 => groups(24, |bytes| Group {
            least: -real(&bytes[2..]).to_f32(),
            ..fifth_bits(nibbles(bytes, 8), &bytes[4..8])
        }),
        GgmlDType::Q8_0 => groups(34, |bytes| {
            let levels = std::array::from_fn(|at| bytes[2 + at].wrapping_add(128));
            Group { levels, scale: real(bytes).to_f32(), least: 0.0 }
        }),
        GgmlDType::Q4K => blocks(144, |bytes| with_leasts(bytes, &[], &bytes[16..])),
        GgmlDType::Q5K => blocks(176, |bytes| with_leasts(bytes, &bytes[16..48], &bytes[48..])),
        GgmlDType::Q6K => blocks(210, six_bits),
        _ => None,
    }
}

/// Rounds 32 numbers to 8 bits, as `Q8_0` does.
pub(super) fn round(values: &[f32]) -> Group {
    let highest = values.iter().fold(0.0, |highest: f32, value| highest.max(value.abs()));
    let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
    let levels = std::array::from_fn(|at| ((values[at] * inverse).round() as i32 + 128) as u8);
    Group { levels, scale: highest / 127.0, least: 0.0 }
}

fn real(bytes: &[u8]) -> f16 {
    f16::from_le_bytes([bytes[0], bytes[1]])
}

/// The old 4-bit formats: 16 bytes at `from`, the first half of the group in their low bits.
fn nibbles(bytes: &[u8], from: usize) -> Group {
    let levels = std::array::from_fn(|at| if at < 16 { bytes[from + at] & 15 } else { bytes[from + at - 16] >> 4 });
    Group { levels, scale: real(bytes).to_f32(), least: 0.0 }
}

/// Their 5-bit relatives: one more bit for each weight, in order.
fn fifth_bits(mut group: Group, bits: &[u8]) -> Group {
    for (at, level) in group.levels.iter_mut().enumerate() {
        *level |= (bits[at / 8] >> (at % 8) & 1) << 4;
    }
    group
}

/// `Q4_K` and `Q5_K`: the whole scales and leasts of the eight groups have 6 bits each. `fifth` holds a bit plane a group.
fn with_leasts(bytes: &[u8], fifth: &[u8], nibbles: &[u8]) -> Block {
    let packed = &bytes[4..16];
    let mut block = Block {
        levels: std::array::from_fn(|at| {
            let (group, n) = (at / GROUP, at % GROUP);
            let level = nibbles[group / 2 * GROUP + n] >> (group % 2 * 4) & 15;
            fifth.get(n).map_or(level, |bits| level | (bits >> group & 1) << 4)
        }),
        scale: real(bytes),
        least: real(&bytes[2..]),
        whole_scales: [0; 2 * GROUPS],
        whole_leasts: [0; GROUPS],
    };
    for at in 0..GROUPS {
        let (of_scale, of_least) = if at < 4 {
            (packed[at] & 63, packed[at + 4] & 63)
        } else {
            let (low, high) = (packed[at + 4], |from: usize| packed[from] >> 6 << 4);
            (low & 15 | high(at - 4), low >> 4 | high(at))
        };
        block.whole_scales[at] = of_scale.cast_signed();
        block.whole_leasts[at] = of_least.cast_signed();
    }
    block
}

/// `Q6_K`: two halves of 128 weights, the two upper bits of each in a plane of their own, a whole scale for every 16.
fn six_bits(bytes: &[u8]) -> Block {
    let (low, high, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    Block {
        levels: std::array::from_fn(|at| {
            let (half, quarter, n) = (at / 128, at / GROUP % 4, at % GROUP);
            let nibble = low[half * 64 + quarter % 2 * 32 + n] >> (quarter / 2 * 4) & 15;
            nibble | (high[half * 32 + n] >> (quarter * 2) & 3) << 4
        }),
        scale: real(&bytes[208..]),
        least: f16::ZERO,
        whole_scales: std::array::from_fn(|at| scales[at].cast_signed()),
        whole_leasts: [0; GROUPS],
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    use super::*;

    /// Our reading of a format gives the numbers of candle's.
    fn check(kind: GgmlDType) {
        let values: Vec<f32> = (0..512).map(|at| ((at * 7919 + at / 31) % 1999) as f32 / 1000.0 - 0.7).collect();
        let tensor = QTensor::quantize(&Tensor::from_vec(values, (2, 256), &Device::Cpu).unwrap(), kind).unwrap();
        let wanted: Vec<f32> = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let bytes = tensor.data().unwrap();
        let grid = Grid::of(kind);
        let found: Vec<f32> =
            bytes.chunks(bytes.len() / 2).flat_map(|row| numbers(&read_row(kind, row).unwrap(), grid)).collect();
        assert_eq!(found.len(), wanted.len(), "{kind:?}");
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert!((found - wanted).abs() < 1e-5, "{kind:?} {at}: {found} instead of {wanted}");
        }
    }

    fn numbers(row: &Row, grid: Grid) -> Vec<f32> {
        let zero = f32::from(grid.zero);
        let mut numbers = Vec::new();
        let mut add = |level: &u8, scale: f32, least: f32| {
            assert!(f32::from(*level) < 2f32.powi(grid.bits as i32));
            numbers.push(scale * (f32::from(*level) - zero) - least);
        };
        match row {
            Row::Groups(groups) => {
                assert_eq!(grid.span, GROUP);
                for group in groups {
                    assert!(grid.has_least || group.least == 0.0);
                    group.levels.iter().for_each(|level| add(level, group.scale, group.least));
                }
            }
            Row::Blocks(blocks) => {
                assert_eq!(grid.span, BLOCK);
                for block in blocks {
                    for (at, level) in block.levels.iter().enumerate() {
                        let scale = f32::from(block.whole_scales[at * grid.scales / GROUP]) * block.scale.to_f32();
                        add(level, scale, f32::from(block.whole_leasts[at / GROUP]) * block.least.to_f32());
                    }
                }
            }
        }
        numbers
    }

    #[test]
    fn every_format_is_read_as_candle_reads_it() {
        for kind in [
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
            GgmlDType::Q4K,
            GgmlDType::Q5K,
            GgmlDType::Q6K,
        ] {
            check(kind);
        }
        assert_eq!(read_row(GgmlDType::F32, &[0; 128]), None);
    }

    #[test]
    fn rounding_keeps_the_largest_number() {
        let values: Vec<f32> = (0..32).map(|at| at as f32 - 20.0).collect();
        let group = round(&values);
        assert_eq!((group.levels[0], group.levels[20]), (1, 128));
        assert!((group.scale * 127.0 - 20.0).abs() < 1e-5);
    }
}
