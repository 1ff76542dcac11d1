//! Why an extraction stopped.

use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus};
use thiserror::Error;

use crate::encoder::EncoderError;

/// Why an extraction stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobError {
    /// The encoder failed.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// A hidden state that the store's number format cannot hold.
    #[error("{split}, sentence {sentence}, token {token}, layer {layer}: {problem}")]
    Value {
        /// The split.
        split: SplitName,
        /// Number of the sentence in its split, from 1.
        sentence: usize,
        /// Position in the sequence, from 0.
        token: usize,
        /// The layer's number in the model.
        layer: usize,
        /// What is wrong with the value, and the remedy.
        problem: String,
    },
    /// A thread of the program died.
    #[error("a thread of the extraction stopped without saying why")]
    Thread,
}

impl HasExitStatus for JobError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Encoder(error) => error.exit_status(),
            Self::Store(error) => error.exit_status(),
            Self::Value { .. } => ExitStatus::User,
            Self::Thread => ExitStatus::Machine,
        }
    }
}
