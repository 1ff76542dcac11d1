//! The activations of a batch as heads use them: the tokens of its sequences one after another, without
//! padding, each a row `[layers, hidden]` in the number format of the store. Heads that need only sums
//! over the layers get them without a float32 copy of the batch: on the CPU from [`kernels`], which read
//! the rows in the mapped file, and from [`device`] for rows in the memory of a GPU.

pub mod device;
pub mod kernels;
pub mod memory;
mod parts;
mod widening;

use std::borrow::Cow;
use std::ops::Range;

use cache::{Hidden, StoreDtype};
use device::DeviceRows;
pub use parts::Part;
use shared::exit::{ExitStatus, HasExitStatus};
use tch::{TchError, Tensor};

use crate::torch_error::one_line;

/// Where the rows of a batch are.
pub enum Backing<'s> {
    /// Sequences in the store, one after another.
    Stored(Vec<Hidden<'s>>),
    /// `[tokens, layers, hidden]` in one piece, little-endian.
    Packed(Cow<'s, [u8]>),
    /// In the memory of a GPU.
    Device(DeviceRows),
}

/// The tokens of some sequences, one after another, without padding.
pub struct Batch<'s> {
    backing: Backing<'s>,
    dtype: StoreDtype,
    layers: usize,
    hidden: usize,
    /// Where sequences and sentences are.
    whole: Part,
    /// Empty for rows on a device, where the whole batch is computed at once.
    parts: Vec<Part>,
    /// See [`Batch::with_words`].
    words: Option<Vec<u32>>,
    /// See [`Batch::with_heads`].
    heads: Option<Vec<i64>>,
}

/// Means over the layers of each token `[tokens, hidden]`, and over the tokens of each sequence
/// `[sequences, layers, hidden]`.
pub type Means = (Tensor, Tensor);

/// Why rows do not make a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Nothing in it.
    #[error("a batch needs at least one sequence")]
    Empty,
    /// Sequences of different stores.
    #[error("the sequences of a batch differ: {expected} and {got}; they must come from one store")]
    Mixed {
        /// Layers, hidden size and number format of the first sequence.
        expected: String,
        /// The same of the one that differs.
        got: String,
    },
    /// Offsets that go down, or past the rows, or rows of another size.
    #[error("{bytes} bytes do not hold {tokens} tokens of {row} bytes")]
    Size {
        /// Bytes given.
        bytes: usize,
        /// Tokens by the offsets.
        tokens: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// libtorch failed; on a GPU mostly because its memory is not enough.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] TchError),
    /// Words that are not those of the tokens.
    #[error(
        "lengths of words for {got} of {tokens} tokens; each must stand at the first token of its word, which must end before          the next one and in its sequence"
    )]
    Words {
        /// Tokens of the batch.
        tokens: usize,
        /// Lengths given.
        got: usize,
    },
    /// A pool of another length, or with gaps.
    #[error(
        "the sentences of {sequences} sequences must count up from 0 without gaps, one a sequence; got {pool:?}"
    )]
    Pool {
        /// Sequences in the batch.
        sequences: usize,
        /// What was given.
        pool: Vec<usize>,
    },
}

impl HasExitStatus for BatchError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Torch(_) => ExitStatus::Machine,
            Self::Empty
            | Self::Mixed { .. }
            | Self::Size { .. }
            | Self::Words { .. }
            | Self::Pool { .. } => ExitStatus::User,
        }
    }
}

