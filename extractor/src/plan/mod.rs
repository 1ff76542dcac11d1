//! What an extraction will encode and store, known before any weight is read.
//!
//! Tokenizing is cheap and encoding is not, so all sub-words, windows, labels and sizes are
//! computed first: bad data, a sentence that is too long or a disk that is too small shows up
//! within seconds.

use cache::{LongPolicy, SplitSize, SplitTables};
use rayon::prelude::*;
use shared::datasets::{Dataset, Sentence, Split, SplitName};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::tasks::Task;
use thiserror::Error;

use crate::labels::LabelBuilder;
use crate::tokenizer::{SubWords, Tokenizer, TokenizerError};
use crate::window::windows;

/// Why a data set cannot be laid out for an encoder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A longer sequence was asked for than the encoder has positions for, or one that holds no
    /// sub-word.
    #[error(
        "--max-length {wanted} is out of range: sequences of this model have {least} to {most} tokens, \
         {special} of them special"
    )]
    MaxLength {
        /// What was asked for.
        wanted: usize,
        /// The special tokens and one more.
        least: usize,
        /// Positions of the model.
        most: usize,
        /// Special tokens of a sequence.
        special: usize,
    },
    /// A sentence is too long, and `--long error` was asked for.
    #[error(
        "{path}, line {line}: sentence {sentence} of {split} has {tokens} tokens, more than the {max_length} of a sequence; \
         --long split cuts it into windows, --long truncate leaves the rest out",
        path = path.display()
    )]
    TooLong {
        /// The split's file.
        path: std::path::PathBuf,
        /// Where the sentence begins, from 1.
        line: usize,
        /// Number of the sentence in its split, from 1.
        sentence: usize,
        /// The split.
        split: SplitName,
        /// Tokens of the sentence, special ones included.
        tokens: usize,
        /// The limit.
        max_length: usize,
    },
    /// A label is not one of the data set's classes.
    #[error("{path}, line {line}: label {label:?} is none of the classes {classes:?}", path = path.display())]
    UnknownLabel {
        /// The split's file.
        path: std::path::PathBuf,
        /// Where the sentence begins, from 1.
        line: usize,
        /// The label.
        label: String,
        /// What the data set declares.
        classes: Vec<String>,
    },
    /// More sentences than a store can number.
    #[error(
        "{split} has {sentences} sentences, a store holds at most {} in a split",
        u32::MAX
    )]
    TooManySentences {
        /// The split.
        split: SplitName,
        /// How many.
        sentences: usize,
    },
    /// A sentence could not be cut into sub-words.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl HasExitStatus for PlanError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Tokenizer(error) => error.exit_status(),
            Self::MaxLength { .. }
            | Self::TooLong { .. }
            | Self::UnknownLabel { .. }
            | Self::TooManySentences { .. } => ExitStatus::User,
        }
    }
}

/// How long a sequence may be and what happens to longer sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of a sequence, special ones included.
    pub max_length: usize,
    /// What happens to a sentence with more.
    pub long: LongPolicy,
}

/// Most tokens of a sequence where nothing is said: attention of all pairs of tokens makes a longer
/// one dear, and sentences are not that long.
pub const MAX_LENGTH: usize = 2048;

impl Limits {
    /// Limits within what the encoder and its tokenizer allow; without a wish, as long as the
    /// encoder has positions for, and at most [`MAX_LENGTH`].
    ///
    /// # Errors
    /// [`PlanError::MaxLength`] when the wish is longer than that, or leaves no room beside the
    /// special tokens.
    pub fn new(
        wanted: Option<usize>,
        long: LongPolicy,
        max_positions: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PlanError> {
        let special = tokenizer.special_tokens();
        let max_length = wanted.unwrap_or(max_positions.min(MAX_LENGTH));
        if max_length > max_positions || max_length <= special {
            let (least, most) = (special + 1, max_positions);
            return Err(PlanError::MaxLength {
                wanted: max_length,
                least,
                most,
                special,
            });
        }
        Ok(Self { max_length, long })
    }
}

/// A word of which the tokenizer makes no sub-word: the store has no token to carry its label.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UntokenizedWord {
    /// The split.
    pub split: SplitName,
    /// Index of the sentence in its split, from 0.
    pub sentence: usize,
    /// Index of the word in its sentence, from 0.
    pub word: usize,
    /// The word itself.
    pub text: String,
    /// Its label; none where the sentence has one for all.
    pub label: Option<String>,
}

