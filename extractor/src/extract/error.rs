//! Why an extraction cannot be begun or finished, with what would help.

use std::path::PathBuf;

use shared::exit::{ExitStatus, HasExitStatus};
use shared::size::format_bytes;
use thiserror::Error;

use crate::encoder::{EncoderError, LayerSelectionError};
use crate::family::FamilyError;
use crate::job::CheckError;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::tokenizer::TokenizerError;

/// Why an extraction cannot be begun or finished.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The disk has no room for the store.
    #[error(
        "{}: {} are needed and {} are free", path.display(), format_bytes(*needed), format_bytes(*free)
    )]
    Space {
        /// The store.
        path: PathBuf,
        /// Bytes of the finished store.
        needed: u64,
        /// Bytes that are free, those of what is overwritten or resumed included.
        free: u64,
        /// What would fit.
        hints: Vec<String>,
    },
    /// The job's limit on memory is too low.
    #[error(
        "{what} takes {} of memory at least, and this job may have {}", format_bytes(*needed), format_bytes(*limit)
    )]
    Memory {
        /// What does not fit.
        what: String,
        /// Bytes that it takes at least.
        needed: u64,
        /// Bytes that the job may have.
        limit: u64,
        /// What would fit.
        hints: Vec<String>,
    },
    /// The GPU's memory is too small for a batch of the size that was asked for.
    #[error("a batch of {tokens} tokens does not fit the GPU's memory: {source}")]
    GpuMemory {
        /// Most tokens of a batch.
        tokens: usize,
        /// What would fit.
        hint: String,
        /// What ONNX Runtime said.
        source: Box<EncoderError>,
    },
    /// A batch whose tensors have more elements than CUDA kernels count.
    #[error(
        "--max-batch-tokens {tokens} is too large: ONNX Runtime's CUDA kernels count the numbers of a tensor in 32 bits, \
         and {layers} layers of {hidden} numbers a token pass that"
    )]
    TooManyElements {
        /// Most tokens of a batch.
        tokens: usize,
        /// Layers that are kept.
        layers: usize,
        /// Size of a hidden state.
        hidden: usize,
        /// What would do.
        hint: String,
    },
    /// The tokenizer gives a token that the encoder does not know.
    #[error(
        "{}: the tokenizer gives token {id}, but the encoder's vocabulary ends at {vocabulary}", folder.display()
    )]
    Vocabulary {
        /// The model.
        folder: PathBuf,
        /// The token's id.
        id: u32,
        /// Number of token ids.
        vocabulary: usize,
    },
    /// The store that was written does not hold what the encoder gives.
    #[error("{source}")]
    SelfCheck {
        /// What became of the store.
        hint: String,
        /// What differs.
        source: Box<CheckError>,
    },
    /// The files of the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model's configuration.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The selected layers.
    #[error(transparent)]
    Layers(#[from] LayerSelectionError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The data set does not go with the encoder.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The store.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// The self-check could not be made.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// ONNX Runtime is not where it should be.
    #[error(transparent)]
    Library(#[from] shared::native::NativeError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ExtractError {
    /// What would help, a line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Space { hints, .. } | Self::Memory { hints, .. } => hints.clone(),
            Self::GpuMemory { hint, .. }
            | Self::TooManyElements { hint, .. }
            | Self::SelfCheck { hint, .. } => vec![hint.clone()],
            Self::Vocabulary { .. } => vec![
                "tokenizer and weights are not of the same model: get both from one place"
                    .to_owned(),
            ],
            Self::Model(_)
            | Self::Family(_)
            | Self::Layers(_)
            | Self::Tokenizer(_)
            | Self::Plan(_)
            | Self::Encoder(_)
            | Self::Store(_)
            | Self::Check(_)
            | Self::Library(_)
            | Self::Io(_) => Vec::new(),
        }
    }
}

impl HasExitStatus for ExtractError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Space { .. }
            | Self::Memory { .. }
            | Self::GpuMemory { .. }
            | Self::SelfCheck { .. } => ExitStatus::Machine,
            Self::TooManyElements { .. } | Self::Vocabulary { .. } | Self::Layers(_) => {
                ExitStatus::User
            }
            Self::Model(error) => error.exit_status(),
            Self::Family(error) => error.exit_status(),
            Self::Tokenizer(error) => error.exit_status(),
            Self::Plan(error) => error.exit_status(),
            Self::Encoder(error) => error.exit_status(),
            Self::Store(error) => error.exit_status(),
            Self::Check(error) => error.exit_status(),
            Self::Library(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
        }
    }
}
