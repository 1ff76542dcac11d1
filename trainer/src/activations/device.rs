//! The same sums over layers and tokens as [`super::kernels`], for rows that lie in the memory of a graphics card: a few
//! large operations of libtorch for all tokens of a batch, none for a single sentence.
//!
//! Every operation gives the same bits each time. Those that add up with atomic instructions on a card are left out
//! (`index_add`, `scatter_add`); an `index_select` with a gradient only ever repeats a place whose gradient is zero.

use cache::StoreDtype;
use tch::{Device, Kind, TchError, Tensor};

use super::Means;
use super::memory::{Shared, upload};

/// Added to the score of a place that is only padding: its weight becomes exactly 0, and a row of nothing else stays finite.
pub(crate) const MASKED: f64 = -1e30;

/// Rows of a batch on a device, as float32.
#[derive(Debug)]
pub struct DeviceRows {
    /// `[tokens, layers, hidden]`
    rows: Shared,
    device: Device,
    layout: Layout,
}

/// How the sequences of a batch lie in its rows, and where each token goes when they are padded to one length.
#[derive(Debug)]
pub struct Layout {
    sequences: i64,
    longest: i64,
    /// Tokens of each sequence `[sequences]`, and the number of its sequence for each token `[tokens]`.
    lengths: Shared,
    sequence_of: Shared,
    /// The token at each padded place, the first where there is none `[sequences * longest]`, and the padded place of each
    /// token `[tokens]`.
    padded: Shared,
    packed: Shared,
    /// 0 where there is a token, else [`MASKED`], `[sequences, 1, 1, longest]`.
    mask: Shared,
}

/// The kind of tensor that holds vectors of a store as they are, and its numbers a vector: int8 with the four bytes of
/// its scale behind them.
pub(crate) fn stored_kind(dtype: StoreDtype, hidden: usize) -> (Kind, usize) {
    match dtype {
        StoreDtype::F16 => (Kind::Half, hidden),
        StoreDtype::Bf16 => (Kind::BFloat16, hidden),
        StoreDtype::F32 => (Kind::Float, hidden),
        StoreDtype::I8 => (Kind::Int8, dtype.vector_bytes(hidden)),
    }
}

/// Stored vectors `[tokens, layers, as stored_kind says]` as float32 `[tokens, layers, hidden]`.
pub(crate) fn widened(
    stored: &Tensor,
    dtype: StoreDtype,
    hidden: usize,
) -> Result<Tensor, TchError> {
    if dtype != StoreDtype::I8 {
        return stored.f_to_kind(Kind::Float);
    }
    let hidden = size(hidden);
    let scales = stored.f_narrow(2, hidden, 4)?.f_contiguous()?;
    let numbers = stored.f_narrow(2, 0, hidden)?.f_to_kind(Kind::Float)?;
    numbers.f_mul(&scales.f_view_dtype(Kind::Float)?)
}

impl DeviceRows {
    /// Rows `[tokens, layers, hidden]` float32, wherever they are; token `offsets[i]..offsets[i + 1]` are sequence `i`'s.
    ///
    /// # Errors
    /// libtorch has no memory.
    pub fn new(rows: Tensor, offsets: &[usize]) -> Result<Self, TchError> {
        let device = rows.device();
        Ok(Self {
            rows: Shared::new(rows),
            device,
            layout: Layout::of(offsets, device)?,
        })
    }

    /// Where they are.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// How the sequences lie in them.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The rows of the tokens at `places`, or all.
    fn rows(&self, places: Option<&Tensor>) -> Result<Tensor, TchError> {
        let rows = self.rows.get();
        places.map_or_else(
            || Ok(rows.shallow_clone()),
            |places| rows.f_index_select(0, places),
        )
    }

    /// See [`super::kernels::means`].
    pub(crate) fn means(&self) -> Result<Means, TchError> {
        let rows = self.rows.get();
        let over_layers = rows.f_mean_dim([1].as_slice(), false, Kind::Float)?;
        let lengths = self.layout.lengths.get();
        let over_tokens =
            Tensor::f_segment_reduce(&rows, "mean", Some(&lengths), None, None, 0, true, 0.0)?;
        Ok((over_layers, over_tokens))
    }