impl<'s> Batch<'s> {
    /// A batch of sequences of one store.
    ///
    /// # Errors
    /// No sequence, or sequences of different shapes.
    pub fn stored(sequences: Vec<Hidden<'s>>) -> Result<Self, BatchError> {
        let first = sequences.first().ok_or(BatchError::Empty)?;
        let (dtype, layers, hidden) = (first.dtype(), first.layers(), first.hidden());
        let mut offsets = vec![0];
        for sequence in &sequences {
            if (sequence.dtype(), sequence.layers(), sequence.hidden()) != (dtype, layers, hidden) {
                let shape = |of: &Hidden<'_>| {
                    format!(
                        "[{} layers, {} hidden] {}",
                        of.layers(),
                        of.hidden(),
                        of.dtype()
                    )
                };
                return Err(BatchError::Mixed {
                    expected: shape(first),
                    got: shape(sequence),
                });
            }
            offsets.push(offsets[offsets.len() - 1] + sequence.tokens());
        }
        Ok(Self {
            parts: Part::cut(&offsets, None),
            ..Self::uncut(
                Backing::Stored(sequences),
                &offsets,
                (layers, hidden),
                dtype,
            )
        })
    }

    /// A batch of rows that are stored one after another in `bytes`, `[tokens, layers, hidden]`.
    ///
    /// # Errors
    /// No sequence, or bytes that do not fit the offsets.
    pub fn packed(
        bytes: impl Into<Cow<'s, [u8]>>,
        offsets: &[usize],
        (layers, hidden): (usize, usize),
        dtype: StoreDtype,
    ) -> Result<Self, BatchError> {
        let bytes = bytes.into();
        let row = layers * dtype.vector_bytes(hidden);
        let tokens = offsets.last().copied().unwrap_or(0);
        if offsets.len() < 2 {
            return Err(BatchError::Empty);
        }
        if offsets[0] != 0 || !offsets.is_sorted() || bytes.len() != tokens * row {
            return Err(BatchError::Size {
                bytes: bytes.len(),
                tokens,
                row,
            });
        }
        Ok(Self {
            parts: Part::cut(offsets, None),
            ..Self::uncut(Backing::Packed(bytes), offsets, (layers, hidden), dtype)
        })
    }

    /// A batch of rows on a device, `[tokens, layers, hidden]` float32; `dtype` tells what they are stored as.
    ///
    /// # Errors
    /// No sequence, rows that do not fit the offsets, or libtorch has no memory.
    pub fn on_device(
        rows: Tensor,
        offsets: &[usize],
        dtype: StoreDtype,
    ) -> Result<Self, BatchError> {
        let (tokens, layers, hidden) = rows.size3()?;
        let [tokens, layers, hidden] =
            [tokens, layers, hidden].map(|size| usize::try_from(size).unwrap_or(0));
        if offsets.len() < 2 {
            return Err(BatchError::Empty);
        }
        let row = layers * hidden * size_of::<f32>();
        if offsets[0] != 0 || !offsets.is_sorted() || offsets.last() != Some(&tokens) {
            return Err(BatchError::Size {
                bytes: tokens * row,
                tokens: offsets[offsets.len() - 1],
                row,
            });
        }
        let rows = DeviceRows::new(rows, offsets)?;
        Ok(Self::laid_out(rows, offsets, (layers, hidden), dtype))
    }

    /// The same of rows that fit.
    pub(crate) fn laid_out(
        rows: DeviceRows,
        offsets: &[usize],
        shape: (usize, usize),
        dtype: StoreDtype,
    ) -> Self {
        Self::uncut(Backing::Device(rows), offsets, shape, dtype)
    }

    fn uncut(
        backing: Backing<'s>,
        offsets: &[usize],
        (layers, hidden): (usize, usize),
        dtype: StoreDtype,
    ) -> Self {
        Self {
            backing,
            whole: Part::whole(offsets, None),
            parts: Vec::new(),
            words: None,
            heads: None,
            dtype,
            layers,
            hidden,
        }
    }

    /// Tells the sentences: `pool[i]` is that of sequence `i`, several where a sentence was split. Without it each
    /// sequence is a sentence.
    ///
    /// # Errors
    /// Another number of sequences, or sentences that do not count up from 0.
    pub fn with_pool(mut self, pool: Vec<usize>) -> Result<Self, BatchError> {
        let counts_up = pool.first() == Some(&0)
            && pool
                .windows(2)
                .all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1);
        if pool.len() != self.sequences() || !counts_up {
            return Err(BatchError::Pool {
                sequences: self.sequences(),
                pool,
            });
        }
        if !self.parts.is_empty() {
            self.parts = Part::cut(self.offsets(), Some(&pool));
        }
        self.whole = Part::whole(self.offsets(), Some(&pool));
        Ok(self)
    }

    /// Tells the words: at the first token of each word, how many tokens of its sequence it has,
    /// and 0 elsewhere; `[tokens]`. Without it each token is a word.
    ///
    /// # Errors
    /// Another number of tokens, or words that overlap or go on past their sequence.
    pub fn with_words(mut self, words: Vec<u32>) -> Result<Self, BatchError> {
        let wrong = |words: &[u32]| {
            let mut end = 0;
            words.iter().enumerate().any(|(token, &length)| {
                let begins_early = length > 0 && token < end;
                if length > 0 {
                    end = token.saturating_add(length as usize);
                }
                begins_early || end > words.len()
            })
        };
        let sequences = self.offsets().windows(2);
        let mut sequences = sequences.map(|pair| words.get(pair[0]..pair[1]));
        if words.len() != self.tokens() || sequences.any(|words| words.is_none_or(wrong)) {
            return Err(BatchError::Words {
                tokens: self.tokens(),
                got: words.len(),
            });
        }
        self.words = Some(words);
        Ok(self)
    }

    /// Tells the gold heads of words: at the first token of each word where in the batch that of
    /// its head is, -1 for the root, [`NO_TARGET`](shared::tasks::NO_TARGET) for none; `[tokens]`.
    ///
    /// # Errors
    /// Another number of tokens.
    pub fn with_heads(mut self, heads: Vec<i64>) -> Result<Self, BatchError> {
        if heads.len() != self.tokens() {
            return Err(BatchError::Words {
                tokens: self.tokens(),
                got: heads.len(),
            });
        }
        self.heads = Some(heads);
        Ok(self)
    }

    /// The gold heads, where they were told: see [`Self::with_heads`].
    #[must_use]
    pub fn heads(&self) -> Option<&[i64]> {
        self.heads.as_deref()
    }

    /// The words, where they were told: see [`Self::with_words`].
    #[must_use]
    pub fn words(&self) -> Option<&[u32]> {
        self.words.as_deref()
    }

    /// The batch as one part.
    #[must_use]
    pub const fn whole(&self) -> &Part {
        &self.whole
    }

    /// The batch in parts that are computed by themselves.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        if self.parts.is_empty() {
            std::slice::from_ref(&self.whole)
        } else {
            &self.parts
        }
    }

    /// Number of sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.whole.sequences()
    }

    /// Number of tokens of all sequences.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.whole.tokens().end
    }

    /// Token `offsets()[i]..offsets()[i + 1]` are sequence `i`'s.
    #[must_use]
    pub fn offsets(&self) -> &[usize] {
        self.whole.offsets()
    }

    /// The sentence of each sequence, where it was told.
    #[must_use]
    pub fn pool(&self) -> Option<&[usize]> {
        self.whole.pool()
    }

    /// Number format of the rows.
    #[must_use]
    pub const fn dtype(&self) -> StoreDtype {
        self.dtype
    }

    /// Layers of a row.
    #[must_use]
    pub const fn layers(&self) -> usize {
        self.layers
    }

    /// Hidden size.
    #[must_use]
    pub const fn hidden(&self) -> usize {
        self.hidden
    }

    /// The rows on a device, where they are on one.
    #[must_use]
    pub const fn device_rows(&self) -> Option<&DeviceRows> {
        match &self.backing {
            Backing::Device(rows) => Some(rows),
            Backing::Stored(_) | Backing::Packed(_) => None,
        }
    }

    /// The row `[layers, hidden]` of each of these tokens, little-endian; none for [`Self::device_rows`].
    #[must_use]
    pub(crate) fn rows_of(&self, tokens: &Range<usize>) -> Vec<&[u8]> {
        match &self.backing {
            Backing::Stored(sequences) => {
                let spans = self.offsets().windows(2).zip(sequences);
                let overlapping =
                    spans.filter(|(span, _)| span[0] < tokens.end && tokens.start < span[1]);
                overlapping
                    .flat_map(|(span, sequence)| {
                        let (first, last) = (span[0].max(tokens.start), span[1].min(tokens.end));
                        (first..last).map(move |token| sequence.row(token - span[0]))
                    })
                    .collect()
            }
            Backing::Packed(bytes) => {
                let row = (self.layers * self.dtype.vector_bytes(self.hidden)).max(1);
                let rows = bytes.chunks_exact(row);
                rows.skip(tokens.start).take(tokens.len()).collect()
            }
            Backing::Device(_) => Vec::new(),
        }
    }
}
