//! What training minimises, from the logits of a part of a batch: cross-entropy, minus the logarithm
//! of the likelihood of a field, or a loss of texts.

use shared::tasks::{NO_TARGET, Output};
use tch::{Kind, Reduction, TchError, Tensor};

use super::Common;
use super::crf::Sentences;
use super::sizes::size;
use super::text_losses::{binary_cross_entropy, squared_error};
use crate::activations::memory::upload;

/// The loss, and the way back from it.
pub(super) struct Objective {
    /// What the part adds to the mean over the labels of the batch, `[]` or `[heads]`.
    pub(super) loss: Tensor,
    /// Has the gradients of the loss by all that is behind the logits.
    pub(super) differentiable: Tensor,
    /// The gradients by parameters that are not behind the logits, the last ones of the head.
    pub(super) by_others: Vec<Tensor>,
}

/// The right classes of the rows of logits.
pub(super) struct Targets<'t> {
    /// Of each row, [`NO_TARGET`] for none; for other outputs than classes what [`Output`] says.
    pub(super) classes: &'t [i64],
    /// The sentence of each row that has one.
    pub(super) sentence_of: &'t [usize],
    /// How many there are in the whole batch.
    pub(super) labels: usize,
}

impl Objective {
    /// Of logits `[.., rows, classes]`; `on_device` where they are those of the whole batch there.
    pub(super) fn new(
        common: &Common,
        logits: &Tensor,
        targets: &Targets<'_>,
        on_device: bool,
    ) -> Result<Self, TchError> {
        let &Targets {
            classes,
            sentence_of,
            labels,
        } = targets;
        let Some(crf) = &common.crf else {
            let loss = match common.options.output {
                Output::Set => binary_cross_entropy(logits, classes, labels)?,
                Output::Number => squared_error(logits, classes, labels)?,
                Output::Class if on_device => cross_entropy_on_device(logits, classes, labels)?,
                Output::Class => cross_entropy(logits, classes, size(labels))?,
            };
            return Ok(Self {
                differentiable: loss.shallow_clone(),
                loss,
                by_others: Vec::new(),
            });
        };
        let sentences = Sentences::new(classes, sentence_of, labels);
        let found = crf.likelihood(logits, &sentences, on_device)?;
        Ok(Self {
            loss: found.loss,
            differentiable: logits.f_mul(&found.by_logits)?.f_sum(Kind::Float)?,
            by_others: found.by_parameters.into(),
        })
    }
}

/// The cross-entropy of logits `[rows, classes]`, summed up over those of the classes `[rows]` that
/// are labels and divided by `labels`.
fn cross_entropy(logits: &Tensor, classes: &[i64], labels: i64) -> Result<Tensor, TchError> {
    let classes = Tensor::f_from_slice(classes)?;
    logits
        .f_cross_entropy_loss::<&Tensor>(&classes, None, Reduction::Sum, NO_TARGET, 0.0)?
        .f_div_scalar(labels)
}

/// The same where the classes are those of the whole batch; that of each head `[heads]` for logits
/// `[heads, rows, classes]`.
fn cross_entropy_on_device(
    logits: &Tensor,
    classes: &[i64],
    labels: usize,
) -> Result<Tensor, TchError> {
    let (device, ignored) = (logits.device(), NO_TARGET);
    let &[heads, rows, count] = logits.size().as_slice() else {
        let classes = upload(&Tensor::f_from_slice(classes)?, device)?;
        let mean = Reduction::Mean;
        return logits.f_cross_entropy_loss::<&Tensor>(&classes, None, mean, ignored, 0.0);
    };
    // Every class weighs the same, so that the sums of the heads are their means.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a share of a batch"
    )]
    let weight = (1.0 / labels as f64) as f32;
    let weights = vec![weight; usize::try_from(count).unwrap_or(0)];
    let weights = upload(&Tensor::f_from_slice(&weights)?, device)?;
    let classes = classes.repeat(usize::try_from(heads).unwrap_or(0));
    let classes = upload(&Tensor::f_from_slice(&classes)?, device)?;
    let (logits, none) = (logits.f_flatten(0, 1)?, Reduction::None);
    let losses = logits.f_cross_entropy_loss(&classes, Some(&weights), none, ignored, 0.0)?;
    let losses = losses.f_view([heads, rows])?;
    losses.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)
}
