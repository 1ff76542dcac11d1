//! Predictions as columns: token, gold label, predicted label, and an empty line after each
//! sentence, as the `conlleval` script reads them; trees as CoNLL-U, with what is gold in MISC.

use std::fmt::{self, Write};

use shared::tasks::dependencies::write_conllu;
use shared::tasks::{Target, UNLABELLED, or_outside};

use crate::batches::LabelledSplit;
use crate::evaluation::{Logits, Predictions, gold_trees};
use crate::text_predictions;

/// Before the number of the gold head in MISC, 0 for the root.
pub(crate) const GOLD_HEAD: &str = "GoldHead=";
/// Before the gold relation in MISC.
pub(crate) const GOLD_RELATION: &str = "GoldDeprel=";

/// How a file holds predictions, as its name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns.
    Columns,
    /// Trees, as CoNLL-U.
    Trees,
    /// Lines of JSON, see [`text_predictions`].
    Texts,
}

impl Format {
    /// That of the predictions for a split.
    #[must_use]
    pub fn of_split(split: &LabelledSplit<'_>) -> Self {
        if split.table.task.has_heads() {
            Self::Trees
        } else if text_predictions::holds(split) {
            Self::Texts
        } else {
            Self::Columns
        }
    }

    /// Name of the file for a split in a run folder.
    #[must_use]
    pub fn file_name(self, split: impl fmt::Display) -> String {
        let ending = match self {
            Self::Columns => "conll",
            Self::Trees => "conllu",
            Self::Texts => "jsonl",
        };
        format!("predictions.{split}.{ending}")
    }
}

/// The predictions for a whole split, as columns, as CoNLL-U or as lines of JSON.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn file(split: &LabelledSplit<'_>, predicted: &Predictions) -> serde_json::Result<String> {
    match Format::of_split(split) {
        Format::Texts => text_predictions::render(split, predicted),
        Format::Columns | Format::Trees => Ok(render(split, predicted)),
    }
}

/// The predictions of a whole split, as its file has them.
#[must_use]
pub fn render(split: &LabelledSplit<'_>, predicted: &Predictions) -> String {
    let Some(trees) = predicted.trees(split) else {
        return columns(split, &predicted.labels(split));
    };
    let mut out = String::new();
    for (sentence, (gold, tree)) in gold_trees(split).iter().zip(&trees).enumerate() {
        let misc = |word: usize| {
            let arc = gold[word];
            let head = arc.head.map_or(0, |head| head + 1);
            let told = format!("{GOLD_HEAD}{head}|{GOLD_RELATION}{}", arc.relation);
            (arc.relation != UNLABELLED).then_some(told)
        };
        write_conllu(&mut out, &split.reader.words(sentence), tree, misc);
    }
    out
}

/// Labels as columns.
fn columns(split: &LabelledSplit<'_>, predicted: &[Vec<&str>]) -> String {
    let missing = split.table.task.target().missing();
    let mut out = String::new();
    for (sentence, (gold, predicted)) in split.gold().iter().zip(predicted).enumerate() {
        let gold = gold.iter().map(|&label| match label {
            UNLABELLED => missing,
            label => label,
        });
        let predicted = predicted.iter().map(|&label| or_outside(label));
        write_sentence(
            &mut out,
            &split.reader.words(sentence),
            &gold.collect::<Vec<_>>(),
            &predicted.collect::<Vec<_>>(),
        );
    }
    out
}

/// The logits of a whole split, a JSON object a sentence: `words`, `classes`, and `logits` with a
/// list `[classes]` for each word, or a single one for a sentence task; `null` for a word that the
/// encoder never saw. A pair of texts also has `second_text`, the index of the first word of the
/// second one.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn logits(split: &LabelledSplit<'_>, logits: &Logits) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        words: &'a [&'a str],
        /// Index of the first word of the second text of a pair.
        #[serde(skip_serializing_if = "Option::is_none")]
        second_text: Option<usize>,
        classes: &'a [String],
        logits: &'a [Option<&'a [f32]>],
    }
    let mut out = String::new();
    for (sentence, logits) in logits.by_word(split).iter().enumerate() {
        let line = Line {
            words: &split.reader.words(sentence),
            second_text: split.reader.second_text(sentence),
            classes: &split.table.classes,
            logits,
        };
        out.push_str(&serde_json::to_string(&line)?);
        out.push('\n');
    }
    Ok(out)
}

/// The columns of one sentence. A sentence task has one label for all `words`, given with the first
/// of them.
pub fn write_sentence(out: &mut String, words: &[&str], gold: &[&str], predicted: &[&str]) {
    for (index, word) in words.iter().enumerate() {
        let label = |labels: &[&str]| safe(labels.get(index).copied().unwrap_or(Target::LEFT_OUT));
        // A `String` takes whatever is written to it.
        let _ = writeln!(out, "{} {} {}", safe(word), label(gold), label(predicted));
    }
    out.push('\n');
}

/// A column must be one non-empty run of characters that no reader takes for white space.
fn safe(text: &str) -> String {
    if text.is_empty() {
        return "_".to_owned();
    }
    text.chars()
        .map(|c| {
            if c.is_whitespace() || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_columns_and_an_empty_line() {
        let mut out = String::new();
        write_sentence(
            &mut out,
            &["New York", "", "\u{a0}x"],
            &["B-LOC", "O", "O"],
            &["B-LOC", "I-LOC", "O"],
        );
        assert_eq!(out, "New_York B-LOC B-LOC\n_ O I-LOC\n_x O O\n\n");
    }

    #[test]
    fn one_label_for_a_sentence() {
        let mut out = String::new();
        write_sentence(
            &mut out,
            &["Lost", "card"],
            &["card_lost"],
            &["card_arrival"],
        );
        assert_eq!(out, "Lost card_lost card_arrival\ncard - -\n\n");
    }
}
