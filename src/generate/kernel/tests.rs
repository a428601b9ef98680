//! Every kernel that this CPU can run gives the sums of plain Rust, and those are close to the exact products.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::*;

fn noise(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729 + at / 97) % 1999) as f32 / 1000.0 - 1.0).collect()
}

const KINDS: [GgmlDType; 10] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

fn plain_product(activations: &Activations, packed: &Packed) -> Vec<f32> {
    let mut product = vec![0.0; activations.rows * packed.outputs];
    for tile in 0..packed.tiles() {
        let mut out = vec![[0.0; TILE]; activations.rows];
        plain::multiply(packed.tile(tile), activations, &mut out);
        for (row, out) in out.iter().enumerate() {
            let place = product[row * packed.outputs..][..packed.outputs].iter_mut().skip(tile * TILE);
            place.zip(out).for_each(|(place, out)| *place = out * packed.factor);
        }
    }
    product
}

fn check(kind: GgmlDType, rows: usize, inputs: usize, outputs: usize) {
    let weights = Tensor::from_vec(noise(outputs * inputs, 2), (outputs, inputs), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&weights, kind).unwrap();
    let exact: Vec<f32> = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let packed = Packed::pack(kind, outputs, inputs, &tensor.data().unwrap()).unwrap();
    let input = noise(rows * inputs, 1);
    let activations = Activations::new(&input, inputs, packed.grid.span);
    let plain = plain_product(&activations, &packed);

    let (mut off, mut size) = (0.0, 0.0);
    for (at, found) in plain.iter().enumerate() {
        let pairs = input[at / outputs * inputs..][..inputs].iter().zip(&exact[at % outputs * inputs..]);
        let wanted: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        off += (f64::from(*found) - wanted).powi(2);
        size += wanted.powi(2);
    }
    let error = (off / size).sqrt();
    assert!(error < 0.015, "{kind:?}, {rows} x {inputs} x {outputs}: relative error {error}");

    let mut first_kernel: Option<Vec<f32>> = None;
    for kernel in Kernel::available() {
        let [first, second] = activations.multiply(kernel, [&packed, &packed]);
        assert_eq!(*first, *second);
        check_tiled(&activations, kernel, &packed, &first);
        let worst = plain.iter().zip(first.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{kernel:?}, {kind:?}, {rows} x {inputs} x {outputs}: off by {worst}");
        let wanted = first_kernel.get_or_insert_with(|| first.to_vec());
        assert_eq!(*wanted, *first, "{kernel:?}, {kind:?}: not the bits of the first kernel");
    }
}

/// The products in tiles are the same, and are rounded as the plain ones are.
fn check_tiled(activations: &Activations, kernel: Kernel, packed: &Packed, wanted: &[f32]) {
    let outputs = packed.outputs;
    let [tiled] = activations.multiply_tiled(kernel, [packed]);
    for (row, wanted) in wanted.chunks_exact(outputs).enumerate() {
        let mut found = vec![0.0; outputs];
        tiled.read(row, 0, &mut found);
        assert_eq!(found, wanted);
    }
    if outputs.is_multiple_of(GROUP) {
        let [one, other] = [
            Activations::gated(&tiled, &tiled, GROUP, |gate, up| gate.iter_mut().zip(up).for_each(|(a, b)| *a += b)),
            Activations::new(&wanted.iter().map(|x| x + x).collect::<Vec<f32>>(), outputs, GROUP),
        ];
        for span in 0..one.spans {
            for row in 0..one.rows {
                assert_eq!(one.read(one.place(span, row)), other.read(other.place(span, row)));
            }
        }
    }
}

#[test]
fn every_kernel_gives_the_products_of_the_rounded_numbers() {
    for kind in KINDS {
        for rows in [1, 2, 3, 4, 5, 6, 13, 16, 70, 300] {
            check(kind, rows, 512, 96);
        }
    }
}

#[test]
fn inputs_need_not_fill_whole_blocks_nor_outputs_whole_tiles() {
    for kind in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q8_0, GgmlDType::F32] {
        check(kind, 5, 576, 64);
        check(kind, 9, 64, 40);
        // Of 32 inputs at a time, one to thirty-five: matrix units take eight together.
        for groups in [1, 7, 9, 18, 35] {
            check(kind, 40, 32 * groups, 40);
        }
        check(kind, 1, 32, 3);
    }
}

