//! A split with the labels of one task: what a head is trained on and scored on. The unit is the
//! sentence; one that was too long for the encoder is several sequences in the store, its windows,
//! which are always in one batch.

use std::ops::Range;

use cache::{LabelTable, SplitReader, Store, StoreError};
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::tasks::dependencies::{NO_HEAD, ROOT};
use shared::tasks::{Level, NO_CLASS, NO_SET, NO_TARGET, Output, Task, UNLABELLED, number_target};

use super::Placement;

/// Why a split cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The store lacks a split.
    #[error("the store has no {wanted} split; it has: {}", list(.there))]
    NoSplit {
        /// The split asked for.
        wanted: SplitName,
        /// Those of the store.
        there: Vec<SplitName>,
    },
    /// The split lacks labels.
    #[error(
        "the {split} split of the store has no labels for --task {wanted}; it has labels for: {}; \
         `extractor label` adds those of another task",
        list(.there)
    )]
    NoTask {
        /// The split asked for.
        split: SplitName,
        /// The task asked for.
        wanted: Task,
        /// Tasks whose labels are there.
        there: Vec<Task>,
    },
    /// Words, labels or offsets are damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HasExitStatus for SplitError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Store(error) => error.exit_status(),
            Self::NoSplit { .. } | Self::NoTask { .. } => ExitStatus::User,
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items
            .iter()
            .map(T::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A split of a store with its labels of one task.
#[derive(Debug)]
pub struct LabelledSplit<'s> {
    /// Which split.
    pub name: SplitName,
    /// Its activations and words.
    pub reader: &'s SplitReader,
    /// Its labels.
    pub table: &'s LabelTable,
    /// The sequences of each sentence: `[sentences]`.
    sequences: Vec<Range<usize>>,
    /// Where heads find the activations.
    pub(super) placement: Placement,
}

impl<'s> LabelledSplit<'s> {
    /// The split `name` of `store` with its labels of `task`.
    ///
    /// # Errors
    /// When the store has no such split, or the split no such labels, or what belongs to them is
    /// damaged.
    pub fn open(store: &'s Store, name: SplitName, task: Task) -> Result<Self, SplitError> {
        let there = || store.manifest().splits.keys().copied().collect();
        let reader = store.split(name).ok_or_else(|| SplitError::NoSplit {
            wanted: name,
            there: there(),
        })?;
        reader.check_tables()?;
        let table = reader.labels(task).ok_or_else(|| SplitError::NoTask {
            split: name,
            wanted: task,
            there: reader.tasks().collect(),
        })?;
        let mut sequences = vec![0..0; reader.sentences()];
        for (sequence, &sentence) in reader.sentence_of().iter().enumerate() {
            let windows = &mut sequences[sentence as usize];
            let start = if windows.start == windows.end {
                sequence
            } else {
                windows.start
            };
            *windows = start..sequence + 1;
        }
        Ok(Self {
            name,
            reader,
            table,
            sequences,
            placement: Placement::default(),
        })
    }

    /// The same split with its activations there, which must be its own.
    #[must_use]
    pub fn placed(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// Where heads find the activations.
    #[must_use]
    pub const fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Whether heads find the activations on a device.
    #[must_use]
    pub const fn is_on_device(&self) -> bool {
        self.placement.is_on_device()
    }

    /// The sequences that `sentence` consists of.
    #[must_use]
    pub fn sequences(&self, sentence: usize) -> Range<usize> {
        self.sequences[sentence].clone()
    }

    /// Sentences that the encoder saw, in the order of the store.
    #[must_use]
    pub fn members(&self) -> Vec<usize> {
        (0..self.sequences.len())
            .filter(|&sentence| !self.sequences[sentence].is_empty())
            .collect()
    }

    /// Rows of the split's tokens that belong to `sentence`, all its windows together.
    #[must_use]
    pub fn tokens(&self, sentence: usize) -> Range<usize> {
        let offsets = self.reader.offsets();
        let at = |sequence: usize| usize::try_from(offsets[sequence]).unwrap_or(usize::MAX);
        let sequences = &self.sequences[sentence];
        at(sequences.start)..at(sequences.end)
    }

    /// Appends the targets of `sentence`, [`NO_TARGET`] for none: a class a token for token tasks,
    /// else a single class, or what [`Output`] says of sets and numbers.
    pub fn targets(&self, sentence: usize, out: &mut Vec<i64>) {
        match self.output() {
            Output::Class => {}
            Output::Number => return out.push(number_target(self.table.numbers[sentence])),
            Output::Set => {
                let target = |&has: &u8| match has {
                    NO_SET => NO_TARGET,
                    has => i64::from(has),
                };
                return out.extend(self.set(sentence).iter().map(target));
            }
        }
        match self.table.level {
            Level::Token => out.extend(
                self.table.ids[self.tokens(sentence)]
                    .iter()
                    .map(|&class| i64::from(class)),
            ),
            Level::Sentence => out.push(i64::from(self.table.ids[sentence])),
        }
    }

    /// Appends for each token of `sentence` how many tokens of its window the word has that begins
    /// with it; 0 where none begins. A word that a window cuts begins once.
    pub(crate) fn words(&self, sentence: usize, out: &mut Vec<u32>) {
        let offsets = self.reader.offsets();
        let at = |sequence: usize| usize::try_from(offsets[sequence]).unwrap_or(usize::MAX);
        let mut last = -1;
        for sequence in self.sequences(sentence) {
            let word_ids = &self.reader.word_ids()[at(sequence)..at(sequence + 1)];
            for word in word_ids.chunk_by(|left, right| left == right) {
                let begins = word[0] > last;
                let length = u32::try_from(word.len()).unwrap_or(u32::MAX);
                out.push(if begins { length } else { 0 });
                out.extend(word.iter().skip(1).map(|_| 0));
                last = last.max(word[0]);
            }
        }
    }

    /// Appends for each token of `sentence` the place of its word's gold head in the batch, as
    /// [`crate::activations::Batch::with_heads`] has it, where the batch has `words` so far, those
    /// of the sentence last. A word whose head has no token cannot learn it: its target in
    /// `targets`, likewise, is taken away.
    pub(super) fn heads(
        &self,
        heads: &[i32],
        sentence: usize,
        words: &[u32],
        targets: &mut [i64],
        out: &mut Vec<i64>,
    ) {
        let tokens = self.tokens(sentence);
        let begin = words.len() - tokens.len();
        let word_ids = &self.reader.word_ids()[tokens];
        let first_word = self.reader.first_word(sentence);
        let next = self.reader.first_word(sentence + 1);
        let mut place_of = vec![None; next - first_word];
        let word = |token: usize| usize::try_from(word_ids[token]).unwrap_or(usize::MAX);
        let begins = |token: &usize| words[begin + token] > 0;
        let firsts: Vec<usize> = (0..word_ids.len()).filter(begins).collect();
        for &token in &firsts {
            if let Some(place) = place_of.get_mut(word(token)) {
                *place = i64::try_from(begin + token).ok();
            }
        }
        out.resize(out.len() + word_ids.len(), NO_TARGET);
        for token in firsts {
            let head = heads.get(first_word + word(token)).copied();
            let place = match head.unwrap_or(NO_HEAD) {
                ROOT => Some(i64::from(ROOT)),
                head => usize::try_from(head)
                    .ok()
                    .and_then(|head| place_of.get(head).copied().flatten()),
            };
            match place {
                Some(place) => out[begin + token] = place,
                None => targets[begin + token] = NO_TARGET,
            }
        }
    }

    /// What a head for its task computes.
    #[must_use]
    pub fn output(&self) -> Output {
        self.table.task.output()
    }

    /// How many numbers a head computes for each row: one a class, or one.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.output().width(self.table.classes.len())
    }