    /// See [`super::kernels::weighted_sums`]: `weights [.., tokens, layers]` to `[.., tokens, hidden]`, for several heads at
    /// once where there is a dimension in front. Gradients flow back to the weights.
    pub(crate) fn weighted_sums(
        &self,
        weights: &Tensor,
        places: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let rows = self.rows(places)?;
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

impl Layout {
    fn of(offsets: &[usize], device: Device) -> Result<Self, TchError> {
        let lengths: Vec<usize> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (sequences, tokens) = (lengths.len(), offsets.last().copied().unwrap_or(0));
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // One transfer for all of them.
        let mut numbers: Vec<i64> = lengths.iter().map(|&length| size(length)).collect();
        let each = |sequence: usize| std::iter::repeat_n(size(sequence), lengths[sequence]);
        numbers.extend((0..sequences).flat_map(each));
        numbers.resize(sequences + tokens + sequences * longest, 0);
        let first = sequences + tokens;
        for (sequence, pair) in offsets.windows(2).enumerate() {
            for (column, token) in (pair[0]..pair[1]).enumerate() {
                numbers[first + sequence * longest + column] = size(token);
                numbers.push(size(sequence * longest + column));
            }
        }
        let numbers = upload(&Tensor::f_from_slice(&numbers)?, device)?;
        let part = |first: usize, length: usize| numbers.f_narrow(0, size(first), size(length));
        let lengths = part(0, sequences)?;
        let columns = Tensor::f_arange(size(longest), (Kind::Int64, device))?;
        let mask = columns.f_ge_tensor(&lengths.f_unsqueeze(1)?)?;
        let mask = mask.f_mul_scalar(MASKED)?;
        let mask = mask.f_view([size(sequences), 1, 1, size(longest)])?;
        Ok(Self {
            sequences: size(sequences),
            longest: size(longest),
            lengths: Shared::new(lengths),
            sequence_of: Shared::new(part(sequences, tokens)?),
            padded: Shared::new(part(first, sequences * longest)?),
            packed: Shared::new(part(first + sequences * longest, tokens)?),
            mask: Shared::new(mask),
        })
    }

    /// Number of sequences.
    pub(crate) const fn sequences(&self) -> i64 {
        self.sequences
    }

    /// See the field.
    pub(crate) fn mask(&self) -> Tensor {
        self.mask.get()
    }

    /// `[.., tokens, width]` to `[.., sequences, longest, width]`.
    pub(crate) fn pad(&self, tokens: &Tensor) -> Result<Tensor, TchError> {
        let padded = tokens.f_index_select(-2, &self.padded.get())?;
        padded.f_unflatten(-2, [self.sequences, self.longest])
    }

    /// `[.., sequences, longest, width]` to `[.., tokens, width]`.
    pub(crate) fn pack(&self, padded: &Tensor) -> Result<Tensor, TchError> {
        padded
            .f_flatten(-3, -2)?
            .f_index_select(-2, &self.packed.get())
    }

    /// Means `[.., sentences, width]` of `[.., tokens, width]` over the tokens of each sentence, which is that of its
    /// sequence by `pool`. A product with a matrix of shares: a sum of chosen rows would need atomic additions.
    pub(crate) fn sentence_means(
        &self,
        tokens: &Tensor,
        pool: Option<&[usize]>,
    ) -> Result<Tensor, TchError> {
        let device = tokens.device();
        let mut sentence_of = self.sequence_of.get();
        let mut sentences = self.sequences;
        if let Some(pool) = pool {
            let pool: Vec<i64> = pool.iter().map(|&sentence| size(sentence)).collect();
            sentences = pool.last().map_or(0, |last| last + 1);
            let pool = upload(&Tensor::f_from_slice(&pool)?, device)?;
            sentence_of = pool.f_index_select(0, &sentence_of)?;
        }
        let numbers = Tensor::f_arange(sentences, (Kind::Int64, device))?.f_unsqueeze(1)?;
        let own = numbers.f_eq_tensor(&sentence_of)?.f_to_kind(Kind::Float)?;
        let counts = own.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?;
        own.f_div(&counts.f_clamp_min(1.0)?)?.f_matmul(tokens)
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
                        StoreDtype::I8 => bytes.extend(((value * 50.0) as i8).to_le_bytes()),
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
            let widened = widened(&stored, dtype, 5).unwrap();
            assert_eq!(widened.size(), [3, 2, 5]);
            let got = memory::with_values(&widened, <[f32]>::to_vec).unwrap();
            assert_eq!(got, expected, "{dtype}");
        }
    }
}
