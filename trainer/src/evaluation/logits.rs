//! The logits of a head over a whole split, for programs that need more than the predicted classes:
//! to combine heads, to calibrate them, or to compare two implementations.

use std::ops::ControlFlow;

use super::{EvaluationError, in_order, values};
use crate::batches::{self, BatchSize, LabelledSplit};
use crate::head::AnyHead;

/// The logits of every row of a split: of its tokens, or of its sentences where these are classified.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    classes: usize,
    /// `[rows, classes]`
    values: Vec<f32>,
}

impl Logits {
    /// The logits of each word (or of the sentence) `[classes]`, sentence by sentence; nothing for a
    /// word that the encoder never saw.
    #[must_use]
    pub fn by_word(&self, split: &LabelledSplit<'_>) -> Vec<Vec<Option<&[f32]>>> {
        let row = |row: usize| &self.values[row * self.classes..(row + 1) * self.classes];
        split.by_word(None, |place| Some(row(place)))
    }
}

/// Runs `head` over the whole of `split`.
///
/// # Errors
/// When the store cannot be read or the head fails.
pub fn logits(
    head: &mut AnyHead,
    split: &LabelledSplit<'_>,
    size: BatchSize,
) -> Result<Logits, EvaluationError> {
    let classes = split.outputs();
    let mut values_of_split = vec![f32::NAN; split.row_count() * classes];
    let mut consumers = [(head, &mut values_of_split)];
    let results = batches::for_each_batch(
        split,
        &in_order(split, size),
        0,
        &mut consumers,
        1,
        |(head, all), batch| {
            let logits = values(&head.logits(&batch.activations)?)?;
            let rows = batch.sentences.iter().flat_map(|&one| split.rows(one));
            for (row, logits) in rows.zip(logits.chunks_exact(classes)) {
                all[row * classes..(row + 1) * classes].copy_from_slice(logits);
            }
            Ok::<ControlFlow<()>, EvaluationError>(ControlFlow::Continue(()))
        },
    )?;
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(Logits {
        classes,
        values: values_of_split,
    })
}
