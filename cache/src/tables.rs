//! The small arrays of a split: which tokens, words and labels the hidden states belong to.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use shared::dataset::{SplitName, Task};

use crate::{Manifest, SplitSize, StoreError};

/// What a label belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelLevel {
    /// One label a token, `[tokens]`: the class of a word stands at its first sub-word, -100 elsewhere.
    Token,
    /// One label a sentence, `[sentences]`.
    Sentence,
}

/// Labels of one task for one split; `ids` is a `Vec` when written and a [`crate::Column`] when read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTable<I = Vec<i32>> {
    /// The task.
    pub task: Task,
    /// Names of the classes; an id is an index into them.
    pub classes: Vec<String>,
    /// What an id belongs to.
    pub level: LabelLevel,
    /// `[tokens]` or `[sentences]`: class, or -100 for a token that is not to be scored.
    pub ids: I,
}

/// Everything of a split but its hidden states. A *sequence* is what the encoder saw at once: a sentence, or a
/// window of one that was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitTables {
    /// The split.
    pub name: SplitName,
    /// `[sequences + 1]`: sequence i is tokens `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<u64>,
    /// `[sequences]`: the sentence that a sequence is from.
    pub sentence_of: Vec<u32>,
    /// `[tokens]`: as fed to the encoder, special tokens included.
    pub input_ids: Vec<u32>,
    /// `[tokens]`: index of the word in its sentence, counting on through windows; -1 for special tokens.
    pub word_ids: Vec<i32>,
    /// The words of each sentence.
    pub words: Vec<Vec<String>>,
    /// Labels, one table a task.
    pub labels: Vec<LabelTable>,
}

impl SplitTables {
    /// The sizes that the manifest wants to know.
    #[must_use]
    pub fn size(&self) -> SplitSize {
        SplitSize {
            sentences: self.words.len() as u64,
            sequences: self.sentence_of.len() as u64,
            tokens: self.input_ids.len() as u64,
            words: self.words.iter().map(|words| words.len() as u64).sum(),
        }
    }

    /// Whether the arrays fit each other.
    fn check(&self) -> Result<(), StoreError> {
        let tokens = self.input_ids.len();
        let expect = |what: &str, expected: usize, got: usize| -> Result<(), StoreError> {
            if expected == got {
                return Ok(());
            }
            Err(self.invalid(format!("{what}: expected {expected} entries, got {got}")))
        };
        expect("offsets", self.sentence_of.len() + 1, self.offsets.len())?;
        expect("word_ids", tokens, self.word_ids.len())?;
        if self.offsets.first() != Some(&0)
            || self.offsets.last() != Some(&(tokens as u64))
            || !self.offsets.is_sorted()
        {
            return Err(self.invalid(format!("offsets must rise from 0 to the {tokens} tokens")));
        }
        if let Some(sentence) = self
            .sentence_of
            .iter()
            .find(|&&sentence| sentence as usize >= self.words.len())
        {
            return Err(self.invalid(format!(
                "sentence_of names sentence {sentence} of {}",
                self.words.len()
            )));
        }
        self.labels
            .iter()
            .try_for_each(|table| table.check(self.name, tokens, self.words.len()))
    }

    fn invalid(&self, what: String) -> StoreError {
        StoreError::Tables {
            split: self.name,
            what,
        }
    }
}

impl<I: Deref<Target = [i32]>> LabelTable<I> {
    /// Whether the ids fit the classes and a split of that size.
    pub(crate) fn check(
        &self,
        split: SplitName,
        tokens: usize,
        sentences: usize,
    ) -> Result<(), StoreError> {
        let expected = match self.level {
            LabelLevel::Token => tokens,
            LabelLevel::Sentence => sentences,
        };
        let invalid = |what| Err(StoreError::Tables { split, what });
        if self.ids.len() != expected {
            return invalid(format!(
                "{} labels: expected {expected} entries, got {}",
                self.task,
                self.ids.len()
            ));
        }
        let classes = self.classes.len();
        match self
            .ids
            .iter()
            .find(|&&id| id != -100 && usize::try_from(id).map_or(true, |id| id >= classes))
        {
            Some(id) => invalid(format!("{} labels: class {id} of {classes}", self.task)),
            None => Ok(()),
        }
    }
}

/// Whether tables and manifest speak of the same splits.
pub(crate) fn check(manifest: &Manifest, tables: &[SplitTables]) -> Result<(), StoreError> {
    for table in tables {
        let size = table.size();
        if manifest.splits.get(&table.name) != Some(&size) {
            let expected = manifest.splits.get(&table.name);
            return Err(table.invalid(format!("expected the sizes {expected:?}, got {size:?}")));
        }
        table.check()?;
    }
    match manifest
        .splits
        .keys()
        .find(|name| !tables.iter().any(|table| table.name == **name))
    {
        Some(&split) => Err(StoreError::Tables {
            split,
            what: "no tables were given".to_owned(),
        }),
        None => Ok(()),
    }
}
