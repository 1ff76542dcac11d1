//! Running a head over a split of the store. Training, `eval` and `predict` all use this module, so that
//! the same weights give the same labels and scores everywhere.

mod attention;
mod logits;
mod matthews;
mod numbers;
mod predicted;
mod scores;
mod trees;

use std::fmt;
use std::ops::ControlFlow;

use shared::exit::{ExitStatus, HasExitStatus};
use shared::signals::StopFlag;
use shared::tasks::dependencies::Arc;
use shared::tasks::{NO_SET, Output, UNLABELLED, sets};
use tch::{Kind, Tensor};

use crate::batches::{self, BatchSize, LabelledBatch, LabelledSplit, LoadError};
use crate::head::{self, AnyHead, HeadError};
use crate::torch_error::one_line;

pub use attention::{AttentionRow, LayerAttention, layer_attention};
pub use logits::{Logits, logits};
pub use numbers::NumberScores;
use predicted::{Rule, Sums};
pub use scores::{Attachment, ClassScore, Confusion, Labelled, Scores};
pub use trees::gold_trees;

/// Why a head cannot be run over a split.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The activations cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The head fails.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A head group fails, and with it all of its heads.
    #[error("{why}")]
    Group {
        /// What failed.
        why: String,
        /// The exit status that this error ends the program with.
        status: ExitStatus,
        /// Whether the device failed.
        device_failure: bool,
    },
    /// A tensor cannot be read.
    #[error("the head's output cannot be read: libtorch: {}", one_line(.0))]
    Tensor(#[from] tch::TchError),
}

impl HasExitStatus for EvaluationError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Load(error) => error.exit_status(),
            Self::Head(error) => error.exit_status(),
            Self::Group { status, .. } => *status,
            Self::Tensor(_) => ExitStatus::Machine,
        }
    }
}

impl EvaluationError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        match self {
            Self::Load(error) => error.is_device_failure(),
            Self::Head(error) => error.is_device_failure(),
            Self::Group { device_failure, .. } => *device_failure,
            Self::Tensor(_) => true,
        }
    }
}

/// All sentences of `split` in the order of the store, in batches.
fn in_order(split: &LabelledSplit<'_>, size: BatchSize) -> Vec<Vec<usize>> {
    batches::cut(&split.members(), size, |sentence| {
        split.tokens(sentence).len()
    })
}

/// What a head predicts for a split.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Number of the class of each token (token tasks), or of each sentence.
    classes: Vec<usize>,
    /// Where words have heads, that of each word at its first token: its index in the sentence,
    /// `ROOT` for none.
    heads: Option<Vec<i32>>,
    /// What the head gives for texts that have not one class each, `[sentences, outputs]`: logits of
    /// classes, or a number; NaN for a sentence that the encoder never saw.
    values: Vec<f32>,
    /// From which probability on a class of a set is predicted, where none were tuned.
    threshold: f64,
    /// Those that were tuned, `[classes]`.
    thresholds: Option<Vec<f64>>,
    /// Mean loss over what is labelled: cross-entropy in nats, or squared error.
    pub loss: f64,
    /// Where that is NaN or infinite, the labels that make it so.
    pub non_finite: Option<NonFinite>,
}

/// Labels whose cross-entropy is NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// How many.
    pub count: u32,
    /// Of how many labels of the split.
    pub labels: u32,
    /// The first sentence that has one, counted from 0.
    pub sentence: usize,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            labels,
            sentence,
        } = self;
        write!(
            formatter,
            "for {count} of {labels} labels, the first in sentence {sentence}"
        )
    }
}

