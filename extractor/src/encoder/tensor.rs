//! The tensors that go into a run, by the names of a graph's inputs.

use std::borrow::Cow;

use ort::session::SessionInputValue;
use ort::value::{PrimitiveTensorElementType, Tensor};

use super::error::EncoderError;

/// Named inputs of one run.
pub(super) type Inputs = Vec<(Cow<'static, str>, SessionInputValue<'static>)>;

/// Values of this shape, row-major, as an input.
pub(super) fn tensor<const N: usize, T>(
    shape: [usize; N],
    values: Vec<T>,
) -> Result<SessionInputValue<'static>, EncoderError>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    let tensor =
        Tensor::from_array((shape, values)).map_err(|source| EncoderError::Runtime { source })?;
    Ok(tensor.into())
}
