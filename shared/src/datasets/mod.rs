//! Labelled text as people have it, read into one form: splits of sentences, a sentence being words
//! and their labels. What a file means is found out from the file as far as it tells; everything
//! that was guessed is written down in the data set's notes, and everything that cannot be right is
//! an error with file, line and remedy.

mod choice;
mod columns;
mod delimited;
mod discovery;
mod encoding;
mod error;
mod format;
mod holdout;
mod interpret;
mod json_records;
mod jsonl;
mod label_sets;
mod label_text;
mod labelled_file;
mod layout;
mod lines;
mod lists;
mod load;
mod misc;
mod names;
mod numbers;
mod offsets;
pub mod parquet;
mod plausible;
mod records;
mod sentences;
mod source;
mod spans;
mod split;
mod texts;
mod trees;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use error::{DatasetError, LineError};
pub use format::{Column, Format};
pub use jsonl::texts_of_json;
pub use lines::{Line, Lines, is_blank};
pub use sentences::{Sentence, Sentences};
pub use source::Source;
pub use split::SplitName;
pub use trees::Relations;

use crate::tasks::schemes::Scheme;
use crate::tasks::{Level, Task};

/// One split of a data set.
#[derive(Debug, Clone)]
pub struct Split {
    /// Which one.
    pub name: SplitName,
    /// The file that it was read from.
    pub path: PathBuf,
    /// Its sentences, in the order of the file.
    pub sentences: Sentences,
}

/// A labelled data set.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The name of its folder, or of its only file.
    pub id: String,
    /// What its labels are.
    pub task: Task,
    /// How the files write spans, for tasks with spans; the sentences' labels are IOB2.
    pub scheme: Option<Scheme>,
    /// The labels that occur in any split, in bytewise order; or those that the data declare, in
    /// their order.
    pub classes: Vec<String>,
    /// The splits that are there: train, validation, test.
    pub splits: Vec<Split>,
    /// What the user should know about how the data were read.
    pub notes: Vec<String>,
    /// What makes the data useless for training or measuring, though they can be read.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Puts a data set together from splits that something else than [`Source::load`] read; what
    /// `source` says of task and seed holds. `shape` says what has a label, and whether that is a
    /// list of labels of a text; `declared` are the classes in the order that the data state.
    ///
    /// # Errors
    /// [`DatasetError`] when the labels do not fit the task.
    pub fn from_splits(
        id: impl Into<String>,
        source: &Source,
        shape: (Level, bool),
        declared: Option<Vec<String>>,
        mut splits: Vec<Split>,
        mut notes: Vec<String>,
    ) -> Result<Self, DatasetError> {
        notes.extend(holdout::fill(&mut splits, source.seed));
        let mut dataset = interpret::dataset(id.into(), source, shape, splits, notes)?;
        // Tags that another scheme's were turned into may be none of the declared ones.
        if let Some(declared) = declared
            && dataset.classes.iter().all(|class| declared.contains(class))
        {
            dataset.classes = declared;
        }
        Ok(dataset)
    }

    /// Whether its sentences are pairs of texts.
    #[must_use]
    pub fn has_pairs(&self) -> bool {
        self.splits.iter().any(|split| split.sentences.has_pairs())
    }

    /// A split by name.
    #[must_use]
    pub fn split(&self, name: SplitName) -> Option<&Split> {
        self.splits.iter().find(|split| split.name == name)
    }

    /// SHA-256 over task, classes, and every split's name, words, labels and heads, in order: equal
    /// for equal data, whatever the files are called or how they are written.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        // Every text goes in with its length, every list with its number, so that nothing can be
        // cut in two ways.
        let text = |hasher: &mut Sha256, text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        let list =
            |hasher: &mut Sha256, length: usize| hasher.update((length as u64).to_le_bytes());
        text(&mut hasher, &self.task.to_string());
        list(&mut hasher, self.classes.len());
        for class in &self.classes {
            text(&mut hasher, class);
        }
        for split in &self.splits {
            text(&mut hasher, &split.name.to_string());
            list(&mut hasher, split.sentences.len());
            for index in 0..split.sentences.len() {
                list(&mut hasher, split.sentences.words(index).len());
                split
                    .sentences
                    .words(index)
                    .for_each(|word| text(&mut hasher, word));
                if let Some(second) = split.sentences.second(index) {
                    text(&mut hasher, "second text");
                    list(&mut hasher, second);
                }
                list(&mut hasher, split.sentences.labels(index).len());
                split
                    .sentences
                    .labels(index)
                    .for_each(|label| text(&mut hasher, label));
                for head in split.sentences.heads(index).unwrap_or_default() {
                    hasher.update(head.to_le_bytes());
                }
            }
        }
        crate::files::hexadecimal(&hasher.finalize())
    }
}
