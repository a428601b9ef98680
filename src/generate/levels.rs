//! What the block formats of GGUF say: whole levels, and for each 16 or 32 of them a scale and a least value.
//! The layouts are those of llama.cpp's `ggml-common.h`; a weight is `scale * level - least`.

use candle_core::quantized::GgmlDType;
use half::f16;

/// Weights that are read at once, whatever the format calls its block.
pub(super) const GROUP: usize = 32;

/// Weights in a block of the K formats.
pub(super) const BLOCK: usize = 256;

/// 32 weights in a row of a matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// At most 15, 63 or 255, by [`Grid::bits`].
    pub(super) levels: [u8; GROUP],
    /// Of the first and the last 16 weights.
    pub(super) scales: [f32; 2],
    /// Subtracted from all 32, where [`Grid::has_least`].
    pub(super) least: f32,
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
    /// Activations that share a scale when they meet such weights, as in llama.cpp: 256 for the K formats, 32 else.
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

/// Reads one row of a tensor's bytes, group by group; `None` for a format that must be turned into floats first.
pub(super) fn read_row(kind: GgmlDType, row: &[u8]) -> Option<Vec<Group>> {
    let each = |size: usize, read: fn(&[u8], &mut Vec<Group>)| {
        let mut groups = Vec::with_capacity(row.len() / size * 8);
        row.chunks_exact(size).for_each(|block| read(block, &mut groups));
        Some(groups)
    };
    match kind {
        GgmlDType::Q4_0 => each(18, |block, out| out.push(nibbles(block, 2))),
        GgmlDType::Q4_1 => each(20, |block, out| out.push(Group { least: -real(&block[2..]), ..nibbles(block, 4) })),
        GgmlDType::Q5_0 => each(22, |block, out| out.push(fifth_bits(nibbles(block, 6), &block[2..6]))),
        GgmlDType::Q5_1 => each(24, |block, out| {
            out.push(Group { least: -real(&block[2..]), ..fifth_bits(nibbles(block, 8), &block[4..8]) });
        }),
        GgmlDType::Q8_0 => each(34, |block, out| {
            let levels = std::array::from_fn(|at| block[2 + at].wrapping_add(128));
            out.push(Group { levels, ..scaled(real(block)) });
        }),
        GgmlDType::Q4K => each(144, |block, out| k_groups(block, &[], &block[16..], out)),
        GgmlDType::Q5K => each(176, |block, out| k_groups(block, &block[16..48], &block[48..], out)),
        GgmlDType::Q6K => each(210, six_bits),
        _ => None,
    }
}

/// Rounds 32 numbers to 8 bits, as `Q8_0` does.
pub(super) fn round(values: &[f32]) -> Group {
    let highest = values.iter().fold(0.0, |highest: f32, value| highest.max(value.abs()));
    let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
    let levels = std::array::from_fn(|at| ((values[at] * inverse).round() as i32 + 128) as u8);
    Group { levels, ..scaled(highest / 127.0) }
}

fn real(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

fn scaled(scale: f32) -> Group {
    Group { levels: [0; GROUP], scales: [scale; 2], least: 0.0 }
}

/// The old 4-bit formats: 16 bytes at `from`, the first half of the group in their low bits.
fn nibbles(block: &[u8], from: usize) -> Group {
    let levels = std::array::from_fn(|at| if at < 16 { block[from + at] & 15 } else { block[from + at - 16] >> 4 });
    Group { levels, ..scaled(real(block)) }
}

/// Their 5-bit relatives: one more bit for each weight, in order.
fn fifth_bits(mut group: Group, bits: &[u8]) -> Group {
    for (at, level) in group.levels.iter_mut().enumerate() {
        *level |= (bits[at / 8] >> (at % 8) & 1) << 4;
    }
    group
}

/// `Q4_K` and `Q5_K`: eight groups, whose scale and least value have 6 bits each. `fifth` holds a bit plane a group.
fn k_groups(block: &[u8], fifth: &[u8], nibbles: &[u8], out: &mut Vec<Group>) {
    let (scale, least) = (real(block), real(&block[2..]));
    let packed = &block[4..16];
    for at in 0..8 {
        let (of_scale, of_least) = if at < 4 {
            (packed[at] & 63, packed[at + 4] & 63)
        } else {
            let (low, high) = (packed[at + 4], |from: usize| packed[from] >> 6 << 4);
            (low & 15 | high(at - 4), low >> 4 | high(at))
        };
        let bytes = &nibbles[at / 2 * GROUP..][..GROUP];
        let levels = std::array::from_fn(|n| {
            let level = bytes[n] >> (at % 2 * 4) & 15;
            fifth.get(n).map_or(level, |bits| level | (bits >> at & 1) << 4)
        });
        out.push(Group { levels, scales: [scale * f32::from(of_scale); 2], least: least * f32::from(of_least) });
    }
}

/// `Q6_K`: two halves of 128 weights, the two upper bits of each in a plane of their own, a scale for every 16.
fn six_bits(block: &[u8], out: &mut Vec<Group>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let whole = real(&block[208..]);
    for at in 0..8 {
        let (half, quarter) = (at / 4, at % 4);
        let levels = std::array::from_fn(|n| {
            let nibble = low[half * 64 + quarter % 2 * 32 + n] >> (quarter / 2 * 4) & 15;
            nibble | (high[half * 32 + n] >> (quarter * 2) & 3) << 4
        });
        let scale = |n: usize| whole * f32::from(scales[2 * at + n].cast_signed());
        // Its zero is a level, so there is no least value to subtract.
        out.push(Group { levels, scales: [scale(0), scale(1)], least: 0.0 });
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
        let groups: Vec<Group> = bytes.chunks(bytes.len() / 2).flat_map(|row| read_row(kind, row).unwrap()).collect();
        assert_eq!(groups.len(), 16, "{kind:?}");
        for (group, wanted) in groups.iter().zip(wanted.chunks(GROUP)) {
            for (at, wanted) in wanted.iter().enumerate() {
                let level = f32::from(group.levels[at]);
                assert!(f32::from(group.levels[at]) < 2f32.powi(grid.bits as i32));
                let scale = group.scales[at / 16];
                let found =
                    if grid.has_least { scale * level - group.least } else { scale * (level - f32::from(grid.zero)) };
                assert!((found - wanted).abs() < 1e-5, "{kind:?} {at}: {found} instead of {wanted}");
                assert!(grid.scales == 2 || group.scales[0].to_bits() == group.scales[1].to_bits());
            }
        }
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
        assert!((group.scales[0] * 127.0 - 20.0).abs() < 1e-5);
    }
}
