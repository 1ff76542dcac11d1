//! What a head predicts for a split, and its loss there, from the logits of one batch after another.

use std::ops::Range;

use shared::heads::{Threshold, TreeScorer};
use shared::tasks::dependencies::ROOT;
use shared::tasks::{Decoder, Output, largest, target_number};
use tch::TchError;

use super::trees::{Parsed, parsed};
use super::{NonFinite, Predictions};
use crate::batches::{LabelledBatch, LabelledSplit};
use crate::head::{AnyHead, Field, HeadError};

/// How a head chooses predictions, and what its loss is.
pub(super) struct Rule {
    decoder: Decoder,
    /// None for cross-entropy.
    field: Option<Field>,
    /// Where words have heads.
    scorer: Option<TreeScorer>,
    /// From which probability on a class of a set is predicted, until it is tuned.
    threshold: f64,
}

impl Rule {
    /// Those of each head of a group of so many `heads`, for classes of these names.
    pub(super) fn of_heads(
        head: &AnyHead,
        heads: usize,
        classes: &[String],
    ) -> Result<Vec<Self>, HeadError> {
        let mut fields = head.common().fields(heads)?.into_iter();
        let mut scorers = head.common().scorers(heads)?.into_iter();
        let rule = |_| {
            let (field, scorer) = (fields.next(), scorers.next());
            let missing = || TchError::Shape("a field for each head".to_owned());
            let learned = |_: &_| field.as_ref().map(Field::chain).ok_or_else(missing);
            let decoder = head.options().decoder(classes, learned)?;
            Ok(Self {
                decoder,
                field,
                scorer,
                threshold: head.options().threshold.before_tuning(),
            })
        };
        (0..heads).map(rule).collect()
    }
}

/// What a head has predicted so far, and sums of its losses.
#[derive(Clone)]
pub(super) struct Sums {
    classes: Vec<usize>,
    heads: Option<Vec<i32>>,
    /// What the head gives for texts that have not one class each, `[sentences, outputs]`.
    values: Vec<f32>,
    threshold: f64,
    loss: f64,
    labelled: u32,
    /// Of those labelled, how many have a loss that is NaN or infinite, and the first sentence with one.
    non_finite: Option<(u32, usize)>,
}

/// A sentence of a batch.
struct Sentence<'b> {
    /// Its rows among what has a class.
    rows: Range<usize>,
    /// The logits of the rows, `[rows, classes]`.
    logits: &'b [f32],
    /// The class of each row, negative for none.
    targets: &'b [i64],
}

impl Sentence<'_> {
    /// Logits `[classes]` and class of each row, where it has one.
    fn with_targets(&self, classes: usize) -> impl Iterator<Item = (&[f32], Option<usize>)> {
        let targets = self
            .targets
            .iter()
            .map(|&target| usize::try_from(target).ok());
        self.logits.chunks_exact(classes).zip(targets)
    }
}

impl Sums {
    pub(super) fn new(split: &LabelledSplit<'_>) -> Self {
        Self {
            classes: vec![0; split.table.ids.len()],
            heads: split
                .table
                .heads
                .as_ref()
                .map(|_| vec![ROOT; split.table.ids.len()]),
            values: match split.output() {
                Output::Class => Vec::new(),
                Output::Set | Output::Number => {
                    vec![f32::NAN; split.row_count() * split.outputs()]
                }
            },
            threshold: Threshold::default().before_tuning(),
            loss: 0.0,
            labelled: 0,
            non_finite: None,
        }
    }

    /// Adds the logits `[rows, classes]` of a batch.
    pub(super) fn add(
        &mut self,
        rule: &Rule,
        split: &LabelledSplit<'_>,
        batch: &LabelledBatch<'_>,
        logits: &[f32],
    ) {
        if let Some(scorer) = &rule.scorer {
            self.add_trees(scorer, split, batch, logits);
            return;
        }
        if split.output() != Output::Class {
            self.threshold = rule.threshold;
            return self.add_texts(split, batch, logits);
        }
        let classes = split.table.classes.len();
        let mut first = 0;
        for &index in &batch.sentences {
            let rows = split.rows(index);
            let own = first..first + rows.len();
            first = own.end;
            let sentence = Sentence {
                rows,
                logits: &logits[own.start * classes..own.end * classes],
                targets: &batch.targets[own],
            };
            self.predict(&rule.decoder, split, &sentence);
            let rows = sentence.with_targets(classes);
            let labelled = rows.filter_map(|(logits, target)| Some((logits, target?)));
            if let Some(field) = &rule.field {
                let (rows, gold): (Vec<&[f32]>, Vec<usize>) = labelled.unzip();
                let labels = u32::try_from(gold.len()).unwrap_or(u32::MAX);
                self.count(index, labels, field.loss(&rows, &gold));
                continue;
            }
            for (logits, target) in labelled {
                self.count(index, 1, cross_entropy(logits, target));
            }
        }
    }

