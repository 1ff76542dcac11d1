//! The same sums over layers and tokens as in [`super::kernels`], for rows in the memory of a GPU: a few
//! large operations of libtorch for all tokens of a batch, none for a single sentence.
//!
//! Every operation gives the same bits each time. Operations that add up with atomic instructions on a
//! GPU are not used (`index_add`, `scatter_add`), nor is `index_select` of tensors with a gradient, which
//! is an `index_add`.

mod int4;
mod layout;
mod means;

use std::sync::{Arc, Mutex, PoisonError};

use cache::StoreDtype;
use tch::{Device, Kind, TchError, Tensor};

use super::Means;
use super::memory::Shared;
use int4::Rotation;
pub use layout::Layout;
pub(crate) use layout::MASKED;
pub(crate) use means::Picked;
pub use means::SplitMeans;

/// Rows of a batch on a device, as float32.
#[derive(Debug)]
pub struct DeviceRows {
    /// `[tokens, layers, hidden]`
    rows: Shared,
    device: Device,
    layout: Layout,
    /// The means of the whole split, where they are kept, and the batch's places in them.
    split: Option<(Arc<SplitMeans>, Picked)>,
}

/// The kind of tensor that holds vectors of a store as they are, and its numbers a vector: int8 and int4, two numbers a
/// byte, with the four bytes of their scale behind them.
pub(crate) fn stored_kind(dtype: StoreDtype, hidden: usize) -> (Kind, usize) {
    match dtype {
        StoreDtype::F16 => (Kind::Half, hidden),
        StoreDtype::Bf16 => (Kind::BFloat16, hidden),
        StoreDtype::F32 => (Kind::Float, hidden),
        StoreDtype::I8 => (Kind::Int8, dtype.vector_bytes(hidden)),
        StoreDtype::I4 => (Kind::Uint8, dtype.vector_bytes(hidden)),
    }
}

/// How vectors of a store become float32 on a device.
#[derive(Debug)]
pub(crate) struct Format {
    dtype: StoreDtype,
    hidden: usize,
    /// What int4 vectors are turned back with, on the device of the first of them.
    rotation: Mutex<Option<Arc<Rotation>>>,
}

impl Format {
    pub(crate) fn new(dtype: StoreDtype, hidden: usize) -> Self {
        Self {
            dtype,
            hidden,
            rotation: Mutex::new(None),
        }
    }

    /// Stored vectors `[tokens, layers, as stored_kind says]` as float32 `[tokens, layers, hidden]`.
    pub(crate) fn widened(&self, stored: &Tensor) -> Result<Tensor, TchError> {
        match self.dtype {
            StoreDtype::F16 | StoreDtype::Bf16 | StoreDtype::F32 => stored.f_to_kind(Kind::Float),
            StoreDtype::I4 => self.rotation(stored.device())?.values(stored),
            StoreDtype::I8 => {
                let hidden = size(self.hidden);
                let scales = stored.f_narrow(2, hidden, 4)?.f_contiguous()?;
                let numbers = stored.f_narrow(2, 0, hidden)?.f_to_kind(Kind::Float)?;
                numbers.f_mul(&scales.f_view_dtype(Kind::Float)?)
            }
        }
    }

