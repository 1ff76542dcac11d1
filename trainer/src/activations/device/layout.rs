//! Where the sequences of a batch are in its rows on a device. Rows are packed, one token after another;
//! attention inside sequences needs them padded to one length. Each padded place is written once
//! (`index_copy`), so that neither this nor its gradient, which reads the same places, adds numbers up.

use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::size;
use crate::activations::memory::{Shared, upload};

/// Added to the score of a place that is only padding: its weight becomes exactly 0, and a row of
/// nothing else stays finite.
pub(crate) const MASKED: f64 = -1e30;

/// See the module.
#[derive(Debug)]
pub struct Layout {
    /// Token `offsets[i]..offsets[i + 1]` are sequence `i`'s.
    offsets: Vec<usize>,
    longest: usize,
    device: Device,
    /// The number of its sequence for each token `[tokens]`.
    sequence_of: Shared,
    /// The padded place of each token `[tokens]`, among `sequences * longest`.
    packed: Shared,
    /// 0 where there is a token, else [`MASKED`], `[sequences, 1, longest]`.
    mask: Shared,
    /// 1 where a token is of a sequence, else 0, `[tokens, sequences]`; made when it is first needed.
    members: Mutex<Option<Tensor>>,
}

impl Layout {
    /// The layout of sequences with these offsets, and `more` numbers on the same device: one transfer brings all.
    pub(crate) fn with(
        offsets: &[usize],
        more: &[i64],
        device: Device,
    ) -> Result<(Self, Tensor), TchError> {
        let lengths: Vec<usize> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (sequences, tokens) = (lengths.len(), offsets.last().copied().unwrap_or(0));
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut numbers = Vec::with_capacity(3 * tokens + more.len());
        let each = |sequence: usize| std::iter::repeat_n(size(sequence), lengths[sequence]);
        numbers.extend((0..sequences).flat_map(each));
        let places = |sequence: usize| {
            (0..lengths[sequence]).map(move |column| size(sequence * longest + column))
        };
        numbers.extend((0..sequences).flat_map(places));
        numbers.extend(more);
        let first_of_mask = numbers.len();
        let masks = lengths.iter().flat_map(|&length| {
            let padding = std::iter::repeat_n(MASKED, longest - length);
            std::iter::repeat_n(0.0, length).chain(padding)
        });
        numbers.extend(in_pairs(masks));

        let numbers = upload(&Tensor::f_from_slice(&numbers)?, device)?;
        let part = |first: usize, length: usize| numbers.f_narrow(0, size(first), size(length));
        let mask = part(first_of_mask, (sequences * longest).div_ceil(2))?;
        let mask = mask.f_view_dtype(Kind::Float)?;
        let mask = mask.f_narrow(0, 0, size(sequences * longest))?;
        let mask = mask.f_view([size(sequences), 1, size(longest)])?;
        let layout = Self {
            offsets: offsets.to_vec(),
            longest,
            device,
            sequence_of: Shared::new(part(0, tokens)?),
            packed: Shared::new(part(tokens, tokens)?),
            mask: Shared::new(mask),
            members: Mutex::new(None),
        };
        let more = part(2 * tokens, more.len())?;
        Ok((layout, more))
    }

    /// Number of sequences.
    pub(crate) fn sequences(&self) -> i64 {
        size(self.offsets.len() - 1)
    }

    /// Tokens of the longest sequence.
    pub(crate) fn longest(&self) -> i64 {
        size(self.longest)
    }

    /// Token `offsets()[i]..offsets()[i + 1]` are sequence `i`'s.
    pub(super) fn offsets(&self) -> Vec<i64> {
        self.offsets.iter().map(|&offset| size(offset)).collect()
    }

    /// See the field.
    pub(crate) fn mask(&self) -> Tensor {
        self.mask.get()
    }

