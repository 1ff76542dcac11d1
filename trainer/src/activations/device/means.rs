//! The means over layers and over tokens of a whole split that is kept in a device's memory. They depend
//! on no parameter, so they are computed once, for the first head that needs them; batches then read
//! theirs from a table.

use std::sync::{Mutex, PoisonError};

use cache::StoreDtype;
use tch::{Kind, TchError, Tensor};

use super::{Format, size};
use crate::activations::Means;
use crate::activations::memory::{Shared, upload};

/// Bytes of activations, as float32, whose means are computed at once.
const AT_ONCE: usize = 256 << 20;

/// The means of every token and sequence of a split.
#[derive(Debug)]
pub struct SplitMeans {
    /// `[tokens, layers, as stored]`
    rows: Shared,
    format: Format,
    /// Layers and hidden size.
    shape: (usize, usize),
    /// Token `offsets[i]..offsets[i + 1]` are sequence `i`'s.
    offsets: Vec<u64>,
    made: Mutex<Made>,
}

#[derive(Debug)]
enum Made {
    NotYet,
    /// Those over layers of every token, then those over tokens of every layer of every sequence,
    /// in one table, so that a batch has them by one operation: `[tokens + sequences * layers,
    /// hidden]`.
    Kept(Tensor),
    /// The device has no room for them.
    NoRoom,
}

/// The rows of a batch in the table of its split.
#[derive(Debug)]
pub(crate) struct Picked {
    /// `[tokens + sequences * layers]`
    pub(crate) places: Shared,
    /// How many of them are tokens.
    pub(crate) tokens: usize,
}

impl SplitMeans {
    /// The means of `rows [tokens, layers, as stored]`, of layers and hidden size `shape`.
    #[must_use]
    pub fn new(rows: &Tensor, dtype: StoreDtype, shape: (usize, usize), offsets: Vec<u64>) -> Self {
        Self {
            rows: Shared::new(rows.shallow_clone()),
            format: Format::new(dtype, shape.1),
            shape,
            offsets,
            made: Mutex::new(Made::NotYet),
        }
    }

    /// Bytes of the means of a split.
    #[must_use]
    pub const fn bytes(tokens: u64, sequences: u64, layers: u64, hidden: u64) -> u64 {
        (tokens + sequences * layers) * hidden * 4
    }

    /// The places of `sequences` in the table.
    pub(crate) fn places(&self, sequences: &[usize]) -> impl Iterator<Item = i64> {
        let layers = self.shape.0;
        let tokens = self.offsets.last().copied().unwrap_or(0).cast_signed();
        sequences.iter().flat_map(move |&sequence| {
            let first = tokens + size(sequence * layers);
            first..first + size(layers)
        })
    }

    /// The means of a batch; nothing where the device has no room for those of the split.
    pub(crate) fn batch(&self, batch: &Picked) -> Result<Option<Means>, TchError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*made, Made::NotYet) {
            // They only save time: without room for them each batch computes its own.
            *made = tch::no_grad(|| self.make()).map_or(Made::NoRoom, Made::Kept);
        }
        let Made::Kept(table) = &*made else {
            return Ok(None);
        };
        let (layers, hidden) = self.shape;
        let rows = table.f_index_select(0, &batch.places.get())?;
        let tokens = size(batch.tokens);
        let over_tokens = rows.f_narrow(0, tokens, rows.size()[0] - tokens)?;
        let over_tokens = over_tokens.f_view([-1, size(layers), size(hidden)])?;
        Ok(Some((rows.f_narrow(0, 0, tokens)?, over_tokens)))
    }

    fn make(&self) -> Result<Tensor, TchError> {
        let rows = self.rows.get();
        let ((layers, hidden), sequences) = (self.shape, self.offsets.len() - 1);
        let tokens = rows.size().first().copied().unwrap_or(0);
        let shape = [tokens + size(sequences * layers), size(hidden)];
        let table = Tensor::f_empty(shape, (Kind::Float, rows.device()))?;
        let over_layers = table.f_narrow(0, 0, tokens)?;
        let over_tokens = table.f_narrow(0, tokens, size(sequences * layers))?;
        let over_tokens = over_tokens.f_view([size(sequences), size(layers), size(hidden)])?;
        let at_once = AT_ONCE / (layers * hidden * size_of::<f32>()).max(1);
        let mut first = 0;
        while first < sequences {
            let end = self.until(first, at_once as u64);
            let (from, to) = (self.offsets[first], self.offsets[end]);
            let (from, count) = (from.cast_signed(), (to - from).cast_signed());
            let piece = self.format.widened(&rows.f_narrow(0, from, count)?)?;
            let offsets = self.offsets[first..=end].iter();
            let offsets: Vec<i64> = offsets
                .map(|end| (end - self.offsets[first]).cast_signed())
                .collect();
            let means = means(&piece, &offsets)?;
            over_layers.f_narrow(0, from, count)?.f_copy_(&means.0)?;
            let (first_sequence, several) = (size(first), size(end - first));
            let own = over_tokens.f_narrow(0, first_sequence, several);
            own?.f_copy_(&means.1)?;
            first = end;
        }
        Ok(table)
    }

    /// The end of as many sequences from `first` on as have `tokens` tokens; at least one.
    fn until(&self, first: usize, tokens: u64) -> usize {
        let limit = self.offsets[first] + tokens;
        let fit = self.offsets[first + 1..].partition_point(|&end| end <= limit);
        first + fit.max(1)
    }
}

/// The means over layers `[tokens, hidden]` and over the tokens of each sequence `[sequences, layers, hidden]` of `rows
/// [tokens, layers, hidden]`; token `offsets[i]..offsets[i + 1]` are sequence `i`'s.
pub(super) fn means(rows: &Tensor, offsets: &[i64]) -> Result<Means, TchError> {
    let over_layers = rows.f_mean_dim([1].as_slice(), false, Kind::Float)?;
    let (tokens, layers, hidden) = rows.size3()?;
    let firsts = &offsets[..offsets.len() - 1];
    let numbers: Vec<i64> = firsts.iter().copied().chain(0..tokens).collect();
    let numbers = upload(&Tensor::f_from_slice(&numbers)?, rows.device())?;
    let sequences = size(firsts.len());
    // Sequences are bags of their tokens, as of words with an embedding each.
    let (over_tokens, ..) = Tensor::f_embedding_bag::<&Tensor>(
        &rows.f_view([tokens, layers * hidden])?,
        &numbers.f_narrow(0, sequences, tokens)?,
        &numbers.f_narrow(0, 0, sequences)?,
        false,
        MEAN,
        false,
        None,
        false,
    )?;
    Ok((
        over_layers,
        over_tokens.f_view([sequences, layers, hidden])?,
    ))
}

/// libtorch's number for it.
const MEAN: i64 = 1;