    fn rotation(&self, device: Device) -> Result<Arc<Rotation>, TchError> {
        let mut rotation = self.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rotation) = &*rotation {
            return Ok(Arc::clone(rotation));
        }
        let made = Arc::new(Rotation::new(self.hidden, device)?);
        *rotation = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl DeviceRows {
    /// Rows `[tokens, layers, hidden]` float32, wherever they are; token `offsets[i]..offsets[i +
    /// 1]` are sequence `i`'s.
    ///
    /// # Errors
    /// libtorch has no memory.
    pub fn new(rows: Tensor, offsets: &[usize]) -> Result<Self, TchError> {
        let (layout, _) = Layout::with(offsets, &[], rows.device())?;
        Ok(Self::laid_out(rows, layout, None))
    }

    /// The same with a layout that is there, and means of the split that they are from.
    pub(crate) fn laid_out(
        rows: Tensor,
        layout: Layout,
        split: Option<(Arc<SplitMeans>, Picked)>,
    ) -> Self {
        Self {
            device: rows.device(),
            rows: Shared::new(rows),
            layout,
            split,
        }
    }

    /// Where they are.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// Where the sequences are in them.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// See [`super::kernels::means`].
    pub(crate) fn means(&self) -> Result<Means, TchError> {
        if let Some((split, places)) = &self.split
            && let Some(means) = split.batch(places)?
        {
            return Ok(means);
        }
        means::means(&self.rows.get(), &self.layout.offsets())
    }

    /// See [`super::kernels::weighted_sums`]: `weights [.., tokens, layers]` to `[.., tokens,
    /// hidden]`, for several heads at once where there is a dimension in front. Gradients flow back
    /// to the weights.
    pub(crate) fn weighted_sums(&self, weights: &Tensor) -> Result<Tensor, TchError> {
        let rows = self.rows.get();
        if weights.dim() == 2 {
            return weights.f_unsqueeze(1)?.f_bmm(&rows)?.f_squeeze_dim(1);
        }
        // The heads' weights of a token are the rows of one product, so that its activations are read once for all.
        weights.f_transpose(0, 1)?.f_bmm(&rows)?.f_transpose(0, 1)
    }

    /// See [`super::kernels::gather`].
    pub(crate) fn gathered(
        &self,
        chosen: &[usize],
        places: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let rows = self.rows.get();
        let layers = chosen.iter().map(|&layer| {
            let layer = rows.f_select(1, size(layer))?;
            places.map_or_else(
                || Ok(layer.shallow_clone()),
                |places| layer.f_index_select(0, places),
            )
        });
        let layers: Vec<Tensor> = layers.collect::<Result<_, _>>()?;
        match layers.as_slice() {
            [one] => one.f_contiguous(),
            several => Tensor::f_cat(several, 1),
        }
    }
}

/// libtorch counts in i64.
fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the numbers are small"
)]
mod tests {
    use super::*;
    use crate::activations::{kernels, memory};

    /// Three tokens of two layers of five numbers in every number format, against the kernels that read the same bytes.
    #[test]
    fn stored_numbers_become_the_same_numbers() {
        let values: Vec<f32> = (0..30).map(|place| (place as f32 - 14.0) / 7.0).collect();
        for dtype in [
            StoreDtype::F16,
            StoreDtype::Bf16,
            StoreDtype::F32,
            StoreDtype::I8,
        ] {
            let row = 2 * dtype.vector_bytes(5);
            let mut bytes = Vec::new();
            for (place, vector) in values.chunks(5).enumerate() {
                for &value in vector {
                    match dtype {
                        StoreDtype::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
                        StoreDtype::Bf16 => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
                        StoreDtype::F32 => bytes.extend(value.to_le_bytes()),
                        StoreDtype::I8 | StoreDtype::I4 => {
                            bytes.extend(((value * 50.0) as i8).to_le_bytes());
                        }
                    }
                }
                if dtype == StoreDtype::I8 {
                    bytes.extend((0.01 + 0.003 * place as f32).to_le_bytes());
                }
            }
            let rows: Vec<&[u8]> = bytes.chunks_exact(row).collect();
            let mut expected = vec![0.0; 30];
            kernels::gather(&rows, dtype, &[0, 1], &mut expected);

            let (kind, numbers) = stored_kind(dtype, 5);
            let stored = Tensor::from_data_size(&bytes, &[3, 2, size(numbers)], kind);
            let widened = Format::new(dtype, 5).widened(&stored).unwrap();
            assert_eq!(widened.size(), [3, 2, 5]);
            let got = memory::with_values(&widened, <[f32]>::to_vec).unwrap();
            assert_eq!(got, expected, "{dtype}");
        }
    }
}
