//! Predictions of texts that columns cannot hold: numbers, sets of labels, and whatever is predicted
//! for pairs of texts. A JSON object a text: `text`, for a pair `text_pair`, then `gold` and
//! `predicted`, a label, a list of labels or a number; `gold` is null for a text without a label.

use serde::{Deserialize, Serialize};
use shared::tasks::{Level, Output, UNLABELLED, or_outside};

use crate::batches::LabelledSplit;
use crate::evaluation::Predictions;

/// What a text has, or is predicted to have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// A number.
    Number(f32),
    /// A label.
    Label(String),
    /// Any number of labels.
    Labels(Vec<String>),
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The text, its words apart by spaces.
    pub text: String,
    /// The second text of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_pair: Option<String>,
    /// What the data set says.
    pub gold: Option<Answer>,
    /// What the head says; null for a text that the encoder never saw.
    pub predicted: Option<Answer>,
}

/// Whether predictions of a split are written so, and not as columns.
#[must_use]
pub fn holds(split: &LabelledSplit<'_>) -> bool {
    split.output() != Output::Class
        || (split.table.level == Level::Sentence && split.reader.has_pairs())
}

/// The lines of a whole split.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn render(split: &LabelledSplit<'_>, predicted: &Predictions) -> serde_json::Result<String> {
    let (gold, labels) = (split.gold(), predicted.labels(split));
    let mut out = String::new();
    for sentence in 0..split.reader.sentences() {
        let number = |numbers: &[f32]| {
            let number = numbers.get(sentence).copied();
            number.filter(|number| !number.is_nan()).map(Answer::Number)
        };
        let (gold, predicted) = match split.output() {
            Output::Number => (number(&split.table.numbers), number(predicted.values())),
            output => (
                answer(output, &gold[sentence]),
                answer(output, &labels[sentence]),
            ),
        };
        let words = split.reader.words(sentence);
        let second = split.reader.second_text(sentence).unwrap_or(words.len());
        let (first, second) = words.split_at(second.min(words.len()));
        let line = Line {
            text: first.join(" "),
            text_pair: (!second.is_empty()).then(|| second.join(" ")),
            gold,
            predicted,
        };
        out.push_str(&serde_json::to_string(&line)?);
        out.push('\n');
    }
    Ok(out)
}

/// The labels of a sentence: one, or a set of them.
fn answer(output: Output, labels: &[&str]) -> Option<Answer> {
    if labels.contains(&UNLABELLED) {
        return None;
    }
    Some(match output {
        Output::Set => Answer::Labels(labels.iter().map(|&label| label.to_owned()).collect()),
        _ => Answer::Label(or_outside(labels.first()?).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        for json in [
            r#"{"text":"a b","gold":2.5,"predicted":2.25}"#,
            r#"{"text":"a","text_pair":"b","gold":null,"predicted":"yes"}"#,
            r#"{"text":"a","gold":[],"predicted":["x","y"]}"#,
        ] {
            let line: Line = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&line).unwrap(), json);
        }
    }
}
