//! The small arrays of a split: which tokens, words and labels the hidden states belong to.

use shared::datasets::SplitName;
use shared::tasks::dependencies::{NO_HEAD, ROOT};
use shared::tasks::{Level, NO_CLASS, NO_SET, Output, Task};

use crate::{Column, Manifest, SplitSize, StoreError};

/// Labels of one task for one split, as a data set has them. What the tokens get follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The task.
    pub task: Task,
    /// Names of the classes; an id is an index into them.
    pub classes: Vec<String>,
    /// What is labelled: the words ([`Level::Token`]) or the sentences.
    pub level: Level,
    /// `[words]` or `[sentences]`: class, or [`NO_CLASS`] for what is not to be scored. Empty where
    /// `texts` says what there is instead.
    pub ids: Vec<i32>,
    /// `[words]`, for tasks that have heads: the head's index in its sentence, [`ROOT`] for the
    /// root, [`NO_HEAD`] for a word without a label.
    pub heads: Option<Vec<i32>>,
    /// What sentences have that is not one class.
    pub texts: Option<TextLabels>,
}

/// Labels of sentences that are not one class each.
#[derive(Debug, Clone, PartialEq)]
pub enum TextLabels {
    /// `[sentences]`: a number, NaN for none.
    Numbers(Vec<f32>),
    /// `[sentences, classes]`: 1 for a class that the sentence has, 0 for one that it has not;
    /// [`NO_SET`] for all classes of one without a label.
    Sets(Vec<u8>),
}

/// Labels of one task for one split, as a store has them.
#[derive(Debug)]
pub struct LabelTable {
    /// The task.
    pub task: Task,
    /// Names of the classes; an id is an index into them.
    pub classes: Vec<String>,
    /// What an id belongs to.
    pub level: Level,
    /// `[tokens]` or `[sentences]`: class, or [`NO_CLASS`] for a token that is not to be scored.
    /// Empty for tasks of numbers and of sets.
    pub ids: Column<i32>,
    /// `[sentences]`, for [`Output::Number`]: a number, NaN for none.
    pub numbers: Column<f32>,
    /// `[sentences, classes]`, for [`Output::Set`]: 1 for a class that the sentence has, 0 for one
    /// that it has not; [`NO_SET`] for all classes of one without a label.
    pub sets: Column<u8>,
    /// `[words]`, for [`Level::Token`]: the classes of all words, those without a token included.
    pub words: Option<Column<i32>>,
    /// `[words]`, for tasks that have heads: the head's index in its sentence, [`ROOT`] for the
    /// root, [`NO_HEAD`] for a word without a label.
    pub heads: Option<Column<i32>>,
}

/// Everything of a split but its hidden states. A *sequence* is what the encoder saw at once: a sentence, or a
/// window of one that was too long.
#[derive(Debug, Clone, PartialEq)]
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
    /// `[sentences]`, where they are pairs of texts: index of the first word of the second text, 0
    /// for a sentence that is one text. Empty where none is a pair.
    pub second_text: Vec<u32>,
    /// Labels, one entry a task.
    pub labels: Vec<Labels>,
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
        if !self.second_text.is_empty() {
            expect("second_text", self.words.len(), self.second_text.len())?;
            let pairs = self.words.iter().zip(&self.second_text);
            let mut outside = pairs.filter(|(words, second)| **second as usize > words.len());
            if let Some((words, second)) = outside.next() {
                return Err(self.invalid(format!(
                    "second_text is {second} in a sentence of {} words",
                    words.len()
                )));
            }
        }
        let size = self.size();
        let mut bounds = vec![0];
        for words in &self.words {
            bounds.push(bounds[bounds.len() - 1] + words.len() as u64);
        }
        self.labels
            .iter()
            .try_for_each(|labels| labels.check(self.name, size, &bounds))
    }

    fn invalid(&self, what: String) -> StoreError {
        StoreError::Tables {
            split: self.name,
            what,
        }
    }
}

/// The ids of a split's tokens, by which labels of words become labels of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenWords<'a> {
    pub(crate) offsets: &'a [u64],
    pub(crate) sentence_of: &'a [u32],
    pub(crate) word_ids: &'a [i32],
    pub(crate) sentence_words: &'a [u64],
}

impl TokenWords<'_> {
    /// `[tokens]`: at the first token of each word the word's id, [`NO_CLASS`] elsewhere. A word
    /// that the edge of a window cuts is labelled once.
    pub(crate) fn first_tokens(&self, words: &[i32]) -> Vec<i32> {
        let mut ids = vec![NO_CLASS; self.word_ids.len()];
        let mut last = None;
        for (sequence, &sentence) in self.sentence_of.iter().enumerate() {
            let at = |values: &[u64], index: usize| {
                let value = values.get(index).copied().unwrap_or_default();
                usize::try_from(value).unwrap_or(usize::MAX)
            };
            let first_word = at(self.sentence_words, sentence as usize);
            let tokens = at(self.offsets, sequence)..at(self.offsets, sequence + 1);
            let word_ids = self.word_ids.get(tokens.clone()).unwrap_or_default();
            for (token, &word) in tokens.zip(word_ids) {
                let Ok(word) = usize::try_from(word) else {
                    continue;
                };
                let word = first_word.saturating_add(word);
                if last.replace(word) != Some(word) {
                    ids[token] = words.get(word).copied().unwrap_or(NO_CLASS);
                }
            }
        }
        ids
    }
}

