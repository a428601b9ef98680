//! The weights of a model as it was trained, and their 8-bit form.

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};

/// Weights of linear maps take 7 of 8 bits: processors without VNNI add pairs of products in 16 bits, which 8-bit
/// weights overflow. So vectors are the same on every processor; the mean cosine to fp32 on 106 chunks of legal
/// text is .9926, with 8 bits .9940.
const WEIGHT_LIMIT: f32 = 63.0;

/// Rows of the word table are only scaled back, so they take all 8 bits.
const ROW_LIMIT: f32 = 127.0;

/// An open weights file.
pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        Ok(Self(SafeTensors::deserialize(bytes).context("cannot read the weights")?))
    }

    pub(super) fn matrix(&self, name: &str) -> Result<Matrix> {
        match self.tensor(name)? {
            (dims, values) if dims.len() == 2 => Ok(Matrix { rows: dims[0], columns: dims[1], values }),
            (dims, _) => bail!("{name} has {} dimensions, not 2", dims.len()),
        }
    }

    /// Dimensions and values.
    pub(super) fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = self.0.tensor(name).with_context(|| format!("the weights lack {name}"))?;
        ensure!(tensor.dtype() == Dtype::F32, "{name} is {:?}, not F32", tensor.dtype());
        let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Ok((tensor.shape().to_vec(), values.collect()))
    }
}

/// A matrix, row by row.
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

impl Matrix {
    pub(super) fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..self.columns {
            values.extend((0..self.rows).map(|row| self.values[row * self.columns + column]));
        }
        Self { rows: self.columns, columns: self.rows, values }
    }

    /// 8-bit values and a scale for each row, for tables.
    pub(super) fn quantise_rows(&self) -> (Vec<u8>, Vec<f32>) {
        let mut scales = Vec::with_capacity(self.rows);
        let mut quantised = Vec::with_capacity(self.values.len());
        for row in self.values.chunks_exact(self.columns) {
            let scale = scale(row.iter().copied(), ROW_LIMIT);
            quantised.extend(row.iter().map(|value| quantise(*value, scale)));
            scales.push(scale);
        }
        (quantised, scales)
    }

    /// 7-bit values and a scale for each column, for linear maps.
    pub(super) fn quantise_columns(&self) -> (Vec<u8>, Vec<f32>) {
        let column = |index| self.values.iter().skip(index).step_by(self.columns).copied();
        let scales: Vec<_> = (0..self.columns).map(|index| scale(column(index), WEIGHT_LIMIT)).collect();
        let rows = self.values.chunks_exact(self.columns);
        let quantised = rows.flat_map(|row| row.iter().zip(&scales).map(|(value, scale)| quantise(*value, *scale)));
        (quantised.collect(), scales)
    }
}

/// The scale that makes the largest value the limit.
fn scale(values: impl Iterator<Item = f32>, limit: f32) -> f32 {
    let largest = values.fold(0.0, |largest: f32, value| largest.max(value.abs()));
    if largest > 0.0 { largest / limit } else { 1.0 }
}

fn quantise(value: f32, scale: f32) -> u8 {
    ((value / scale).round_ties_even() as i8).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_its_own_scale() {
        let matrix = Matrix { rows: 2, columns: 2, values: vec![0.63, -6.3, 0.31, 0.0] };
        let (quantised, scales) = matrix.quantise_columns();
        assert_eq!(quantised, [63_i8, -63, 31, 0].map(i8::cast_unsigned));
        assert!((scales[0] - 0.01).abs() < 1e-7 && (scales[1] - 0.1).abs() < 1e-6);
    }

    #[test]
    fn each_row_has_its_own_scale_and_zeros_stay_zeros() {
        let matrix = Matrix { rows: 2, columns: 2, values: vec![1.0, -0.5, 0.0, 0.0] };
        assert_eq!(matrix.quantise_rows().0, [127_i8, -64, 0, 0].map(i8::cast_unsigned));
    }
}
