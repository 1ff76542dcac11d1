//! What comes out of an encoder: one array of hidden states for each selected layer.

use std::marker::PhantomData;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use ndarray::ArrayView3;
use ort::session::SessionOutputs;
use ort::value::{DynValue, Tensor, TensorElementType};
use rayon::prelude::*;

use super::error::EncoderError;

/// The hidden states of one batch, alive until the encoder runs again.
pub struct HiddenStates<'encoder> {
    layers: Vec<Layer>,
    /// `[rows, width, hidden]` of each layer.
    shape: [usize; 3],
    encoder: PhantomData<&'encoder mut ()>,
}

/// The numbers of one layer as float32, `[rows, width, hidden]`.
enum Layer {
    /// As the graph gave them.
    Given(Tensor<f32>),
    /// Converted from float16 or bfloat16.
    Converted(Vec<f32>),
}

/// Numbers that one thread converts at a time.
const CONVERTED_AT_ONCE: usize = 1 << 16;

impl Layer {
    /// From an output of a graph; none if it holds no floating-point numbers of up to 32 bits.
    fn from_output(value: DynValue) -> ort::Result<Option<Self>> {
        Ok(Some(match value.dtype().tensor_type() {
            Some(TensorElementType::Float32) => Self::Given(value.downcast()?),
            Some(TensorElementType::Float16) => {
                let (_, half) = value.try_extract_tensor::<f16>()?;
                Self::converted(half, HalfFloatSliceExt::convert_to_f32_slice)
            }
            Some(TensorElementType::Bfloat16) => {
                let (_, half) = value.try_extract_tensor::<bf16>()?;
                Self::converted(half, HalfFloatSliceExt::convert_to_f32_slice)
            }
            _ => return Ok(None),
        }))
    }

    fn converted<T: Sync>(half: &[T], convert: impl Fn(&[T], &mut [f32]) + Sync) -> Self {
        let mut wide = vec![0.0; half.len()];
        half.par_chunks(CONVERTED_AT_ONCE)
            .zip(wide.par_chunks_mut(CONVERTED_AT_ONCE))
            .for_each(|(from, to)| convert(from, to));
        Self::Converted(wide)
    }

    fn values(&self) -> &[f32] {
        match self {
            Self::Given(tensor) => tensor.extract_tensor().1,
            Self::Converted(values) => values,
        }
    }
}

impl<'encoder> HiddenStates<'encoder> {
    /// Takes the outputs called `names`, each `[rows, width, hidden]`, in this order.
    pub(super) fn new(
        mut outputs: SessionOutputs<'encoder>,
        names: &[String],
        shape: [usize; 3],
    ) -> Result<Self, EncoderError> {
        let failed = |source| EncoderError::Runtime { source };
        let mut layers = Vec::with_capacity(names.len());
        for name in names {
            let mismatch = |got| EncoderError::OutputShape {
                name: name.clone(),
                expected: shape,
                got,
            };
            let value = outputs.remove(name).ok_or_else(|| mismatch(Vec::new()))?;
            let got = value
                .dtype()
                .tensor_shape()
                .map_or_else(Vec::new, |shape| shape.to_vec());
            if !got
                .iter()
                .map(|&size| usize::try_from(size).ok())
                .eq(shape.map(Some))
            {
                return Err(mismatch(got));
            }
            let kind = value.dtype().to_string();
            let layer = Layer::from_output(value).map_err(failed)?;
            layers.push(layer.ok_or_else(|| EncoderError::OutputType {
                name: name.clone(),
                got: kind,
            })?);
        }
        Ok(Self {
            layers,
            shape,
            encoder: PhantomData,
        })
    }

    /// The `index`-th selected layer, `[rows, width, hidden]`. What stands at padded positions is
    /// undefined.
    ///
    /// # Panics
    /// When `index` is not below the number of selected layers.
    #[must_use]
    pub fn layer(&self, index: usize) -> ArrayView3<'_, f32> {
        #[expect(
            clippy::expect_used,
            reason = "the shape was compared when the output was taken"
        )]
        ArrayView3::from_shape(self.shape, self.layers[index].values()).expect("the output's shape")
    }
}
