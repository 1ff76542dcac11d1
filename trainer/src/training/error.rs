//! Why a training ends early.

use shared::exit::{ExitStatus, HasExitStatus};

use crate::batches::LoadError;
use crate::checkpoint::CheckpointError;
use crate::evaluation::{EvaluationError, NonFinite};
use crate::head::HeadError;
use crate::torch_error::one_line;

/// Why a training ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The activations cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The head fails.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The optimiser fails.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] tch::TchError),
    /// The validation fails.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run cannot be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Loss or gradients are NaN or infinite.
    #[error(
        "the {what} is {value} at step {step} (epoch {epoch}, learning rate {learning_rate:e}){}; \
         try a lower --lr or a lower --grad-clip. {kept}",
        cause(.validation.as_ref())
    )]
    Diverged {
        /// `loss`, `gradient norm` or `validation loss`.
        what: &'static str,
        /// NaN or infinite.
        value: f64,
        /// Counted from 1 over all epochs.
        step: u64,
        /// Counted from 1.
        epoch: usize,
        /// Learning rate of the step.
        learning_rate: f64,
        /// The labels whose validation loss is NaN or infinite.
        validation: Option<NonFinite>,
        /// What is left of the run.
        kept: String,
    },
    /// The training fails half-way; all heads of a head group fail at once.
    #[error("{why}. {kept}")]
    HalfWay {
        /// What failed.
        why: String,
        /// What is left of the run.
        kept: String,
        /// The exit status that the error ends the program with.
        status: ExitStatus,
        /// Whether the device failed.
        device_failure: bool,
    },
    /// No sentence has a label.
    #[error("the training split has no labelled token: nothing can be learned from it")]
    NothingToLearn,
}

impl HasExitStatus for TrainingError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Load(error) => error.exit_status(),
            Self::Head(error) => error.exit_status(),
            Self::Torch(_) => ExitStatus::Machine,
            Self::Evaluation(error) => error.exit_status(),
            Self::Checkpoint(error) => error.exit_status(),
            Self::Io(error) => error.exit_status(),
            Self::HalfWay { status, .. } => *status,
            Self::Diverged { .. } | Self::NothingToLearn => ExitStatus::User,
        }
    }
}

impl TrainingError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        match self {
            Self::Load(error) => error.is_device_failure(),
            Self::Head(error) => error.is_device_failure(),
            Self::Evaluation(error) => error.is_device_failure(),
            Self::HalfWay { device_failure, .. } => *device_failure,
            Self::Torch(_) => true,
            Self::Checkpoint(error) => error.is_device_failure(),
            Self::Io(_) | Self::Diverged { .. } | Self::NothingToLearn => false,
        }
    }
}

/// The likely cause: weights that have grown spoil the loss of every label, bad activations only that of
/// their own sentences.
fn cause(validation: Option<&NonFinite>) -> String {
    match validation {
        Some(some) if some.count < some.labels => format!(
            " {some} of the validation split: training has diverged, or the activations there are infinite or NaN"
        ),
        Some(_) | None => ": training has diverged".to_owned(),
    }
}