/// What happened to the sentences of all splits on the way to sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Sentences of the data set.
    pub sentences: u64,
    /// Words of the data set.
    pub words: u64,
    /// Sequences to encode: sentences, or windows of long ones.
    pub sequences: u64,
    /// Tokens to encode and store, special ones included.
    pub tokens: u64,
    /// Sentences that were cut into windows.
    pub split_sentences: u64,
    /// Words that are longer than a window and were cut inside.
    pub cut_words: u64,
    /// Sentences whose end was left out.
    pub truncated_sentences: u64,
    /// Words left out with it.
    pub truncated_words: u64,
    /// Words that yield no sub-word.
    pub words_without_sub_word: Vec<UntokenizedWord>,
}

/// A data set as the store will hold it, all but the hidden states.
pub struct Tokens {
    /// A table for each split.
    pub tables: Vec<SplitTables>,
    /// Size of each split.
    pub sizes: std::collections::BTreeMap<SplitName, SplitSize>,
    /// What happened on the way.
    pub counts: Counts,
}

impl Tokens {
    /// Cuts every sentence of `dataset` into sub-words and windows and gives first sub-words their
    /// class.
    ///
    /// # Errors
    /// [`PlanError`], naming file, line and sentence.
    pub fn new(dataset: Dataset, tokenizer: &Tokenizer, limits: Limits) -> Result<Self, PlanError> {
        let Dataset {
            task,
            classes,
            splits,
            ..
        } = dataset;
        let mut counts = Counts::default();
        let mut tables = Vec::new();
        let mut sizes = std::collections::BTreeMap::new();
        for split in splits {
            let sub_words = (0..split.sentences.len())
                .into_par_iter()
                .map(|sentence| {
                    tokenizer.encode(&split.sentences.words(sentence).collect::<Vec<_>>())
                })
                .collect::<Result<Vec<_>, _>>()?;
            let name = split.name;
            let table = Layout {
                tokenizer,
                limits,
                task,
                classes: &classes,
                counts: &mut counts,
            }
            .split(&split, &sub_words)?;
            sizes.insert(name, table.size());
            tables.push(table);
        }
        for size in sizes.values() {
            counts.sentences += size.sentences;
            counts.words += size.words;
            counts.sequences += size.sequences;
            counts.tokens += size.tokens;
        }
        Ok(Self {
            tables,
            sizes,
            counts,
        })
    }
}

/// Lays the sentences of a split out as sequences.
struct Layout<'a> {
    tokenizer: &'a Tokenizer,
    limits: Limits,
    task: Task,
    classes: &'a [String],
    counts: &'a mut Counts,
}

