//! A weight matrix: packed for the kernels of this CPU, or as it is in the file for candle's.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};

use super::GenerateError;
use super::buffers::Buffer;
use super::kernel::{Activations, Kernel};
use super::packed::Packed;
use super::parallel;

/// A weight matrix, outputs x inputs.
pub(super) enum Linear {
    /// For our kernels.
    Packed(Packed),
    /// For candle's.
    AsInFile {
        /// How candle multiplies with it.
        product: QMatMul,
        /// Numbers a row of input has.
        inputs: usize,
    },
}

impl Linear {
    /// Takes a tensor as it is in the file; kinds without a vectorised kernel in candle become `Q8_0`, which has one:
    /// 6 to 13 GMAC/s turn into 25 to 90.
    pub(super) fn as_in_file(tensor: QTensor) -> Result<Self, GenerateError> {
        let (_, inputs) = tensor.shape().dims2()?;
        let slow = matches!(tensor.dtype(), GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1);
        let tensor = if slow { QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)? } else { tensor };
        Ok(Self::AsInFile { product: QMatMul::from_arc(Arc::new(tensor))?, inputs })
    }

    fn inputs(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.inputs,
            Self::AsInFile { inputs, .. } => *inputs,
        }
    }

    fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Packed(packed) => Some(packed),
            Self::AsInFile { .. } => None,
        }
    }
}

/// The product of `input` with one matrix.
pub(super) fn apply(matrix: &Linear, input: &[f32]) -> Result<Buffer, GenerateError> {
    let [out] = apply_all([matrix], input)?;
    Ok(out)
}

/// The products of `input`, one row a token, with several matrices that have the same inputs.
pub(super) fn apply_all<const N: usize>(matrices: [&Linear; N], input: &[f32]) -> Result<[Buffer; N], GenerateError> {
    if let Some((packed, activations)) = rounded(matrices, input) {
        return Ok(activations.multiply(Kernel::best_or_portable(), packed));
    }
    let outputs = matrices.iter().map(|matrix| match matrix {
        Linear::Packed(_) => apply(matrix, input),
        Linear::AsInFile { product, inputs } => {
            let input = Tensor::from_slice(input, (input.len() / inputs, *inputs), &Device::Cpu)?;
            Ok(product.forward(&input)?.flatten_all()?.to_vec1()?.into())
        }
    });
    let outputs: Vec<Buffer> = outputs.collect::<Result<_, GenerateError>>()?;
    Ok(outputs.try_into().ok().expect("one output for each matrix"))
}

/// The product with `down` of what `activation` makes of the products with `gate` and `up`.
pub(super) fn apply_gated(
    [gate, up, down]: [&Linear; 3],
    input: &[f32],
    activation: fn(&mut [f32], &[f32]),
) -> Result<Buffer, GenerateError> {
    if let (Some((packed, activations)), Some(down)) = (rounded([gate, up], input), down.packed()) {
        let kernel = Kernel::best_or_portable();
        let [gate, up] = activations.multiply_tiled(kernel, packed);
        let [out] = Activations::gated(&gate, &up, down.grid.span, activation).multiply(kernel, [down]);
        return Ok(out);
    }
    let [mut gate, up] = apply_all([gate, up], input)?;
    parallel::each_row(&mut gate, &up, down.inputs(), activation);
    apply(down, &gate)
}

/// `input` in 8 bits, when all matrices are packed and round it in the same way.
fn rounded<'a, const N: usize>(matrices: [&'a Linear; N], input: &[f32]) -> Option<([&'a Packed; N], Activations)> {
    let packed: Vec<&Packed> = matrices.iter().filter_map(|matrix| matrix.packed()).collect();
    let packed: [&Packed; N] = packed.try_into().ok()?;
    let span = packed[0].grid.span;
    let same = packed.iter().all(|matrix| matrix.grid.span == span);
    same.then(|| (packed, Activations::new(input, packed[0].inputs, span)))
}
