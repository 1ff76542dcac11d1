//! What goes into an encoder: sequences padded to one width, and the inputs of a graph that they
//! become.

use std::borrow::Cow;

use ort::session::SessionInputValue;
use ort::value::{PrimitiveTensorElementType, Tensor};

use super::error::EncoderError;
use crate::family::PositionIds;
use crate::graph::{INPUT_IDS, LENGTHS, POSITION_IDS};

/// Sequences that are encoded together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Token ids, `[rows, width]`, each row padded on the right with 0.
    pub input_ids: Vec<i32>,
    /// Tokens of each row, `[rows]`, special tokens included.
    pub lengths: Vec<i32>,
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
            rows: sequences.len(),
            width,
        })
    }

    /// A batch of full rows that are all token 0: the largest that `rows` and `width` allow.
    #[must_use]
    pub fn blank(rows: usize, width: usize) -> Self {
        Self {
            input_ids: vec![0; rows * width],
            lengths: vec![i32::try_from(width).unwrap_or(i32::MAX); rows],
            rows,
            width,
        }
    }

    /// The tokens of each row, without the padding.
    fn sequences(&self) -> impl Iterator<Item = &[i32]> {
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
    /// Refuses places that are no token's; on a GPU nothing else would notice.
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

/// How a batch becomes the inputs of a graph.
pub(super) enum Feeds {
    /// A graph made by [`crate::graph`].
    Built {
        /// How positions are counted.
        positions: PositionIds,
        /// Whether attention must be told where rows end.
        lengths: bool,
    },
    /// An exported graph, by the names of the inputs it has.
    Exported {
        /// Inputs among `input_ids`, `attention_mask`, `token_type_ids` and `position_ids`.
        inputs: Vec<String>,
        /// How positions are counted.
        positions: PositionIds,
    },
}

/// Named inputs of one run.
pub(super) type Inputs = Vec<(Cow<'static, str>, SessionInputValue<'static>)>;

impl Feeds {
    pub(super) fn inputs(&self, batch: &Batch) -> Result<Inputs, EncoderError> {
        match self {
            Self::Built { positions, lengths } => built_inputs(batch, *positions, *lengths),
            Self::Exported { inputs, positions } => exported_inputs(batch, inputs, *positions),
        }
    }
}

fn built_inputs(
    batch: &Batch,
    positions: PositionIds,
    lengths: bool,
) -> Result<Inputs, EncoderError> {
    let mut inputs: Inputs = vec![
        (
            INPUT_IDS.into(),
            tensor([batch.rows, batch.width], batch.input_ids.clone())?,
        ),
        (
            POSITION_IDS.into(),
            tensor([batch.rows, batch.width], position_ids(batch, positions))?,
        ),
    ];
    if lengths {
        inputs.push((
            LENGTHS.into(),
            tensor([3 * batch.rows + 2], lengths_and_offsets(batch)?)?,
        ));
    }
    Ok(inputs)
}

/// What [`LENGTHS`] is: tokens of each row, then twice where rows begin and the last one ends.
fn lengths_and_offsets(batch: &Batch) -> Result<Vec<i32>, EncoderError> {
    let too_large = |_| EncoderError::Batch {
        problem: "it has more positions than fit 31 bits".to_owned(),
    };
    let offsets = (0..=batch.rows)
        .map(|row| i32::try_from(row * batch.width).map_err(too_large))
        .collect::<Result<Vec<_>, _>>()?;
    Ok([&batch.lengths, &offsets, &offsets]
        .map(Vec::as_slice)
        .concat())
}

/// Exporters write ids as int64.
fn exported_inputs(
    batch: &Batch,
    names: &[String],
    positions: PositionIds,
) -> Result<Inputs, EncoderError> {
    let wide = |values: &[i32]| {
        values
            .iter()
            .map(|&value| i64::from(value))
            .collect::<Vec<_>>()
    };
    let mut inputs = Inputs::new();
    for name in names {
        let values = match name.as_str() {
            "attention_mask" => filled(batch, |row| vec![1_i64; row.len()]),
            "token_type_ids" => vec![0; batch.rows * batch.width],
            "position_ids" => wide(&position_ids(batch, positions)),
            _ => wide(&batch.input_ids),
        };
        inputs.push((
            Cow::Owned(name.clone()),
            tensor([batch.rows, batch.width], values)?,
        ));
    }
    Ok(inputs)
}

/// Rows of the position table, `[rows, width]`; 0 at padding.
fn position_ids(batch: &Batch, positions: PositionIds) -> Vec<i32> {
    filled(batch, |row| positions.number(row))
}

/// `[rows, width]` from a function that gives one number a token, padded with zeros.
fn filled<T: Default + Clone>(batch: &Batch, of_row: impl Fn(&[i32]) -> Vec<T>) -> Vec<T> {
    let mut values = Vec::with_capacity(batch.rows * batch.width);
    for (row, ids) in batch.sequences().enumerate() {
        values.extend(of_row(ids));
        values.resize((row + 1) * batch.width, T::default());
    }
    values
}

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
