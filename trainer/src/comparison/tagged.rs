//! Predictions read back from their columns: token, gold label, predicted label, an empty line
//! after each sentence.

use std::path::Path;

use super::ComparisonError;

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
        let columns: Vec<&str> = line.split(' ').collect();
        let [word, gold, predicted] = columns[..] else {
            return Err(ComparisonError::Columns {
                path: path.to_owned(),
                line: number,
                got: line.to_owned(),
            });
        };
        own.words.push(word.to_owned());
        own.gold.push(gold.to_owned());
        own.predicted.push(predicted.to_owned());
    }
    sentences.extend(sentence);
    Ok(sentences)
}
