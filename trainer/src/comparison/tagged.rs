//! Predictions read back from their columns: token, gold label, predicted label, an empty line
//! after each sentence; or from CoNLL-U.

use std::path::Path;

use shared::tasks::Target;
use shared::tasks::dependencies::universal;

use super::ComparisonError;
use crate::predictions::{GOLD_HEAD, GOLD_RELATION};

/// A sentence with two labels a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Line of its first word, counted from 1.
    pub line: usize,
    /// Its words.
    pub words: Vec<String>,
    /// What the data set says.
    pub gold: Vec<String>,
    /// What the head says.
    pub predicted: Vec<String>,
}

/// Reads the columns in `path`.
///
/// # Errors
/// When it cannot be read, or a line is not three columns.
pub fn read(path: &Path) -> Result<Vec<Sentence>, ComparisonError> {
    read_lines(path, |line| {
        let columns: Vec<&str> = line.split(' ').collect();
        let [word, gold, predicted] = columns[..] else {
            return None;
        };
        Some([word, gold, predicted].map(str::to_owned))
    })
}

/// Reads the trees in `path`; a label is a word's head together with its relation, without subtype.
///
/// # Errors
/// When it cannot be read, or a line is none of `trainer`'s.
pub fn read_trees(path: &Path) -> Result<Vec<Sentence>, ComparisonError> {
    read_lines(path, |line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, word, _, _, _, _, head, relation, _, misc] = columns[..] else {
            return None;
        };
        let label = |head: &str, relation: &str| format!("{head} {}", universal(relation));
        let gold = if misc == "_" {
            Target::LEFT_OUT.to_owned()
        } else {
            let (gold_head, gold_relation) = misc.split_once('|')?;
            label(
                gold_head.strip_prefix(GOLD_HEAD)?,
                gold_relation.strip_prefix(GOLD_RELATION)?,
            )
        };
        Some([word.to_owned(), gold, label(head, relation)])
    })
}

/// Reads sentences; `parts` gives word, gold and predicted label of a line.
fn read_lines(
    path: &Path,
    parts: impl Fn(&str) -> Option<[String; 3]>,
) -> Result<Vec<Sentence>, ComparisonError> {
    let text = fs_err::read_to_string(path)?;
    let mut sentences = Vec::new();
    let mut sentence: Option<Sentence> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let own = sentence.get_or_insert_with(|| Sentence {
            line: number,
            ..Sentence::default()
        });
        if line.is_empty() {
            sentences.extend(sentence.take());
            continue;
        }
        let Some([word, gold, predicted]) = parts(line) else {
            return Err(ComparisonError::Columns {
                path: path.to_owned(),
                line: number,
                got: line.to_owned(),
            });
        };
        own.words.push(word);
        own.gold.push(gold);
        own.predicted.push(predicted);
    }
    sentences.extend(sentence);
    Ok(sentences)
}
