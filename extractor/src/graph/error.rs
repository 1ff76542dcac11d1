//! Why a graph could not be built.

use shared::exit::{ExitStatus, HasExitStatus};

use crate::checkpoint::CheckpointError;

/// Why a graph could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A tensor is missing or is another than expected.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// ONNX Runtime refused a part.
    #[error("cannot build the encoder's graph: {0}")]
    Ort(#[from] ort::Error),
}

impl HasExitStatus for GraphError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Checkpoint(error) => error.exit_status(),
            Self::Ort(_) => ExitStatus::Machine,
        }
    }
}
