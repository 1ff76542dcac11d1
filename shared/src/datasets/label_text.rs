//! A text a line behind its label: `label text`, as the questions of TREC are written, and
//! `__label__x text` of fastText.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::delimited::{add_text, add_words};
use super::labelled_file::LabelledFile;
use super::lines::{Lines, is_blank};
use super::{DatasetError, LineError, Sentences, Source, label_sets};
use crate::tasks::{Level, Output, Task};

/// What fastText puts before a label.
const MARK: &str = "__label__";
/// So many lines are looked at.
const SAMPLE: usize = 4_000;

/// A file of labels and texts.
#[derive(Debug)]
pub(super) struct LabelText {
    path: PathBuf,
    /// Whether a text may have several labels.
    sets: bool,
}

impl LabelText {
    /// A file that is read so because the user said it.
    pub(super) fn open(path: &Path, source: &Source) -> Self {
        Self {
            path: path.to_owned(),
            sets: source.task.map(Task::output) == Some(Output::Set),
        }
    }

    /// Whether the first lines look like labels and texts: all with fastText's mark, or lines of many
    /// lengths without an empty one between, whose first words repeat as only labels do.
    pub(super) fn recognise(path: &Path) -> Result<bool, DatasetError> {
        let mut lines = Lines::open(path)?;
        let (mut marked, mut categories, mut all) = (0, 0, 0);
        let mut labels: HashMap<String, usize> = HashMap::new();
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        while all < SAMPLE
            && let Some(line) = lines.next()?
        {
            if is_blank(line.text) && all == 0 {
                continue;
            }
            let (label, text) = split(line.text);
            // Tabs make columns.
            if line.text.contains('\t') && !label.starts_with(MARK) {
                return Ok(false);
            }
            if text.is_empty() {
                // The last line of a file may be empty.
                if is_blank(line.text) && lines.next()?.is_none() {
                    break;
                }
                return Ok(false);
            }
            all += 1;
            marked += usize::from(label.starts_with(MARK));
            let is_category = label.split_once(':').is_some_and(|(coarse, fine)| {
                !coarse.is_empty() && !fine.is_empty() && coarse.chars().all(char::is_alphabetic)
            });
            categories += usize::from(is_category);
            *lengths.entry(text.split_whitespace().count()).or_default() += 1;
            *labels.entry(label.to_owned()).or_default() += 1;
        }
        if all == 0 {
            return Ok(false);
        }
        let most_alike = lengths.values().max().copied().unwrap_or(0);
        let varied = lengths.len() > 2 && most_alike * 5 < all * 4;
        let repeated: usize = labels.values().filter(|count| **count > 1).sum();
        let repeat = all >= 6 && labels.len() * 3 <= all && repeated * 20 >= all * 19;
        Ok(marked == all || (varied && (categories == all || repeat)))
    }
}

/// The first word of a line and what follows it.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace)
        .map_or((line, ""), |(label, text)| (label, text.trim()))
}

impl LabelledFile for LabelText {
    fn columns(&self) -> (String, String) {
        ("text".to_owned(), "label".to_owned())
    }

    fn level(&self) -> Level {
        Level::Sentence
    }

    fn sets(&self) -> bool {
        self.sets
    }

    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut lines = Lines::open(&self.path)?;
        let mut sentences = Sentences::default();
        while let Some(line) = lines.next()? {
            if is_blank(line.text) {
                continue;
            }
            let (label, mut text) = split(line.text);
            if self.sets {
                let mut labels = vec![label.strip_prefix(MARK).unwrap_or(label)];
                while label.starts_with(MARK) && text.starts_with(MARK) {
                    let (next, rest) = split(text);
                    labels.push(next.strip_prefix(MARK).unwrap_or(next));
                    text = rest;
                }
                add_words(&mut sentences, text).map_err(|cause| line.error(cause))?;
                label_sets::add_labels(&mut sentences, &labels, 0)
                    .map_err(|cause| line.error(cause))?;
                sentences.close(line.number);
                continue;
            }
            if label.starts_with(MARK) && text.starts_with(MARK) {
                return Err(line.error(LineError::SeveralLabels));
            }
            let label = label.strip_prefix(MARK).unwrap_or(label);
            add_text(&mut sentences, text, label, 0, line.number)
                .map_err(|cause| line.error(cause))?;
        }
        notes.push(
            "the first word of each line is read as the label of the text behind it (--format \
             columns reads a word a line)"
                .to_owned(),
        );
        lines.filled(sentences)
    }
}