impl Labels {
    /// Whether the ids fit the classes and a split of that size, in which the sentences end at
    /// these words `[sentences + 1]`.
    pub(crate) fn check(
        &self,
        split: SplitName,
        size: SplitSize,
        sentence_words: &[u64],
    ) -> Result<(), StoreError> {
        let invalid = |what| Err(StoreError::Tables { split, what });
        let classes = self.classes.len();
        let found = match &self.texts {
            None => Output::Class,
            Some(TextLabels::Numbers(_)) => Output::Number,
            Some(TextLabels::Sets(_)) => Output::Set,
        };
        if found != self.task.output() {
            return invalid(format!(
                "{} labels: expected those of output {:?}, got {found:?}",
                self.task,
                self.task.output()
            ));
        }
        let (expected, got) = match (&self.texts, self.level) {
            (Some(TextLabels::Numbers(numbers)), _) => (size.sentences, numbers.len()),
            (Some(TextLabels::Sets(sets)), _) => (size.sentences * classes as u64, sets.len()),
            (None, Level::Token) => (size.words, self.ids.len()),
            (None, Level::Sentence) => (size.sentences, self.ids.len()),
        };
        if got as u64 != expected {
            return invalid(format!(
                "{} labels: expected {expected} entries, got {got}",
                self.task,
            ));
        }
        match &self.texts {
            Some(TextLabels::Numbers(numbers)) => {
                return match numbers.iter().find(|number| number.is_infinite()) {
                    Some(number) => invalid(format!("{} labels: {number}", self.task)),
                    None => Ok(()),
                };
            }
            Some(TextLabels::Sets(sets)) => {
                let is_set = |set: &&[u8]| {
                    set.iter().all(|&has| has <= 1) || set.iter().all(|&has| has == NO_SET)
                };
                return match sets.chunks(classes.max(1)).position(|set| !is_set(&set)) {
                    Some(sentence) => invalid(format!(
                        "{} labels of sentence {sentence}: expected 0 and 1, or {NO_SET} for all",
                        self.task
                    )),
                    None => Ok(()),
                };
            }
            None => {}
        }
        let is_none = |id: i32| usize::try_from(id).map_or(true, |id| id >= classes);
        let wrong = self.ids.iter().find(|&&id| id != NO_CLASS && is_none(id));
        if let Some(id) = wrong {
            return invalid(format!("{} labels: class {id} of {classes}", self.task));
        }
        match (&self.heads, self.task.has_heads()) {
            (None, false) => Ok(()),
            (Some(heads), true) => check_heads(heads, sentence_words).map_or(Ok(()), invalid),
            (heads, _) => invalid(format!(
                "{} labels {} heads",
                self.task,
                if heads.is_some() { "have no" } else { "need" }
            )),
        }
    }
}

/// What is wrong with the heads of all words, of sentences that end at these words.
pub(crate) fn check_heads(heads: &[i32], sentence_words: &[u64]) -> Option<String> {
    let words = sentence_words.last().copied().unwrap_or(0);
    if heads.len() as u64 != words {
        return Some(format!(
            "heads: expected {words} entries, got {}",
            heads.len()
        ));
    }
    for (sentence, bounds) in sentence_words.windows(2).enumerate() {
        let length = bounds[1].saturating_sub(bounds[0]);
        let at = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        let own = heads.get(at(bounds[0])..at(bounds[1])).unwrap_or_default();
        let is_none = |head: i32| u64::try_from(head).map_or(true, |head| head >= length);
        let wrong = own
            .iter()
            .find(|&&head| head != ROOT && head != NO_HEAD && is_none(head));
        if let Some(head) = wrong {
            return Some(format!(
                "heads: word {head} of sentence {sentence}, which has {length} words"
            ));
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_tokens_of_words_are_labelled_in_every_window() {
        // Two windows of sentence 0, whose word 2 is cut by their edge and whose word 1 has no token; sentence 1.
        let tokens = TokenWords {
            offsets: &[0, 5, 9, 12],
            sentence_of: &[0, 0, 1],
            word_ids: &[-1, 0, 0, 2, -1, -1, 2, 3, -1, -1, 0, -1],
            sentence_words: &[0, 4, 5],
        };
        let none = NO_CLASS;
        let expected = [none, 7, none, 9, none, none, none, 10, none, none, 11, none];
        assert_eq!(tokens.first_tokens(&[7, 8, 9, 10, 11]), expected);
    }
}