    /// Two times `[.., tokens, width]` to `[.., sequences * longest, width]`, zeros where there is
    /// no token. Both are written into one piece of zeros, but are no views of it to autograd: one
    /// may be changed while it keeps the other.
    pub(crate) fn pad_two(&self, one: &Tensor, other: &Tensor) -> Result<[Tensor; 2], TchError> {
        let mut shape = one.size();
        if let [.., rows, _] = shape.as_mut_slice() {
            *rows = self.sequences() * self.longest();
        }
        let both: Vec<i64> = std::iter::once(2).chain(shape.iter().copied()).collect();
        let zeros = Tensor::f_zeros(both, (Kind::Float, one.device()))?;
        let packed = self.packed.get();
        let padded = |place: i64, tokens: &Tensor| {
            let mut padded = zeros.f_select(0, place)?.f_internal_unsafe_view(&shape)?;
            padded.f_index_copy_(-2, &packed, tokens)
        };
        Ok([padded(0, one)?, padded(1, other)?])
    }

    /// `[.., sequences * longest, width]` to `[.., tokens, width]`. Not for what gradients flow
    /// through: see the module.
    pub(crate) fn pack(&self, padded: &Tensor) -> Result<Tensor, TchError> {
        padded.f_index_select(-2, &self.packed.get())
    }

    /// Targets of tokens as those of padded places, `none` where there is no token.
    pub(crate) fn padded_targets(&self, targets: &[i64], none: i64) -> Vec<i64> {
        let mut padded = vec![none; (self.offsets.len() - 1) * self.longest];
        for (sequence, pair) in self.offsets.windows(2).enumerate() {
            let first = sequence * self.longest;
            padded[first..first + pair[1] - pair[0]].copy_from_slice(&targets[pair[0]..pair[1]]);
        }
        padded
    }

    /// The values of its sequence for each token: `[.., sequences, width]` to `[.., tokens, width]`. With
    /// gradients it is a product with a matrix of ones and zeros, which gives the same numbers: the
    /// gradient of rows that are read several times would be added up by atomic instructions.
    pub(crate) fn broadcast_to_tokens(&self, values: &Tensor) -> Result<Tensor, TchError> {
        if values.requires_grad() {
            product(&self.members()?, values)
        } else {
            values.f_index_select(-2, &self.sequence_of.get())
        }
    }

    fn members(&self) -> Result<Tensor, TchError> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = &*members {
            return Ok(members.shallow_clone());
        }
        let sequences = self.offsets.len() - 1;
        let tokens = self.offsets[sequences];
        let mut ones = vec![0_f32; tokens * sequences];
        for (sequence, pair) in self.offsets.windows(2).enumerate() {
            for token in pair[0]..pair[1] {
                ones[token * sequences + sequence] = 1.0;
            }
        }
        let ones = Tensor::f_from_slice(&ones)?.f_view([size(tokens), size(sequences)])?;
        let ones = upload(&ones, self.device)?;
        *members = Some(ones.shallow_clone());
        Ok(ones)
    }

    /// Means `[.., sentences, width]` over the tokens of each sentence, which is that of its
    /// sequence by `pool`. The rows are those of tokens, or padded ones. A product with a matrix of
    /// shares: a sum of chosen rows would need atomic additions.
    #[expect(clippy::cast_precision_loss, reason = "lengths of sentences")]
    pub(crate) fn sentence_means(
        &self,
        rows: &Tensor,
        pool: Option<&[usize]>,
        padded: bool,
    ) -> Result<Tensor, TchError> {
        let sequences = self.offsets.len() - 1;
        let sentence = |sequence: usize| pool.map_or(sequence, |pool| pool[sequence]);
        let sentences = if sequences == 0 {
            0
        } else {
            sentence(sequences - 1) + 1
        };
        let mut counts = vec![0; sentences];
        for (sequence, pair) in self.offsets.windows(2).enumerate() {
            counts[sentence(sequence)] += pair[1] - pair[0];
        }
        let width = if padded {
            sequences * self.longest
        } else {
            self.offsets[sequences]
        };
        let mut shares = vec![0_f32; sentences * width];
        for (sequence, pair) in self.offsets.windows(2).enumerate() {
            let first = if padded {
                sequence * self.longest
            } else {
                pair[0]
            };
            let (row, count) = (sentence(sequence), pair[1] - pair[0]);
            let places = row * width + first..row * width + first + count;
            shares[places].fill(1.0 / counts[row].max(1) as f32);
        }
        let shares = Tensor::f_from_slice(&shares)?.f_view([size(sentences), size(width)])?;
        product(&upload(&shares, self.device)?, rows)
    }
}

