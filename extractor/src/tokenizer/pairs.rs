//! Two texts in one sequence, as the tokenizer's own template puts them together.

use tokenizers::{Encoding, PostProcessor as _, PostProcessorWrapper};

use super::{SubWords, Tokenizer, TokenizerError};
use crate::pairs::longest_first;

/// Special tokens before, between and behind the texts of a pair.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AroundPair {
    prefix: Vec<u32>,
    middle: Vec<u32>,
    suffix: Vec<u32>,
    types: Types,
}

/// The types of a pair's tokens.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Types {
    /// All are 0.
    #[default]
    Alike,
    /// 0 up to the second text, and 1 from its first sub-word on.
    ByText,
    /// Something else.
    Other,
}

/// A pair of texts as it is fed to an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairTokens {
    /// Vocabulary ids, special tokens included, `[tokens]`.
    pub ids: Vec<u32>,
    /// Index of the word that a token belongs to, counting through both texts; -1 for special
    /// tokens. `[tokens]`
    pub word_ids: Vec<i32>,
    /// The first token of the second text.
    pub second: usize,
    /// The sub-words of both texts, whole, each with words of its own.
    pub whole: [SubWords; 2],
    /// How many of them are kept.
    pub kept: [usize; 2],
}

impl PairTokens {
    /// Whether a text was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        let lengths = self.whole.each_ref().map(|whole| whole.ids.len());
        lengths != self.kept
    }
}

impl AroundPair {
    /// What a post-processor puts around two texts, seen from what it does to one sub-word of each.
    ///
    /// # Errors
    /// When it makes something else of them than the two in their order.
    pub(super) fn of(post_processor: Option<&PostProcessorWrapper>) -> tokenizers::Result<Self> {
        let Some(post_processor) = post_processor else {
            // One behind the other.
            return Ok(Self {
                types: Types::ByText,
                ..Self::default()
            });
        };
        // Words tell the two apart.
        let probe = |id: u32, kind: u32| {
            let token = tokenizers::Token::new(id, "a".to_owned(), (0, 1));
            let mut probe = Encoding::from_tokens(vec![token], kind);
            probe.set_sequence_id(kind as usize);
            probe
        };
        let processed = post_processor.process(probe(0, 0), Some(probe(1, 1)), true)?;
        let special = processed.get_special_tokens_mask();
        let own: Vec<usize> = (0..special.len())
            .filter(|&place| special[place] == 0)
            .collect();
        let ids = processed.get_ids();
        let &[first, second] = own.as_slice() else {
            return Err("its post-processor makes no pair of two texts".into());
        };
        if (ids[first], ids[second]) != (0, 1) {
            return Err("its post-processor changes the order of two texts".into());
        }
        let types = processed.get_type_ids();
        let by_text = |(place, &kind): (usize, &u32)| kind == u32::from(place >= second);
        let types = if types.iter().all(|&kind| kind == 0) {
            Types::Alike
        } else if types.iter().enumerate().all(by_text) {
            Types::ByText
        } else {
            Types::Other
        };
        Ok(Self {
            prefix: ids[..first].to_vec(),
            middle: ids[first + 1..second].to_vec(),
            suffix: ids[second + 1..].to_vec(),
            types,
        })
    }

    fn len(&self) -> usize {
        self.prefix.len() + self.middle.len() + self.suffix.len()
    }
}

impl Tokenizer {
    /// How many special tokens a pair of texts gets.
    ///
    /// # Errors
    /// [`TokenizerError::Pair`] when the tokenizer has no template for pairs.
    pub fn special_tokens_of_pair(&self) -> Result<usize, TokenizerError> {
        Ok(self.around_pair()?.len())
    }

    /// Whether tokens of the second text of a pair, and special ones behind it, are of type 1, and
    /// all others of type 0.
    ///
    /// # Errors
    /// [`TokenizerError::Pair`] when there is no template for pairs, or token types are something
    /// else.
    pub fn types_second_text(&self) -> Result<bool, TokenizerError> {
        match self.around_pair()?.types {
            Types::Alike => Ok(false),
            Types::ByText => Ok(true),
            Types::Other => Err(TokenizerError::Pair {
                reason: "its token types do not begin with the second text".to_owned(),
            }),
        }
    }

    /// Cuts two texts into sub-words and puts them into one sequence of at most `max_length`
    /// tokens, the longer one being truncated first. `words` are those of both, those of the second
    /// from `second` on.
    ///
    /// # Errors
    /// [`TokenizerError::Pair`], and as [`Tokenizer::encode`].
    pub fn encode_pair(
        &self,
        words: &[&str],
        second: usize,
        max_length: usize,
    ) -> Result<PairTokens, TokenizerError> {
        let around = self.around_pair()?;
        let (one, other) = words.split_at(second.min(words.len()));
        let whole = [self.encode(one)?, self.encode(other)?];
        let room = max_length.saturating_sub(around.len());
        let kept = longest_first(whole[0].ids.len(), whole[1].ids.len(), room);
        let parts = [&whole[0].ids[..kept.0], &whole[1].ids[..kept.1]];
        let (prefix, middle, suffix) = (&around.prefix[..], &around.middle[..], &around.suffix[..]);
        let ids = [prefix, parts[0], middle, parts[1], suffix].concat();
        let special = |tokens: &[u32]| vec![-1; tokens.len()];
        // A text of 2^31 words does not fit into memory.
        let words_of = |text: usize, kept: usize, before: usize| -> Vec<i32> {
            let words = whole[text].word_ids[..kept].iter();
            words
                .map(|&word| i32::try_from(word as usize + before).unwrap_or(i32::MAX))
                .collect()
        };
        let word_ids = [
            special(prefix),
            words_of(0, kept.0, 0),
            special(middle),
            words_of(1, kept.1, one.len()),
            special(suffix),
        ];
        Ok(PairTokens {
            word_ids: word_ids.concat(),
            second: prefix.len() + kept.0 + middle.len(),
            ids,
            whole,
            kept: [kept.0, kept.1],
        })
    }

    fn around_pair(&self) -> Result<&AroundPair, TokenizerError> {
        self.around_pair
            .as_ref()
            .map_err(|reason| TokenizerError::Pair {
                reason: reason.clone(),
            })
    }
}
