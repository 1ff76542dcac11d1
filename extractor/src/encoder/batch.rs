//! Sequences that are encoded together, padded to one width.

use super::error::EncoderError;

/// Sequences that are encoded together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Token ids, `[rows, width]`, each row padded on the right with 0.
    pub input_ids: Vec<i32>,
    /// Tokens of each row, `[rows]`, special tokens included.
    pub lengths: Vec<i32>,
    /// Type of each token, `[rows, width]`: 1 in the second text of a pair, else 0. Empty where all
    /// are 0.
    pub token_types: Vec<i32>,
    /// Number of sequences.
    pub rows: usize,
    /// Tokens of the longest sequence.
    pub width: usize,
}

impl Batch {
    /// Pads `sequences` to the longest of them.
    ///
    /// # Errors
    /// When an id or a length does not fit 31 bits.
    pub fn padded(sequences: &[&[u32]]) -> Result<Self, EncoderError> {
        let width = sequences.iter().map(|ids| ids.len()).max().unwrap_or(0);
        Self::padded_to(width, sequences)
    }

    /// Pads `sequences` to `width` tokens.
    ///
    /// # Errors
    /// As [`Batch::padded`], and when one is longer.
    pub fn padded_to(width: usize, sequences: &[&[u32]]) -> Result<Self, EncoderError> {
        if let Some(longer) = sequences.iter().find(|ids| ids.len() > width) {
            let length = longer.len();
            return Err(EncoderError::Batch {
                problem: format!("a sequence has {length} tokens, expected at most {width}"),
            });
        }
        let too_large = |_| EncoderError::Batch {
            problem: "a number does not fit 31 bits".to_owned(),
        };
        let mut input_ids = Vec::with_capacity(sequences.len() * width);
        let mut lengths = Vec::with_capacity(sequences.len());
        for (row, ids) in sequences.iter().enumerate() {
            for &id in *ids {
                input_ids.push(i32::try_from(id).map_err(too_large)?);
            }
            input_ids.resize((row + 1) * width, 0);
            lengths.push(i32::try_from(ids.len()).map_err(too_large)?);
        }
        Ok(Self {
            input_ids,
            lengths,
            token_types: Vec::new(),
            rows: sequences.len(),
            width,
        })
    }

    /// The same with tokens of type 1 from a place of each row on, `[rows]`; none for a row that is
    /// a single text.
    #[must_use]
    pub fn with_second_texts(mut self, begins: &[Option<usize>]) -> Self {
        if begins.iter().all(Option::is_none) {
            return self;
        }
        self.token_types = vec![0; self.rows * self.width];
        let rows = self.token_types.chunks_exact_mut(self.width.max(1));
        for ((row, begin), &length) in rows.zip(begins).zip(&self.lengths) {
            let end = usize::try_from(length).unwrap_or(0).min(row.len());
            if let Some(begin) = *begin {
                row[begin.min(end)..end].fill(1);
            }
        }
        self
    }

    /// A batch of full rows that are all token 0: the largest that `rows` and `width` allow.
    #[must_use]
    pub fn blank(rows: usize, width: usize) -> Self {
        Self {
            input_ids: vec![0; rows * width],
            lengths: vec![i32::try_from(width).unwrap_or(i32::MAX); rows],
            token_types: Vec::new(),
            rows,
            width,
        }
    }

    /// The tokens of each row, without the padding.
    pub(super) fn sequences(&self) -> impl Iterator<Item = &[i32]> {
        let lengths = self
            .lengths
            .iter()
            .map(|&length| usize::try_from(length).unwrap_or(0));
        self.input_ids
            .chunks_exact(self.width.max(1))
            .zip(lengths)
            .map(|(row, length)| &row[..length])
    }

    /// Refuses what would make a graph read outside its tables; on a GPU nothing else would notice.
    pub(crate) fn check(
        &self,
        vocabulary: usize,
        max_positions: usize,
    ) -> Result<(), EncoderError> {
        let problem = |problem: String| Err(EncoderError::Batch { problem });
        let (rows, width) = (self.rows, self.width);
        if rows == 0 || width == 0 {
            return problem(format!("it is empty ([{rows}, {width}])"));
        }
        if self.input_ids.len() != rows * width || self.lengths.len() != rows {
            let (ids, lengths) = (self.input_ids.len(), self.lengths.len());
            return problem(format!(
                "it holds {ids} ids and {lengths} lengths for [{rows}, {width}]"
            ));
        }
        let types = &self.token_types;
        let is_type = |kind: &i32| (0..=1).contains(kind);
        if !(types.is_empty() || types.len() == rows * width) || !types.iter().all(is_type) {
            let count = types.len();
            return problem(format!(
                "it holds {count} token types for [{rows}, {width}], expected 0 and 1"
            ));
        }
        if width > max_positions {
            return Err(EncoderError::TooLong {
                width,
                max_positions,
            });
        }
        if let Some(length) = self
            .lengths
            .iter()
            .find(|&&n| usize::try_from(n).map_or(true, |n| n == 0 || n > width))
        {
            return problem(format!("a row has length {length}, expected 1 to {width}"));
        }
        let known = |id: i32| usize::try_from(id).is_ok_and(|id| id < vocabulary);
        match self.input_ids.iter().find(|&&id| !known(id)) {
            Some(&id) => Err(EncoderError::UnknownToken { id, vocabulary }),
            None => Ok(()),
        }
    }
}

impl Batch {
    /// Refuses places where no token is; on a GPU nothing else would notice.
    pub(super) fn check_kept(&self, kept: &[i32]) -> Result<(), EncoderError> {
        let is_token = |place: i32| {
            let place = usize::try_from(place).ok()?;
            let length = usize::try_from(*self.lengths.get(place / self.width)?).ok()?;
            (place % self.width < length).then_some(())
        };
        match kept.iter().find(|&&place| is_token(place).is_none()) {
            Some(place) => Err(EncoderError::Batch {
                problem: format!("place {place} is not a token's"),
            }),
            None if kept.is_empty() => Err(EncoderError::Batch {
                problem: "no token of it is kept".to_owned(),
            }),
            None => Ok(()),
        }
    }
}