/// `matrix [rows, places]` times `values [.., places, width]`, as a single product.
fn product(matrix: &Tensor, values: &Tensor) -> Result<Tensor, TchError> {
    match values.size().as_slice() {
        &[heads, _, _] => {
            let matrix = matrix.f_unsqueeze(0)?.f_expand([heads, -1, -1], false)?;
            matrix.f_bmm(values)
        }
        _ => matrix.f_mm(values),
    }
}

/// Float32 numbers in the bytes of half as many others, so that they travel with these.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask is float32 on the device"
)]
fn in_pairs(values: impl Iterator<Item = f64>) -> Vec<i64> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    // GPUs, and the CPUs that they are used with, are little-endian.
    let bits = |value: Option<&f32>| value.map_or(0, |value| u64::from(value.to_bits()));
    let pairs = values.chunks(2);
    let pairs = pairs.map(|pair| bits(pair.first()) | bits(pair.get(1)) << 32);
    pairs.map(u64::cast_signed).collect()
}

#[cfg(test)]
mod tests {
    use shared::tasks::NO_TARGET;

    use super::*;
    use crate::activations::memory::with_values;

    fn values(tensor: &Tensor) -> Vec<f32> {
        with_values(tensor, <[f32]>::to_vec).unwrap()
    }

    /// Sequences of two, no, three and one token.
    #[test]
    #[allow(clippy::cast_possible_truncation, reason = "the numbers are small")]
    fn tokens_go_to_their_places_and_come_back() {
        let (layout, more) = Layout::with(&[0, 2, 2, 5, 6], &[7, 8, 9], Device::Cpu).unwrap();
        assert_eq!(Vec::<i64>::try_from(more).unwrap(), [7, 8, 9]);
        assert_eq!((layout.sequences(), layout.longest()), (4, 3));
        let m = MASKED as f32;
        assert_eq!(
            values(&layout.mask()),
            [0.0, 0.0, m, m, m, m, 0.0, 0.0, 0.0, 0.0, m, m]
        );
        let tokens = Tensor::from_slice(&[1_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([6, 1]);
        let [padded, twice] = layout.pad_two(&tokens, &(&tokens * 2.0)).unwrap();
        assert_eq!(values(&twice), values(&(&padded * 2.0)));
        let expected = [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0];
        assert_eq!(values(&padded), expected);
        assert_eq!(values(&layout.pack(&padded).unwrap()), values(&tokens));
        let none = NO_TARGET;
        let targets = layout.padded_targets(&[1, 2, 3, 4, 5, 6], none);
        assert_eq!(
            targets,
            [1, 2, none, none, none, none, 3, 4, 5, 6, none, none]
        );
        for (rows, padded) in [(tokens, false), (padded, true)] {
            let means = layout.sentence_means(&rows, None, padded).unwrap();
            assert_eq!(values(&means), [1.5, 0.0, 4.0, 6.0]);
            let pool = [0, 0, 0, 1];
            let means = layout.sentence_means(&rows, Some(&pool), padded).unwrap();
            assert_eq!(values(&means), [3.0, 6.0]);
        }
    }

    /// A number that is NaN stays with its sequence where nothing is learned.
    #[test]
    fn what_a_sequence_has_goes_to_its_tokens() {
        let (layout, _) = Layout::with(&[0, 2, 2, 3], &[], Device::Cpu).unwrap();
        let of = Tensor::from_slice(&[1_f32, 2.0, 3.0]).view([3, 1]);
        assert_eq!(
            values(&layout.broadcast_to_tokens(&of).unwrap()),
            [1.0, 1.0, 3.0]
        );
        let learned = of.copy().set_requires_grad(true);
        let tokens = layout.broadcast_to_tokens(&learned).unwrap();
        assert_eq!(values(&tokens), [1.0, 1.0, 3.0]);
        let gradient = Tensor::run_backward(&[tokens.sum(Kind::Float)], &[&learned], false, false);
        assert_eq!(values(&gradient[0]), [2.0, 0.0, 1.0]);
        let nan = Tensor::from_slice(&[f32::NAN, 2.0, 3.0]).view([3, 1]);
        assert!(values(&layout.broadcast_to_tokens(&nan).unwrap())[2].is_finite());
    }
}
