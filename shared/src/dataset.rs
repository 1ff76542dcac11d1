//! Labelled text as people have it, read into one form: splits of sentences, a sentence being words and their labels.
//! What a file means is found out from the file as far as it tells; everything that was guessed is written down in the
//! data set's notes, and everything that cannot be right is an error with file, line and remedy.

mod columns;
mod delimited;
mod discovery;
mod error;
mod format;
mod holdout;
mod interpret;
mod jsonl;
mod layout;
mod lines;
mod sentences;
mod source;
mod task;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use error::{DatasetError, LineError};
pub use format::Format;
pub use sentences::{Sentence, Sentences};
pub use source::{Column, Source};
pub use task::{SplitName, Task};

use crate::labels::Scheme;

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
    /// The labels that occur in any split, in bytewise order.
    pub classes: Vec<String>,
    /// The splits that are there: train, validation, test.
    pub splits: Vec<Split>,
    /// What the user should know about how the data were read.
    pub notes: Vec<String>,
}

impl Dataset {
    /// A split by name.
    #[must_use]
    pub fn split(&self, name: SplitName) -> Option<&Split> {
        self.splits.iter().find(|split| split.name == name)
    }

    /// SHA-256 over task, classes, and every split's name, words and labels, in order: equal for equal data, whatever the
    /// files are called or how they are written.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        // Every text goes in with its length, every list with its number, so that nothing can be cut in two ways.
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
                list(&mut hasher, split.sentences.labels(index).len());
                split
                    .sentences
                    .labels(index)
                    .for_each(|label| text(&mut hasher, label));
            }
        }
        crate::files::hexadecimal(&hasher.finalize())
    }
}
