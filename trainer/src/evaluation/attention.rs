//! Which layers a head draws on: the mean of its attention over the layers, for every class and
//! every kind of token. This is the analysis that the method was made for (Basirat 2024).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use shared::signals::StopFlag;
use shared::tasks::{Level, Output};

use super::{EvaluationError, in_order, unless_stopped, values};
use crate::batches::{self, BatchSize, LabelledBatch, LabelledSplit, LoadError};
use crate::head::AnyHead;
use crate::metrics::number;

/// Mean attention over the layers of one group of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionRow {
    /// The class, or the kind of token.
    pub name: String,
    /// How many tokens it is the mean of.
    pub tokens: usize,
    /// One weight for each stored layer; they add up to 1.
    #[serde(deserialize_with = "number::or_nans")]
    pub weights: Vec<f64>,
}

/// Mean attention over the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAttention {
    /// By gold class: the first sub-words of words, or all tokens of sentences.
    pub classes: Vec<AttentionRow>,
    /// By kind of token: first and further sub-words, special tokens.
    pub kinds: Vec<AttentionRow>,
}

const KINDS: [&str; 3] = ["first sub-word", "further sub-words", "special tokens"];

/// Sums of weights on their way to means.
#[derive(Debug, Default)]
struct Sums(BTreeMap<usize, (usize, Vec<f64>)>);

impl Sums {
    fn add(&mut self, group: usize, weights: &[f32]) {
        let (tokens, sums) = self
            .0
            .entry(group)
            .or_insert_with(|| (0, vec![0.0; weights.len()]));
        *tokens += 1;
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum += f64::from(weight);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of tokens are far below 2^52"
    )]
    fn rows(self, name: impl Fn(usize) -> String) -> Vec<AttentionRow> {
        let rows = self
            .0
            .into_iter()
            .map(|(group, (tokens, sums))| AttentionRow {
                name: name(group),
                tokens,
                weights: sums.iter().map(|sum| sum / tokens as f64).collect(),
            });
        rows.collect()
    }
}

/// A head whose attention on a split is being summed up.
struct AttentionSums<'h> {
    head: &'h mut AnyHead,
    classes: Sums,
    kinds: Sums,
    any: bool,
}

impl AttentionSums<'_> {
    fn add(
        &mut self,
        split: &LabelledSplit<'_>,
        batch: &LabelledBatch<'_>,
    ) -> Result<ControlFlow<()>, EvaluationError> {
        let Some(attention) = self.head.layer_attention(&batch.activations)? else {
            return Ok(ControlFlow::Break(()));
        };
        self.any = true;
        let attention = values(&attention)?;
        let mut weights = attention.chunks_exact(batch.activations.layers());
        for (index, &sentence) in batch.sentences.iter().enumerate() {
            let mut before = -1;
            for (token, weights) in split.tokens(sentence).zip(&mut weights) {
                let word = split.reader.word_ids()[token];
                self.kinds.add(kind(before, word), weights);
                before = word;
                let class = match (split.output(), split.table.level) {
                    (Output::Class, Level::Token) => i64::from(split.table.ids[token]),
                    (Output::Class, Level::Sentence) => batch.targets[index],
                    (Output::Number, _) => continue,
                    (Output::Set, _) => {
                        let set = split.set(sentence).iter().enumerate();
                        let of_text = set.filter(|(_, has)| **has == 1);
                        of_text.for_each(|(class, _)| self.classes.add(class, weights));
                        continue;
                    }
                };
                if let Ok(class) = usize::try_from(class) {
                    self.classes.add(class, weights);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(self, split: &LabelledSplit<'_>) -> Option<LayerAttention> {
        let class = |class: usize| split.table.classes[class].clone();
        self.any.then(|| LayerAttention {
            classes: self.classes.rows(class),
            kinds: self.kinds.rows(|kind| KINDS[kind].to_owned()),
        })
    }
}

/// The mean attention of each of `heads` over the layers on `split`, which is read once, `workers`
/// heads at the same time; nothing for a head that does not weigh layers. After a signal, of which
/// `stop` tells, it ends early and its results must not be used.
///
/// # Errors
/// When the store cannot be read. A head that fails has an error as its result.
pub fn layer_attention(
    heads: Vec<&mut AnyHead>,
    split: &LabelledSplit<'_>,
    size: BatchSize,
    workers: usize,
    stop: &StopFlag,
) -> Result<Vec<Result<Option<LayerAttention>, EvaluationError>>, LoadError> {
    let begin = |head| AttentionSums {
        head,
        classes: Sums::default(),
        kinds: Sums::default(),
        any: false,
    };
    let mut attending: Vec<_> = heads.into_iter().map(begin).collect();
    let batches = in_order(split, size);
    let ended =
        batches::for_each_batch(split, &batches, 0, &mut attending, workers, |one, batch| {
            unless_stopped(stop, || one.add(split, batch))
        })?;
    let attention = attending.into_iter().map(|one| one.end(split)).zip(ended);
    Ok(attention
        .map(|(attention, ended)| ended.map(|()| attention))
        .collect())
}

/// The kind of a token of `word`, given the word of the token before it; -1 is no word.
fn kind(before: i32, word: i32) -> usize {
    if word < 0 {
        2
    } else {
        usize::from(word == before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_become_means() {
        let mut sums = Sums::default();
        sums.add(1, &[0.25, 0.75]);
        sums.add(1, &[0.75, 0.25]);
        sums.add(0, &[1.0, 0.0]);
        let rows = sums.rows(|group| format!("class {group}"));
        assert_eq!(
            rows[0],
            AttentionRow {
                name: "class 0".to_owned(),
                tokens: 1,
                weights: vec![1.0, 0.0]
            }
        );
        assert_eq!(
            rows[1],
            AttentionRow {
                name: "class 1".to_owned(),
                tokens: 2,
                weights: vec![0.5, 0.5]
            }
        );
    }

    #[test]
    fn kinds_of_tokens() {
        let words = [-1, 0, 0, 1, -1];
        let kinds: Vec<usize> = std::iter::once(-1)
            .chain(words)
            .zip(words)
            .map(|(before, word)| kind(before, word))
            .collect();
        assert_eq!(kinds, [2, 0, 1, 0, 2]);
    }
}
