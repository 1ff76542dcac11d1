//! What can be wrong with a head: options that do not fit the store, or a batch that does not fit the head.

use shared::exit::ExitStatus;

use crate::activations::BatchError;
use crate::torch_error::told;

/// A head that cannot be built or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// `--head` names no head.
    #[error(
        "unknown head '{got}'; expected adapter, attention-fusion, scalar-mix, last, layer:N or concat:A,B,..."
    )]
    Kind {
        /// What was given.
        got: String,
    },
    /// The head wants a layer that the store does not hold.
    #[error(
        "the head needs layer {wanted}, the store holds layers {stored:?}; choose one of these, or extract with --layers all"
    )]
    Layer {
        /// The encoder's layer, 0 being the embeddings.
        wanted: usize,
        /// The encoder's layers in the store.
        stored: Vec<usize>,
    },
    /// Sizes that make no network.
    #[error("{0}")]
    Size(String),
    /// A batch from a store of another shape.
    #[error(
        "the head was built for [{layers} layers, {hidden} hidden], the batch holds [{got_layers}, {got_hidden}]; use the store the head was trained on"
    )]
    Shape {
        /// Layers of the head.
        layers: usize,
        /// Hidden size of the head.
        hidden: usize,
        /// Layers of the batch.
        got_layers: usize,
        /// Hidden size of the batch.
        got_hidden: usize,
    },
    /// Targets and outputs do not correspond.
    #[error("{got} targets for {expected} outputs")]
    Targets {
        /// Tokens, or sentences.
        expected: usize,
        /// Targets given.
        got: usize,
    },
    /// A target that is no class.
    #[error("target {got} is none of the head's {classes} classes (-100 means: no label)")]
    Class {
        /// The target.
        got: i64,
        /// Number of classes.
        classes: usize,
    },
    /// Sequences that make no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// libtorch failed: out of memory, or a fault of the program's.
    #[error("libtorch: {}", told(.0))]
    Torch(#[from] tch::TchError),
}

impl HeadError {
    /// Whose it is to mend.
    #[must_use]
    pub const fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Torch(_) => ExitStatus::Machine,
            Self::Batch(error) => error.exit_status(),
            _ => ExitStatus::User,
        }
    }

    /// Whether it is the device that failed, or its memory that is not enough.
    #[must_use]
    pub const fn is_of_device(&self) -> bool {
        matches!(self, Self::Torch(_) | Self::Batch(BatchError::Torch(_)))
    }
}
