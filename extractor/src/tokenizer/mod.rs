//! Sub-words of pre-split words, as `transformers`' fast tokenizers cut them.
//!
//! Hidden states only mean something together with the tokens they stand for, so this module gives
//! the same ids, word ids and offsets as `tokenizer(words, is_split_into_words=True)` does in
//! `transformers`. Special tokens are kept apart from the sub-words: long sentences are cut into
//! windows later, and each window gets its own.

mod around;
mod bert;
mod build;
mod byte_level;
mod changes;
mod class;
mod defaults;
mod esm;
mod files;
mod generic;
mod llama;
mod names;
mod pairs;
mod parts;
mod piece;
mod special;
mod unigram;

pub use pairs::PairTokens;

use std::path::{Path, PathBuf};

use shared::exit::{ExitStatus, HasExitStatus};
use shared::guard::guarded;
use thiserror::Error;
use tokenizers::InputSequence;

/// Why a tokenizer cannot be had or a sentence cannot be cut.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The folder holds no vocabulary that is understood.
    #[error(
        "no tokenizer in {folder}: expected tokenizer.json, or vocab.txt, or vocab.json with merges.txt{remedy}",
        folder = folder.display()
    )]
    Missing {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// What to do about it, beginning with a semicolon, or empty.
        remedy: &'static str,
    },
    /// A file is there and does not say what it should.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The tokenizer knows no pairs of texts.
    #[error(
        "the tokenizer has no template for pairs of texts: {reason}; --text-column alone reads one of the two"
    )]
    Pair {
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer refused a sentence.
    #[error("the tokenizer cannot cut {words:?}: {reason}")]
    Encode {
        /// The first words of the sentence.
        words: Vec<String>,
        /// What the tokenizer says.
        reason: String,
    },
}

impl HasExitStatus for TokenizerError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(_) => ExitStatus::Machine,
            _ => ExitStatus::User,
        }
    }
}

/// The sub-words of one sentence, without special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubWords {
    /// Vocabulary ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Index of the word that a sub-word belongs to, `[tokens]`, never decreasing.
    pub word_ids: Vec<u32>,
    /// Begin and end of the sub-word in its word, in characters, `[tokens]`.
    pub offsets: Vec<(usize, usize)>,
}

/// Four times the largest vocabulary that is known, at least.
const MOST_IDS: usize = 1 << 22;

/// A checkpoint's tokenizer, padding and truncation switched off.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    around: around::Around,
    /// The same for pairs of texts, or why there is none.
    around_pair: Result<pairs::AroundPair, String>,
    /// One more than the largest id.
    vocabulary: usize,
    digest: String,
    notes: Vec<String>,
}

impl Tokenizer {
    /// Loads the tokenizer that `AutoTokenizer.from_pretrained` of `transformers` 5 has for the
    /// folder: `tokenizer.json`, or older vocabulary files, as the class uses them that
    /// `tokenizer_config.json` or `config.json` asks for.
    ///
    /// # Errors
    /// [`TokenizerError`] when no vocabulary is there, or one that cannot be read or understood,
    /// when files contradict one another, or when the class is not known here.
    pub fn in_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let build::Built {
            inner,
            around,
            digest,
            notes,
            file,
            files,
        } = build::build(folder)?;
        let ids = inner.get_vocab(true);
        let vocabulary = ids.values().max().map_or(0, |&id| id as usize + 1);
        // The crate goes through all ids up to the largest, present or not.
        if vocabulary > MOST_IDS {
            let reason = format!(
                "no tokenizer that is understood: ids up to {}; expected less than {MOST_IDS}",
                vocabulary - 1
            );
            return Err(files.malformed(file, reason));
        }
        let around_pair = guarded(|| pairs::AroundPair::of(inner.get_post_processor()));
        let around_pair = around_pair.and_then(|around| around.map_err(|error| error.to_string()));
        Ok(Self {
            inner,
            around,
            around_pair,
            vocabulary,
            digest,
            notes,
        })
    }

    /// Cuts the words of a sentence into sub-words.
    ///
    /// A word may yield none (an empty one, or one of control characters): its index is then
    /// missing from [`SubWords::word_ids`].
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] when the tokenizer fails, which the supported ones do not.
    pub fn encode(&self, words: &[&str]) -> Result<SubWords, TokenizerError> {
        let fail = |reason: String| TokenizerError::Encode {
            words: words.iter().take(8).map(|&word| word.to_owned()).collect(),
            reason,
        };
        let encoding = guarded(|| {
            self.inner
                .encode_char_offsets(InputSequence::from(words), false)
        })
        .map_err(fail)?
        .map_err(|error| fail(error.to_string()))?;
        let word_ids = encoding
            .get_word_ids()
            .iter()
            .map(|word| word.ok_or_else(|| fail("a sub-word belongs to no word".to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(SubWords {
            ids: encoding.get_ids().to_vec(),
            word_ids,
            offsets: encoding.get_offsets().to_vec(),
        })
    }

    /// Special tokens before the sub-words of a sequence, `[CLS]` for BERT, none for GPT-2.
    #[must_use]
    pub fn prefix(&self) -> &[u32] {
        &self.around.prefix
    }

    /// Special tokens after the sub-words of a sequence, `[SEP]` for BERT, none for GPT-2.
    #[must_use]
    pub fn suffix(&self) -> &[u32] {
        &self.around.suffix
    }

    /// How many special tokens a sequence gets.
    #[must_use]
    pub fn special_tokens(&self) -> usize {
        self.around.prefix.len() + self.around.suffix.len()
    }

    /// What was guessed, and what of the files is not used, a line each, for the user to see.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// SHA-256 of the files that the tokenizer was made of: of `tokenizer.json` alone where the
    /// files beside it change nothing in it that ids depend on.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The tokenizer as `tokenizer.json`, padding and truncation off, words given a leading space
    /// where the model wants it.
    ///
    /// # Errors
    /// When a part of it cannot be written as JSON: that special tokens are split like text
    /// (`split_special_tokens`) cannot.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        if self.inner.get_encode_special_tokens() {
            return Err(TokenizerError::Malformed {
                path: "tokenizer.json".into(),
                reason: "cannot say split_special_tokens, which tokenizer_config.json does"
                    .to_owned(),
            });
        }
        self.inner
            .to_string(false)
            .map_err(|error| TokenizerError::Malformed {
                path: "tokenizer.json".into(),
                reason: format!("cannot be written: {error}"),
            })
    }

    /// One more than the largest id in the vocabulary, added tokens included.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }
}

#[cfg(test)]
mod combinations;
#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod tests;
