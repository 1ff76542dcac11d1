//! The parameters of a trained head, by the names of a PyTorch state dict, as `trainer` writes
//! them.

use std::path::Path;

use shared::heads::parameters::Parameter;

use crate::checkpoint::{Checkpoint, CheckpointError};

/// `adapter.safetensors` of a run.
pub struct Parameters {
    file: Checkpoint,
}

/// A matrix, its rows one after another.
pub(super) struct Matrix {
    pub(super) values: Vec<f32>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Parameters {
    /// Maps a file of parameters.
    ///
    /// # Errors
    /// When it is not there or no whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = Checkpoint::open(&[path.to_owned()])?;
        Ok(Self { file })
    }

    /// The numbers of a parameter, which must have its shape.
    pub(super) fn values(&self, parameter: &Parameter) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.file.tensor(&[""], &parameter.name, &parameter.shape)?;
        let mut values = vec![0.0; tensor.len()];
        tensor.copy_to(&mut values);
        Ok(values)
    }

    /// A parameter that is a matrix `[rows, columns]`.
    pub(super) fn matrix(&self, parameter: &Parameter) -> Result<Matrix, CheckpointError> {
        Ok(Matrix {
            values: self.values(parameter)?,
            rows: parameter.shape[0],
            columns: parameter.shape[1],
        })
    }
}

impl Matrix {
    /// The same with rows as columns: PyTorch stores `[outputs, inputs]`, a product wants
    /// `[inputs, outputs]`.
    pub(super) fn transposed(&self) -> Self {
        let values = (0..self.columns)
            .flat_map(|column| self.values.iter().skip(column).step_by(self.columns))
            .copied()
            .collect();
        Self {
            values,
            rows: self.columns,
            columns: self.rows,
        }
    }

    /// Some consecutive rows.
    pub(super) fn row_range(&self, first: usize, rows: usize) -> Self {
        let values = self.values[first * self.columns..(first + rows) * self.columns].to_vec();
        Self {
            values,
            rows,
            columns: self.columns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_turns_and_is_cut() {
        let matrix = Matrix {
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            rows: 3,
            columns: 2,
        };
        let turned = matrix.row_range(1, 2).transposed();
        assert_eq!((turned.rows, turned.columns), (2, 2));
        assert_eq!(turned.values, [3.0, 5.0, 4.0, 6.0]);
    }
}
