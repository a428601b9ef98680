//! A weight matrix: packed for the kernels of this CPU, or as it is in the file for candle's.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};

use super::GenerateError;
use super::kernel::{Activations, Kernel};
use super::packed::Packed;

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
pub(super) fn apply(matrix: &Linear, input: &[f32]) -> Result<Vec<f32>, GenerateError> {
    let [out] = apply_all([matrix], input)?;
    Ok(out)
}

/// The products of `input`, one row a token, with several matrices that have the same inputs.
pub(super) fn apply_all<const N: usize>(matrices: [&Linear; N], input: &[f32]) -> Result<[Vec<f32>; N], GenerateError> {
    let inputs = matrices[0].inputs();
    if matrices.iter().all(|matrix| matrix.packed().is_some()) {
        let packed = matrices.map(|matrix| matrix.packed().expect("all were asked"));
        let span = packed.iter().map(|packed| packed.grid.span).min().expect("there is a matrix");
        return Ok(Activations::new(input, inputs, span).multiply(Kernel::best_or_portable(), packed));
    }
    let rows = input.len() / inputs;
    let outputs = matrices.iter().map(|matrix| match matrix {
        Linear::Packed(packed) => {
            let [out] =
                Activations::new(input, inputs, packed.grid.span).multiply(Kernel::best_or_portable(), [packed]);
            Ok(out)
        }
        Linear::AsInFile { product, .. } => {
            let input = Tensor::from_slice(input, (rows, inputs), &Device::Cpu)?;
            Ok(product.forward(&input)?.flatten_all()?.to_vec1()?)
        }
    });
    let outputs: Vec<Vec<f32>> = outputs.collect::<Result<_, GenerateError>>()?;
    Ok(outputs.try_into().expect("one output for each matrix"))
}
