//! The special tokens that stand around a sentence.

use tokenizers::{PostProcessor as _, PostProcessorWrapper};

/// Ids of special tokens before and after a sentence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) prefix: Vec<u32>,
    pub(super) suffix: Vec<u32>,
}

impl Around {
    /// What a post-processor puts around a sentence, seen from what it does to one sub-word.
    pub(super) fn of(post_processor: Option<&PostProcessorWrapper>) -> tokenizers::Result<Self> {
        let Some(post_processor) = post_processor else {
            return Ok(Self::default());
        };
        let token = tokenizers::Token::new(0, "a".to_owned(), (0, 1));
        let probe = tokenizers::Encoding::from_tokens(vec![token], 0);
        let processed = post_processor.process(probe, None, true)?;
        let ids = processed.get_ids();
        let own = processed
            .get_special_tokens_mask()
            .iter()
            .position(|&special| special == 0);
        let own = own.ok_or("its post-processor drops the sub-words of the sentence")?;
        Ok(Self {
            prefix: ids[..own].to_vec(),
            suffix: ids[own + 1..].to_vec(),
        })
    }
}
