//! How a batch becomes the inputs of a graph.

use std::borrow::Cow;

use super::batch::Batch;
use super::blocks;
use super::error::EncoderError;
use super::tensor::{Inputs, tensor};
use crate::family::{Blocks, PositionIds};
use crate::graph::{INPUT_IDS, LENGTHS, POSITION_IDS, TOKEN_TYPES};

/// The inputs that a graph has.
pub(super) enum GraphInputs {
    /// Those of a graph made by [`crate::graph`], int32.
    Built {
        /// How positions are numbered.
        positions: PositionIds,
        /// Whether attention must be told where rows end.
        lengths: bool,
        /// The blocks in which windows are computed, if there are any.
        blocks: Option<Blocks>,
        /// Whether the graph is told the type of each token.
        token_types: bool,
    },
    /// Those of an exported graph, int64.
    Exported {
        /// Which of them it has.
        inputs: Vec<ExportedInput>,
        /// How positions are numbered.
        positions: PositionIds,
    },
}

/// An input of an exported graph, `[rows, width]`; others cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExportedInput {
    /// Token ids.
    InputIds,
    /// 1 where there is a token, 0 where there is padding.
    AttentionMask,
    /// Token types.
    TokenTypeIds,
    /// The number of each token.
    PositionIds,
}

impl ExportedInput {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self::InputIds,
        Self::AttentionMask,
        Self::TokenTypeIds,
        Self::PositionIds,
    ];

    /// Its name in the graph.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InputIds => "input_ids",
            Self::AttentionMask => "attention_mask",
            Self::TokenTypeIds => "token_type_ids",
            Self::PositionIds => "position_ids",
        }
    }

    fn values(self, batch: &Batch, positions: PositionIds) -> Vec<i64> {
        let wide = |values: &[i32]| values.iter().map(|&value| i64::from(value)).collect();
        match self {
            Self::InputIds => wide(&batch.input_ids),
            Self::AttentionMask => filled(batch, |row| vec![1; row.len()]),
            Self::TokenTypeIds => wide(&token_types(batch)),
            Self::PositionIds => wide(&position_ids(batch, positions)),
        }
    }
}

impl GraphInputs {
    /// The inputs of a run that encodes `batch`.
    pub(super) fn for_batch(&self, batch: &Batch) -> Result<Inputs, EncoderError> {
        match self {
            Self::Built {
                positions,
                lengths,
                token_types: told,
                blocks,
            } => {
                let mut inputs = built_inputs(batch, *positions, *lengths)?;
                if *told {
                    let types = tensor([batch.rows, batch.width], token_types(batch))?;
                    inputs.push((TOKEN_TYPES.into(), types));
                }
                if let Some(blocks) = *blocks {
                    inputs.extend(blocks::inputs(batch, blocks)?);
                }
                Ok(inputs)
            }
            Self::Exported { inputs, positions } => {
                let tensor = |input: &ExportedInput| {
                    let values = input.values(batch, *positions);
                    let tensor = tensor([batch.rows, batch.width], values)?;
                    Ok((Cow::Borrowed(input.name()), tensor))
                };
                inputs.iter().map(tensor).collect()
            }
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

/// The type of each token, `[rows, width]`.
fn token_types(batch: &Batch) -> Vec<i32> {
    if batch.token_types.is_empty() {
        vec![0; batch.rows * batch.width]
    } else {
        batch.token_types.clone()
    }
}

/// Rows of the position table, `[rows, width]`; 0 at padding.
fn position_ids(batch: &Batch, positions: PositionIds) -> Vec<i32> {
    filled(batch, |row| positions.number(row))
}

/// `[rows, width]` from a function that gives one number a token, padded with zeros.
fn filled<T: Default + Clone>(batch: &Batch, row_values: impl Fn(&[i32]) -> Vec<T>) -> Vec<T> {
    let mut values = Vec::with_capacity(batch.rows * batch.width);
    for (row, ids) in batch.sequences().enumerate() {
        values.extend(row_values(ids));
        values.resize((row + 1) * batch.width, T::default());
    }
    values
}