impl Layout<'_> {
    fn split(mut self, split: &Split, sub_words: &[SubWords]) -> Result<SplitTables, PlanError> {
        let sentences = split.sentences.len();
        if u32::try_from(sentences).is_err() {
            return Err(PlanError::TooManySentences {
                split: split.name,
                sentences,
            });
        }
        let mut labels = LabelBuilder::new(self.task, self.classes);
        let mut table = SplitTables {
            name: split.name,
            offsets: vec![0],
            sentence_of: Vec::new(),
            input_ids: Vec::new(),
            word_ids: Vec::new(),
            words: Vec::with_capacity(sentences),
            second_text: Vec::new(),
            labels: Vec::new(),
        };
        for (index, (sentence, sub_words)) in split.sentences.iter().zip(sub_words).enumerate() {
            let kept = self.windows(split, index, &sentence, sub_words)?;
            let heads = split.sentences.heads(index);
            let added = labels.add(sentence.labels.iter().map(String::as_str), heads);
            added.map_err(|label| PlanError::UnknownLabel {
                path: split.path.clone(),
                line: sentence.line,
                label: label.to_owned(),
                classes: self.classes.to_vec(),
            })?;
            for window in kept {
                self.sequence(
                    &mut table,
                    index,
                    &sub_words.ids[window.clone()],
                    &sub_words.word_ids[window],
                );
            }
            table.words.push(sentence.words);
        }
        table.labels.push(labels.finish());
        Ok(table)
    }

    /// The windows of a sentence that are kept, counted.
    fn windows(
        &mut self,
        split: &Split,
        index: usize,
        sentence: &Sentence,
        sub_words: &SubWords,
    ) -> Result<Vec<std::ops::Range<usize>>, PlanError> {
        self.note_untokenized_words(split.name, index, sentence, sub_words);
        let special = self.tokenizer.special_tokens();
        let Limits { max_length, long } = self.limits;
        let (tokens, room) = (sub_words.ids.len(), max_length - special);
        if tokens <= room {
            return Ok(std::iter::once(0..tokens).collect());
        }
        match long {
            LongPolicy::Split => {
                let windows = windows(&sub_words.word_ids, room);
                self.counts.split_sentences += 1;
                let lengths = sub_words
                    .word_ids
                    .chunk_by(|left, right| left == right)
                    .map(<[u32]>::len);
                self.counts.cut_words += lengths.filter(|&length| length > room).count() as u64;
                Ok(windows)
            }
            LongPolicy::Truncate => {
                self.counts.truncated_sentences += 1;
                let last = sub_words.word_ids[room - 1];
                let beyond = sub_words.word_ids[room..].chunk_by(|left, right| left == right);
                self.counts.truncated_words += beyond.filter(|word| word[0] != last).count() as u64;
                Ok(std::iter::once(0..room).collect())
            }
            LongPolicy::Error => Err(PlanError::TooLong {
                path: split.path.clone(),
                line: sentence.line,
                sentence: index + 1,
                split: split.name,
                tokens: tokens + special,
                max_length,
            }),
        }
    }

    fn note_untokenized_words(
        &mut self,
        split: SplitName,
        index: usize,
        sentence: &Sentence,
        sub_words: &SubWords,
    ) {
        let mut seen = sub_words.word_ids.iter().peekable();
        for (word, text) in sentence.words.iter().enumerate() {
            if seen.next_if(|&&id| id as usize == word).is_some() {
                while seen.next_if(|&&id| id as usize == word).is_some() {}
                continue;
            }
            let label = self
                .task
                .labels_words()
                .then(|| sentence.labels[word].clone());
            let untokenized = UntokenizedWord {
                split,
                sentence: index,
                word,
                text: text.clone(),
                label,
            };
            self.counts.words_without_sub_word.push(untokenized);
        }
    }

    /// Appends one sequence with its special tokens.
    fn sequence(&self, table: &mut SplitTables, sentence: usize, ids: &[u32], word_ids: &[u32]) {
        let (prefix, suffix) = (self.tokenizer.prefix(), self.tokenizer.suffix());
        table
            .input_ids
            .extend([prefix, ids, suffix].into_iter().flatten());
        table.word_ids.extend(prefix.iter().map(|_| -1));
        // A sentence of 2^31 words does not fit into memory.
        table.word_ids.extend(
            word_ids
                .iter()
                .map(|&word| i32::try_from(word).unwrap_or(i32::MAX)),
        );
        table.word_ids.extend(suffix.iter().map(|_| -1));
        table.offsets.push(table.input_ids.len() as u64);
        table
            .sentence_of
            .push(u32::try_from(sentence).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests;
