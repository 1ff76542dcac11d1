//! What can be wrong with a head: options that do not fit the store, or a batch that does not fit
//! the head.

use shared::exit::{ExitStatus, HasExitStatus};
use shared::heads::HeadOptionsError;
use shared::tasks::NO_TARGET;

use crate::activations::BatchError;
use crate::torch_error::one_line;

/// A head that cannot be built or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Options that make no head, or that do not fit the store.
    #[error(transparent)]
    Options(#[from] HeadOptionsError),
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
    #[error("target {got} is none of the head's {classes} classes ({NO_TARGET} means: no label)")]
    Class {
        /// The target.
        got: i64,
        /// Number of classes.
        classes: usize,
    },
    /// A batch without the heads that a tree is made of.
    #[error("the batch does not tell the heads of its words; give them with `with_heads`")]
    NoHeads,
    /// A head that is no word of the sentence.
    #[error(
        "the head of the word at token {token} is at token {head}, where no word of its sentence begins"
    )]
    WrongHead {
        /// The first token of the word.
        token: usize,
        /// What was given.
        head: i64,
    },
    /// Sequences that make no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// libtorch failed: out of memory, or a mistake in the program.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] tch::TchError),
}

impl HasExitStatus for HeadError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Torch(_) => ExitStatus::Machine,
            Self::Batch(error) => error.exit_status(),
            Self::Options(_)
            | Self::Shape { .. }
            | Self::Targets { .. }
            | Self::NoHeads
            | Self::WrongHead { .. }
            | Self::Class { .. } => ExitStatus::User,
        }
    }
}

impl HeadError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        matches!(self, Self::Torch(_) | Self::Batch(BatchError::Torch(_)))
    }
}