impl Predictions {
    /// The predicted label of each word (or of the sentence), sentence by sentence. A word that the
    /// encoder never saw, because it has no sub-word or was cut off, is
    /// [`UNLABELLED`].
    ///
    /// For tasks of sets all labels of each sentence; none for tasks of numbers.
    #[must_use]
    pub fn labels<'s>(&self, split: &LabelledSplit<'s>) -> Vec<Vec<&'s str>> {
        let names = &split.table.classes;
        match split.output() {
            Output::Class => {}
            Output::Number => return vec![Vec::new(); split.reader.sentences()],
            Output::Set => {
                let thresholds = self.thresholds.clone();
                let thresholds = thresholds.unwrap_or_else(|| vec![self.threshold; names.len()]);
                let rows = self.values.chunks_exact(names.len().max(1));
                let labels = rows.map(|logits| {
                    let chosen = sets::chosen(logits, &thresholds).into_iter();
                    chosen.map(|class| names[class].as_str()).collect()
                });
                return labels.collect();
            }
        }
        split.by_word(UNLABELLED, |row| names[self.classes[row]].as_str())
    }

    /// The predicted trees, sentence by sentence, with all words; none for tasks without heads.
    #[must_use]
    pub fn trees<'s>(&self, split: &LabelledSplit<'s>) -> Option<Vec<Vec<Arc<'s>>>> {
        let heads = self.heads.as_ref()?;
        Some(trees::complete(split, heads, &self.classes))
    }

    /// What the head gives for each sentence, `[sentences, outputs]`, where sentences have not one
    /// class each: logits of classes, or a number; NaN for a sentence that the encoder never saw.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same with these thresholds `[classes]` of probabilities.
    #[must_use]
    pub fn with_thresholds(self, thresholds: Option<Vec<f64>>) -> Self {
        Self { thresholds, ..self }
    }

    /// For each class the threshold with which its F1 on `split` is highest.
    #[must_use]
    pub fn best_thresholds(&self, split: &LabelledSplit<'_>) -> Vec<f64> {
        let classes = split.table.classes.len();
        let best = |class: usize| {
            let texts = self.values.chunks_exact(classes).enumerate();
            let texts = texts.filter_map(|(sentence, logits)| {
                let has = split.set(sentence)[class];
                (has != NO_SET).then(|| (sets::probability(logits[class]), has == 1))
            });
            sets::best_threshold(texts.collect())
        };
        (0..classes).map(best).collect()
    }

    /// Scores these predictions.
    #[must_use]
    pub fn scores(&self, split: &LabelledSplit<'_>) -> Scores {
        if let Some(trees) = self.trees(split) {
            return Scores::of_trees(split.table.task, &gold_trees(split), &trees, self.loss);
        }
        if split.output() == Output::Number {
            let numbers = NumberScores::new(&split.table.numbers, &self.values);
            return Scores::of_numbers(numbers, self.loss);
        }
        Scores::new(
            split.table.task,
            &Labelled {
                gold: split.gold(),
                predicted: self.labels(split),
            },
            self.loss,
        )
    }
}

/// A head or head group that predicts a split.
struct Predictor<'h> {
    heads: Heads<'h>,
    /// Of each head; none before the first batch.
    rules: Vec<Rule>,
    /// Of each head.
    results: Vec<Sums>,
}

enum Heads<'h> {
    One(&'h mut AnyHead),
    Group(Box<AnyHead>),
}

impl<'h> Predictor<'h> {
    fn new(heads: Heads<'h>, count: usize, split: &LabelledSplit<'_>) -> Self {
        Self {
            heads,
            rules: Vec::new(),
            results: vec![Sums::new(split); count],
        }
    }