    /// Adds the trees of a batch; `kept` has of each token what the scorer needs, `[tokens,
    /// width]`.
    fn add_trees(
        &mut self,
        scorer: &TreeScorer,
        split: &LabelledSplit<'_>,
        batch: &LabelledBatch<'_>,
        kept: &[f32],
    ) {
        let (width, mut first) = (scorer.width(), 0);
        for &index in &batch.sentences {
            let rows = split.rows(index);
            let own = first..first + rows.len();
            first = own.end;
            let kept = &kept[own.start * width..own.end * width];
            let Parsed {
                words,
                loss,
                labels,
            } = parsed(scorer, split, batch, (own, rows.start), kept);
            for (row, attached) in words {
                self.classes[row] = attached.class.unwrap_or(0);
                if let Some(heads) = &mut self.heads {
                    let head = attached.head.and_then(|head| i32::try_from(head).ok());
                    heads[row] = head.unwrap_or(ROOT);
                }
            }
            self.count(index, labels, loss);
        }
    }

    /// Adds what a head gives for texts that have not one class each, `[sentences, outputs]`.
    fn add_texts(&mut self, split: &LabelledSplit<'_>, batch: &LabelledBatch<'_>, values: &[f32]) {
        let outputs = split.outputs();
        let rows = values.chunks_exact(outputs);
        let targets = batch.targets.chunks_exact(outputs);
        for ((&sentence, values), targets) in batch.sentences.iter().zip(rows).zip(targets) {
            self.values[sentence * outputs..(sentence + 1) * outputs].copy_from_slice(values);
            for (&value, &target) in values.iter().zip(targets) {
                let loss = match split.output() {
                    Output::Number => target_number(target)
                        .map(|gold| (f64::from(value) - f64::from(gold)).powi(2)),
                    Output::Class | Output::Set => match target {
                        0 | 1 => Some(binary_cross_entropy(value, target == 1)),
                        _ => None,
                    },
                };
                if let Some(loss) = loss {
                    self.count(sentence, 1, loss);
                }
            }
        }
    }

    fn predict(&mut self, decoder: &Decoder, split: &LabelledSplit<'_>, sentence: &Sentence<'_>) {
        let classes = split.table.classes.len();
        let rows = sentence.rows.clone().zip(sentence.with_targets(classes));
        if *decoder == Decoder::Single {
            for (row, (logits, _)) in rows {
                self.classes[row] = largest(logits);
            }
            return;
        }
        // The words of the sentence, a gap where the encoder saw none.
        let (mut words, mut places): (Vec<Option<&[f32]>>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut next = 0;
        for (row, (logits, _)) in rows.filter(|(_, (_, target))| target.is_some()) {
            let word = split.reader.word_ids()[row];
            if word > next {
                words.push(None);
            }
            next = word.saturating_add(1);
            words.push(Some(logits));
            places.push(row);
        }
        let predicted = decoder.words(&words).into_iter().flatten();
        for (row, class) in places.into_iter().zip(predicted) {
            self.classes[row] = class;
        }
    }

    /// Counts the loss of so many labels of a sentence, which it is the sum of.
    fn count(&mut self, sentence: usize, labels: u32, loss: f64) {
        self.loss += loss;
        self.labelled += labels;
        if !loss.is_finite() {
            let (count, first) = self.non_finite.unwrap_or((0, sentence));
            self.non_finite = Some((count + labels, first));
        }
    }

    pub(super) fn end(self) -> Predictions {
        Predictions {
            classes: self.classes,
            heads: self.heads,
            values: self.values,
            threshold: self.threshold,
            thresholds: None,
            loss: if self.labelled == 0 {
                0.0
            } else {
                self.loss / f64::from(self.labelled)
            },
            non_finite: self.non_finite.map(|(count, sentence)| NonFinite {
                count,
                labels: self.labelled,
                sentence,
            }),
        }
    }
}

/// Minus the logarithm of the target's softmax probability.
fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits
        .iter()
        .map(|&logit| (f64::from(logit) - highest).exp())
        .sum();
    sum.ln() + highest - f64::from(logits[target])
}

/// Minus the logarithm of the probability of a class that is right, or of its not being so.
fn binary_cross_entropy(logit: f32, is_right: bool) -> f64 {
    let logit = f64::from(logit);
    let against = if is_right { -logit } else { logit };
    // log(1 + exp(x)) without overflow.
    against.max(0.0) + (-against.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_cross_entropy_is_that_of_the_sigmoid() {
        // Computed with torch.nn.functional.binary_cross_entropy_with_logits.
        for (logit, right, expected) in [
            (0.0, true, std::f64::consts::LN_2),
            (2.0, true, 0.126_928_011),
            (2.0, false, 2.126_928_011),
            (-100.0, true, 100.0),
            (800.0, true, 0.0),
        ] {
            let got = binary_cross_entropy(logit, right);
            assert!((got - expected).abs() < 1e-8, "{logit} {right} {got}");
        }
        assert!(!binary_cross_entropy(f32::NAN, true).is_finite());
    }

    #[test]
    fn cross_entropy_is_that_of_the_softmax() {
        // Computed with torch.nn.functional.cross_entropy.
        assert!((cross_entropy(&[1.0, 2.0, 3.0], 0) - 2.407_605_964).abs() < 1e-7);
        assert!((cross_entropy(&[1000.0, 0.0], 0)).abs() < 1e-12);
    }
}
