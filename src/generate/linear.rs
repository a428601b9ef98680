//! A weight matrix of the file, multiplied by whichever kernel is fastest for it on this CPU.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};

use super::GenerateError;
use super::int8::{Activations, Packed};

/// Rows from which 8-bit weights are faster than the file's own; below, reading fewer bytes wins.
const INT8_ROWS: usize = 4;

/// What is made of the file's weights at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// A copy in 8 bits for prompts.
    Int8,
    /// Kinds without a vectorised kernel become `Q8_0`, which has one: 6 to 13 GMAC/s turn into 25 to 90.
    Quick,
    /// Nothing.
    AsInFile,
}

/// A weight matrix, outputs x inputs.
pub(super) struct Linear {
    tensor: Arc<QTensor>,
    product: QMatMul,
    packed: Option<Packed>,
    inputs: usize,
}

impl Linear {
    /// Takes a tensor of the file.
    pub(super) fn new(tensor: Arc<QTensor>, packing: Packing) -> Result<Self, GenerateError> {
        let (_, inputs) = tensor.shape().dims2()?;
        let packed = if packing == Packing::Int8 { Packed::pack(&tensor)? } else { None };
        let slow = matches!(tensor.dtype(), GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1);
        let tensor = if slow && packed.is_none() && packing != Packing::AsInFile {
            Arc::new(QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)?)
        } else {
            tensor
        };
        Ok(Self { product: QMatMul::from_arc(tensor.clone())?, tensor, packed, inputs })
    }

    /// A matrix that only single rows go through: packed only where candle is slow at those.
    pub(super) fn for_single_rows(tensor: Arc<QTensor>, packing: Packing) -> Result<Self, GenerateError> {
        let quick = is_quick(&tensor);
        Self::new(tensor, if quick { Packing::AsInFile } else { packing })
    }

    fn prefers_int8(&self, rows: usize) -> bool {
        self.packed.is_some() && (rows >= INT8_ROWS || !is_quick(&self.tensor))
    }
}

/// Whether candle has a vectorised kernel for single rows of this matrix.
fn is_quick(tensor: &QTensor) -> bool {
    let kind = matches!(tensor.dtype(), GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0);
    kind && tensor.shape().dims().last().is_some_and(|inputs| inputs.is_multiple_of(256))
}

/// The product of `input` with one matrix.
pub(super) fn apply(matrix: &Linear, input: Vec<f32>) -> Result<Vec<f32>, GenerateError> {
    let [out] = apply_all([matrix], input)?;
    Ok(out)
}

/// The products of `input`, one row a token, with several matrices that have the same inputs.
pub(super) fn apply_all<const N: usize>(
    matrices: [&Linear; N],
    input: Vec<f32>,
) -> Result<[Vec<f32>; N], GenerateError> {
    let inputs = matrices[0].inputs;
    let rows = input.len() / inputs;
    if matrices.iter().all(|matrix| matrix.prefers_int8(rows)) {
        let packed = matrices.map(|matrix| matrix.packed.as_ref().expect("prefers_int8 saw the packed weights"));
        return Ok(Activations::new(&input, inputs).multiply(packed));
    }
    let input = Tensor::from_vec(input, (rows, inputs), &Device::Cpu)?;
    let alike = matrices.iter().all(|matrix| matrix.tensor.dtype() == matrices[0].tensor.dtype());
    let tensors = matrices.map(|matrix| matrix.tensor.as_ref());
    let fused = if N > 1 && alike { QTensor::gemv_fused_shared_lhs(&tensors, &input)? } else { None };
    let outputs = match fused {
        Some(outputs) => outputs,
        None => matrices.iter().map(|matrix| matrix.product.forward(&input)).collect::<Result<_, _>>()?,
    };
    let outputs: Vec<Vec<f32>> =
        outputs.iter().map(|output| output.flatten_all()?.to_vec1()).collect::<Result<_, _>>()?;
    Ok(outputs.try_into().expect("one output for each matrix"))
}