    fn predict(
        &mut self,
        split: &LabelledSplit<'_>,
        batch: &LabelledBatch<'_>,
    ) -> Result<ControlFlow<()>, EvaluationError> {
        let head = match &self.heads {
            Heads::One(head) => &**head,
            Heads::Group(head) => &**head,
        };
        if self.rules.is_empty() {
            self.rules = Rule::of_heads(head, self.results.len(), &split.table.classes)?;
        }
        let logits = values(&head.logits(&batch.activations)?)?;
        let each = (logits.len() / self.results.len()).max(1);
        let results = self.results.iter_mut().zip(&self.rules);
        for ((result, rule), logits) in results.zip(logits.chunks_exact(each)) {
            result.add(rule, split, batch, logits);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Runs `head` over the whole of `split`.
///
/// # Errors
/// When the store cannot be read or the head fails.
pub fn predict(
    head: &mut AnyHead,
    split: &LabelledSplit<'_>,
    size: BatchSize,
) -> Result<Predictions, EvaluationError> {
    let never = StopFlag::default();
    let mut predicted = predict_all(vec![head], split, size, 1, &never)?;
    predicted.remove(0)
}

/// Runs `heads` over the whole of `split`, which is read once, `workers` of them at the same time;
/// on a device those of one shape are computed as one. After a signal, of which `stop` tells, it ends
/// early and its results must not be used.
///
/// # Errors
/// When the store cannot be read. A head that fails has an error as its result.
pub fn predict_all(
    heads: Vec<&mut AnyHead>,
    split: &LabelledSplit<'_>,
    size: BatchSize,
    workers: usize,
    stop: &StopFlag,
) -> Result<Vec<Result<Predictions, EvaluationError>>, LoadError> {
    let (mut predictors, places) = predictors(heads, split);
    let batches = in_order(split, size);
    let ended = batches::for_each_batch(
        split,
        &batches,
        0,
        &mut predictors,
        workers,
        |predictor, batch| unless_stopped(stop, || predictor.predict(split, batch)),
    )?;
    let mut predictions: Vec<_> = (0..places.iter().map(Vec::len).sum())
        .map(|_| None)
        .collect();
    for ((predictor, ended), places) in predictors.into_iter().zip(ended).zip(&places) {
        let of_group = |error: &EvaluationError| EvaluationError::Group {
            why: error.to_string(),
            status: error.exit_status(),
            device_failure: error.is_device_failure(),
        };
        for (result, &place) in predictor.results.into_iter().zip(places) {
            let ended = ended.as_ref().map_err(of_group);
            predictions[place] = Some(ended.map(|()| result.end()));
        }
    }
    Ok(predictions.into_iter().flatten().collect())
}

/// A predictor for each head, or on a device for each head group; and the places of their heads in the
/// list.
fn predictors<'h>(
    heads: Vec<&'h mut AnyHead>,
    split: &LabelledSplit<'_>,
) -> (Vec<Predictor<'h>>, Vec<Vec<usize>>) {
    let mut groups: Vec<Vec<(usize, &'h mut AnyHead)>> = Vec::new();
    for (place, head) in heads.into_iter().enumerate() {
        let most = head.options().most_as_one();
        let open = |group: &&mut Vec<(usize, &'h mut AnyHead)>| {
            let same = |(_, other): &(usize, &'h mut AnyHead)| other.options() == head.options();
            split.is_on_device() && group.len() < most && group.first().is_some_and(same)
        };
        match groups.iter_mut().find(open) {
            Some(group) => group.push((place, head)),
            None => groups.push(vec![(place, head)]),
        }
    }
    let (mut predictors, mut places) = (Vec::new(), Vec::new());
    for group in groups {
        let members: Vec<&AnyHead> = group.iter().map(|(_, head)| &**head).collect();
        let is_group = members.len() > 1;
        if let Some(Ok(one)) = is_group.then(|| head::grouped(&members)) {
            predictors.push(Predictor::new(Heads::Group(one), group.len(), split));
            places.push(group.into_iter().map(|(place, _)| place).collect());
            continue;
        }
        // Where memory is too small for a group, its heads are computed one after another.
        for (place, head) in group {
            predictors.push(Predictor::new(Heads::One(head), 1, split));
            places.push(vec![place]);
        }
    }
    (predictors, places)
}

/// Does the work on a batch, unless a signal came.
fn unless_stopped(
    stop: &StopFlag,
    work: impl FnOnce() -> Result<ControlFlow<()>, EvaluationError>,
) -> Result<ControlFlow<()>, EvaluationError> {
    if stop.stopped() {
        return Ok(ControlFlow::Break(()));
    }
    work()
}

/// The numbers of a tensor, row by row.
fn values(tensor: &Tensor) -> Result<Vec<f32>, tch::TchError> {
    let flat = tensor
        .f_to_kind(Kind::Float)?
        .f_to_device(tch::Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?;
    Vec::<f32>::try_from(flat)
}
