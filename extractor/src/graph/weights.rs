//! How a tensor of the graph is put together from tensors of a checkpoint, so that each weight is
//! copied once, from the file to where it is used.

use ndarray::{ArrayViewMut2, s};
use ort::memory::Allocator;
use ort::value::{PrimitiveTensorElementType, Tensor as OrtTensor};

use super::error::GraphError;
use crate::checkpoint::{Element, Origin, Tensor};

/// The weights of a linear layer.
pub(super) struct Linear<'checkpoint> {
    /// `[inputs, outputs]`.
    pub(super) matrix: Source<'checkpoint>,
    /// `[outputs]`, if the layer has a bias.
    pub(super) bias: Option<Source<'checkpoint>>,
}

impl Linear<'_> {
    /// Linear layers of one input as one, whose outputs stand side by side: all with a bias, or none.
    pub(super) fn side_by_side(layers: Vec<Self>) -> Self {
        let (mut matrices, mut biases) = (Vec::new(), Vec::new());
        for layer in layers {
            matrices.push(layer.matrix);
            biases.extend(layer.bias);
        }
        Self {
            matrix: Source::side_by_side(matrices),
            bias: (!biases.is_empty()).then(|| Source::side_by_side(biases)),
        }
    }
}

/// A recipe for one tensor of the graph.
pub(super) struct Source<'checkpoint> {
    /// Matrices or vectors whose last dimensions stand side by side.
    parts: Vec<Tensor<'checkpoint>>,
    /// Whether the parts are matrices to be transposed.
    transposed: bool,
    /// A matrix whose first row is added to every row.
    added: Option<Tensor<'checkpoint>>,
    /// Whether every number is one more than stored.
    one_more: bool,
}

/// What tells one recipe from another: where the numbers come from, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    parts: Vec<(Origin, Vec<usize>)>,
    transposed: bool,
    added: Option<(Origin, Vec<usize>)>,
    one_more: bool,
}

impl<'checkpoint> Source<'checkpoint> {
    /// A tensor as it is stored.
    pub(super) fn stored(tensor: Tensor<'checkpoint>) -> Self {
        Self {
            parts: vec![tensor],
            transposed: false,
            added: None,
            one_more: false,
        }
    }

    /// Stored matrices the other way round.
    pub(super) fn transposed(self) -> Self {
        Self {
            transposed: true,
            ..self
        }
    }

    /// The same, with the first row of `table` added to every row.
    pub(super) fn plus_first_row(self, table: Tensor<'checkpoint>) -> Self {
        Self {
            added: Some(table),
            ..self
        }
    }

    /// The same, with 1 added to every number.
    pub(super) fn plus_one(self) -> Self {
        Self {
            one_more: true,
            ..self
        }
    }

    /// Query, key and value of each of `heads` in turn, `rows` of the stored matrix or vector each,
    /// as all queries, then all keys, then all values.
    pub(super) fn by_kind(self, heads: usize, rows: usize) -> Self {
        let blocks = (0..3).flat_map(|kind| (0..heads).map(move |head| 3 * head + kind));
        let parts = blocks.flat_map(|block| {
            let range = block * rows..(block + 1) * rows;
            self.parts.iter().map(move |part| part.rows(range.clone()))
        });
        Self {
            parts: parts.collect(),
            ..self
        }
    }

    /// Several of one kind with their last dimensions side by side: transposed matrices, or
    /// vectors.
    pub(super) fn side_by_side(sources: Vec<Self>) -> Self {
        let transposed = sources.iter().all(|source| source.transposed);
        Self {
            parts: sources
                .into_iter()
                .flat_map(|source| source.parts)
                .collect(),
            transposed,
            added: None,
            one_more: false,
        }
    }

    /// What the same recipe for the same numbers has in common, if that is known.
    pub(super) fn identity(&self) -> Option<Identity> {
        let origin = |tensor: &Tensor<'_>| Some((tensor.origin()?, tensor.shape().to_vec()));
        Some(Identity {
            parts: self.parts.iter().map(origin).collect::<Option<_>>()?,
            transposed: self.transposed,
            added: match &self.added {
                Some(table) => Some(origin(table)?),
                None => None,
            },
            one_more: self.one_more,
        })
    }

    /// The shape of the whole.
    fn shape(&self) -> Vec<usize> {
        match (self.parts.as_slice(), self.transposed) {
            (parts, true) => {
                vec![
                    parts[0].shape()[1],
                    parts.iter().map(|part| part.shape()[0]).sum(),
                ]
            }
            ([only], false) => only.shape().to_vec(),
            (parts, false) => vec![parts.iter().map(Tensor::len).sum()],
        }
    }

    /// Copies the weights to memory that ONNX Runtime owns.
    pub(super) fn to_ort<T>(&self) -> Result<OrtTensor<T>, GraphError>
    where
        T: Element + PrimitiveTensorElementType + std::fmt::Debug,
    {
        let shape = self.shape();
        let mut tensor = OrtTensor::<T>::new(&Allocator::default(), shape.clone())?;
        let (_, out) = tensor.extract_tensor_mut();
        if self.transposed {
            self.transpose_to(matrix(out, shape[1])?);
        } else {
            let mut rest = out;
            for part in &self.parts {
                let (own, others) = rest.split_at_mut(part.len());
                part.copy_to(own);
                rest = others;
            }
        }
        if self.one_more {
            for value in tensor.extract_tensor_mut().1 {
                *value = T::from_f32(value.to_f32() + 1.0);
            }
        }
        if let Some(table) = &self.added {
            let out = tensor.extract_tensor_mut().1;
            add_first_row(table, matrix(out, table.shape()[1])?);
        }
        Ok(tensor)
    }

    /// Copies the parts transposed and side by side to `out`, `[columns of each, rows of all]`.
    fn transpose_to<T: Element>(&self, mut out: ArrayViewMut2<'_, T>) {
        let mut first = 0;
        for part in &self.parts {
            let last = first + part.shape()[0];
            part.transpose_to(out.slice_mut(s![.., first..last]));
            first = last;
        }
    }
}

/// Numbers as a matrix of this width.
fn matrix<T>(values: &mut [T], width: usize) -> Result<ArrayViewMut2<'_, T>, GraphError> {
    let rows = values.len() / width.max(1);
    ArrayViewMut2::from_shape((rows, width), values)
        .map_err(|error| ort::Error::new(error.to_string()).into())
}

/// Adds the first row of `table`, `[types, size]`, to every row of `out`, `[rows, size]`.
fn add_first_row<T: Element>(table: &Tensor<'_>, mut out: ArrayViewMut2<'_, T>) {
    let mut values = vec![0.0_f32; table.len()];
    table.copy_to(&mut values);
    for mut row in out.rows_mut() {
        for (to, from) in row.iter_mut().zip(&values) {
            *to = T::from_f32(to.to_f32() + from);
        }
    }
}
