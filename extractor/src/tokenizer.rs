//! Sub-words of pre-split words, as `transformers`' fast tokenizers cut them.
//!
//! Hidden states only mean something together with the tokens they stand for, so this module gives
//! the same ids, word ids and offsets as `tokenizer(words, is_split_into_words=True)` does in
//! `transformers`. Special tokens are kept apart from the sub-words: long sentences are cut into
//! windows later, and each window gets its own.

mod files;

use std::path::{Path, PathBuf};

use shared::exit::ExitStatus;
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
    /// The tokenizer refused a sentence.
    #[error("the tokenizer cannot cut {words:?}: {reason}")]
    Encode {
        /// The first words of the sentence.
        words: Vec<String>,
        /// What the tokenizer says.
        reason: String,
    },
}

impl TokenizerError {
    /// The exit status that this error ends the program with.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
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
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    /// One more than the largest id.
    vocabulary: usize,
    digest: String,
}

impl Tokenizer {
    /// Loads `tokenizer.json`, or builds the tokenizer from the vocabulary files beside
    /// `config.json`.
    ///
    /// # Errors
    /// [`TokenizerError`] when no vocabulary is there, or one that cannot be read or understood.
    pub fn in_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let files::Definition { path, json, digest } = files::Definition::in_folder(folder)?;
        let malformed = |reason: tokenizers::Error| TokenizerError::Malformed {
            path: path.clone(),
            reason: format!("no tokenizer that is understood: {reason}"),
        };
        let bytes = serde_json::to_vec(&json).map_err(|error| malformed(error.into()))?;
        let (inner, (prefix, suffix)) = guarded(|| {
            let inner = tokenizers::Tokenizer::from_bytes(bytes)?;
            let special = special_tokens(&inner)?;
            Ok((inner, special))
        })
        .map_err(|reason| malformed(reason.into()))?
        .map_err(malformed)?;
        let ids = inner.get_vocab(true);
        let vocabulary = ids.values().max().map_or(0, |&id| id as usize + 1);
        // The crate goes through all ids up to the largest, present or not.
        if vocabulary > MOST_IDS {
            let reason = format!(
                "ids up to {}; expected less than {MOST_IDS}",
                vocabulary - 1
            );
            return Err(malformed(reason.into()));
        }
        Ok(Self {
            inner,
            prefix,
            suffix,
            vocabulary,
            digest,
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
        &self.prefix
    }

    /// Special tokens after the sub-words of a sequence, `[SEP]` for BERT, none for GPT-2.
    #[must_use]
    pub fn suffix(&self) -> &[u32] {
        &self.suffix
    }

    /// How many special tokens a sequence gets.
    #[must_use]
    pub fn special_tokens(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// SHA-256 of the files that the tokenizer was made of.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The tokenizer as `tokenizer.json`, padding and truncation off, words given a leading space
    /// where the model wants it.
    ///
    /// # Errors
    /// When a part of it cannot be written as JSON, which no supported one has.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
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

/// What the post-processor puts before and after a sequence, seen from what it does to one
/// sub-word.
fn special_tokens(tokenizer: &tokenizers::Tokenizer) -> tokenizers::Result<(Vec<u32>, Vec<u32>)> {
    let probe = tokenizers::Encoding::from_tokens(
        vec![tokenizers::Token::new(0, "a".to_owned(), (0, 1))],
        0,
    );
    let processed = tokenizer.post_process(probe, None, true)?;
    let ids = processed.get_ids();
    let own = processed
        .get_special_tokens_mask()
        .iter()
        .position(|&special| special == 0);
    let own = own.ok_or("its post-processor drops the sub-words of the sentence")?;
    Ok((ids[..own].to_vec(), ids[own + 1..].to_vec()))
}

#[cfg(test)]
mod tests;