#[test]
fn the_largest_numbers_overflow_nowhere() {
    let (inputs, outputs) = (512, 32);
    let tensor = Tensor::from_vec(vec![2.0f32; inputs * outputs], (outputs, inputs), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, GgmlDType::Q8_0).unwrap();
    let packed = Packed::pack(GgmlDType::Q8_0, outputs, inputs, &tensor.data().unwrap()).unwrap();
    let activations = Activations::new(&vec![3.0; 2 * inputs], inputs, GROUP);
    for kernel in Kernel::available() {
        let [out] = activations.multiply(kernel, [&packed]);
        assert!(out.iter().all(|x| (x - 3072.0).abs() < 2.0), "{kernel:?}: {}", out[0]);
    }
}

#[test]
fn the_largest_levels_overflow_nowhere_in_any_format() {
    let formats = [
        (GgmlDType::Q4_0, 2, 18),
        (GgmlDType::Q4_1, 4, 20),
        (GgmlDType::Q5_0, 2, 22),
        (GgmlDType::Q5_1, 4, 24),
        (GgmlDType::Q8_0, 2, 34),
        (GgmlDType::Q4K, 4, 144),
        (GgmlDType::Q5K, 4, 176),
        (GgmlDType::Q6K, 0, 210),
    ];
    let (inputs, outputs) = (512, 32);
    for (kind, head, size) in formats {
        // All levels are the highest; of `Q8_0`, which has signs, the lowest.
        let level = if kind == GgmlDType::Q8_0 { 0x80 } else { 0xFF };
        let mut block = vec![level; size];
        let one = half::f16::ONE.to_le_bytes();
        let halves = if head == 0 { size - 2..size } else { 0..head };
        block[halves].chunks_mut(2).for_each(|half| half.copy_from_slice(&one));
        let packed = Packed::pack(kind, outputs, inputs, &block.repeat(inputs * outputs / packed_span(size))).unwrap();
        for value in [1.0, -1.0] {
            for rows in [1, 4, 9, 16] {
                let activations = Activations::new(&vec![value; rows * inputs], inputs, packed.grid.span);
                let plain = plain_product(&activations, &packed);
                for kernel in Kernel::available() {
                    let [out] = activations.multiply(kernel, [&packed]);
                    let same = out.iter().zip(&plain).all(|(a, b)| (a - b).abs() <= b.abs() * 1e-5);
                    assert!(same, "{kernel:?}, {kind:?}, {rows} rows: {} instead of {}", out[0], plain[0]);
                }
            }
        }
    }
}

/// Weights in a block of so many bytes.
fn packed_span(bytes: usize) -> usize {
    if bytes < 100 { GROUP } else { BLOCK }
}

#[test]
fn weights_of_any_size_keep_their_precision() {
    for size in [1e-9, 1e6] {
        let values: Vec<f32> = noise(32 * 256, 5).iter().map(|x| x * size).collect();
        let tensor = Tensor::from_vec(values.clone(), (32, 256), &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&tensor, GgmlDType::F32).unwrap();
        let packed = Packed::pack(GgmlDType::F32, 32, 256, &tensor.data().unwrap()).unwrap();
        let [out] =
            Activations::new(&[vec![1.0], vec![0.0; 255]].concat(), 256, GROUP).multiply(Kernel::Portable, [&packed]);
        for (output, found) in out.iter().enumerate() {
            let wanted = values[output * 256];
            assert!((found - wanted).abs() < 0.006 * size, "{found} instead of {wanted}");
        }
    }
}

#[test]
fn zeros_stay_zero() {
    let tensor = Tensor::from_vec(noise(32 * 256, 4), (32, 256), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, GgmlDType::Q4K).unwrap();
    let packed = Packed::pack(GgmlDType::Q4K, 32, 256, &tensor.data().unwrap()).unwrap();
    for kernel in Kernel::available() {
        let [out] = Activations::new(&[0.0; 256], 256, BLOCK).multiply(kernel, [&packed]);
        assert_eq!(*out, [0.0; 32]);
    }
}