    /// Rows for which a head computes something: tokens, or sentences.
    #[must_use]
    pub fn row_count(&self) -> usize {
        match self.table.level {
            Level::Token => self.reader.tokens(),
            Level::Sentence => self.reader.sentences(),
        }
    }

    /// For each class 1 if the sentence has it, 0 if not, [`NO_SET`] where it has no label.
    pub(crate) fn set(&self, sentence: usize) -> &'s [u8] {
        let classes = self.table.classes.len();
        &self.table.sets[sentence * classes..(sentence + 1) * classes]
    }

    /// The label of each word (or of the sentence), sentence by sentence; also of words that the
    /// encoder never saw, because they have no sub-word or were cut off. What has no label is
    /// [`UNLABELLED`]. For tasks of sets all labels of the sentence; none for tasks of numbers.
    #[must_use]
    pub fn gold(&self) -> Vec<Vec<&'s str>> {
        let sentences = 0..self.reader.sentences();
        match self.output() {
            Output::Class => {}
            Output::Number => return vec![Vec::new(); self.reader.sentences()],
            Output::Set => return sentences.map(|sentence| self.names(sentence)).collect(),
        }
        let name = |&id: &i32| {
            let class = usize::try_from(id).ok();
            class
                .and_then(|class| self.table.classes.get(class))
                .map_or(UNLABELLED, String::as_str)
        };
        let labels = |sentence: usize| match &self.table.words {
            Some(words) => {
                let first = self.reader.first_word(sentence);
                let next = self.reader.first_word(sentence + 1);
                words[first..next].iter().map(name).collect()
            }
            None => vec![name(&self.table.ids[sentence])],
        };
        (0..self.reader.sentences()).map(labels).collect()
    }

    /// The classes of a sentence that has any number of them.
    fn names(&self, sentence: usize) -> Vec<&'s str> {
        let set = self.set(sentence);
        if set.first() == Some(&NO_SET) {
            return vec![UNLABELLED];
        }
        let classes = self.table.classes.iter().zip(set);
        let names = classes.filter(|(_, has)| **has == 1);
        names.map(|(name, _)| name.as_str()).collect()
    }

    /// Rows of `sentence` among what has a class: its tokens, or itself where sentences are classified.
    #[must_use]
    pub(crate) fn rows(&self, sentence: usize) -> Range<usize> {
        match self.table.level {
            Level::Token => self.tokens(sentence),
            Level::Sentence => sentence..sentence + 1,
        }
    }

    /// A value for each word, `value(token)` of its first sub-word and `unseen` for words without any;
    /// for sentence tasks the single value `value(sentence)`.
    pub(crate) fn by_word<T: Copy>(&self, unseen: T, value: impl Fn(usize) -> T) -> Vec<Vec<T>> {
        let sentences = 0..self.reader.sentences();
        if self.table.level == Level::Sentence {
            return sentences.map(|sentence| vec![value(sentence)]).collect();
        }
        let in_sentence = |sentence: usize| {
            let mut values = vec![unseen; self.reader.words(sentence).len()];
            for token in self.tokens(sentence) {
                let word = usize::try_from(self.reader.word_ids()[token]);
                if let (Ok(word), true) = (word, self.table.ids[token] != NO_CLASS) {
                    values[word] = value(token);
                }
            }
            values
        };
        sentences.map(in_sentence).collect()
    }
}
