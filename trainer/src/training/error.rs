//! Why a training ends early.

use shared::exit::ExitStatus;

use crate::batches::LoadError;
use crate::checkpoint::CheckpointError;
use crate::evaluation::{EvaluationError, NonFinite};
use crate::head::HeadError;
use crate::torch_error::told;

/// Why a training ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The activations cannot be had.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The head fails.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The optimiser fails.
    #[error("libtorch: {}", told(.0))]
    Torch(#[from] tch::TchError),
    /// The validation fails.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A checkpoint cannot be written or taken up.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run cannot be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The numbers blew up.
    #[error(
        "the {what} is {value} at step {step} (epoch {epoch}, learning rate {learning_rate:e}){}; \
         try a lower --lr or a lower --grad-clip. {kept}",
        cause(.validation.as_ref())
    )]
    Diverged {
        /// `loss`, `gradient norm` or `validation loss`.
        what: &'static str,
        /// Not a number, or infinite.
        value: f64,
        /// Counted from 1 over all epochs.
        step: u64,
        /// Counted from 1.
        epoch: usize,
        /// Learning rate of the step.
        learning_rate: f64,
        /// The labels that a validation loss is so for.
        validation: Option<NonFinite>,
        /// What is left of the run.
        kept: String,
    },
    /// The training fails half-way; heads that are computed as one fail as one.
    #[error("{why}. {kept}")]
    HalfWay {
        /// What failed.
        why: String,
        /// What is left of the run.
        kept: String,
        /// Who is to mend it.
        status: ExitStatus,
        /// Whether it is the device that failed.
        of_device: bool,
    },
    /// No sentence has a label.
    #[error("the training split has no labelled token: nothing can be learned from it")]
    NothingToLearn,
}

impl TrainingError {
    /// Who is to mend it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Load(error) => error.exit_status(),
            Self::Head(error) => error.exit_status(),
            Self::Torch(_) => ExitStatus::Machine,
            Self::Evaluation(error) => error.exit_status(),
            Self::Checkpoint(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
            Self::HalfWay { status, .. } => *status,
            Self::Diverged { .. } | Self::NothingToLearn => ExitStatus::User,
        }
    }

    /// Whether it is the device that failed, or its memory that is not enough.
    #[must_use]
    pub const fn is_of_device(&self) -> bool {
        match self {
            Self::Load(error) => error.is_of_device(),
            Self::Head(error) => error.is_of_device(),
            Self::Evaluation(error) => error.is_of_device(),
            Self::HalfWay { of_device, .. } => *of_device,
            Self::Torch(_) | Self::Checkpoint(CheckpointError::Torch(_)) => true,
            _ => false,
        }
    }
}

/// What it may come from: weights that have grown spoil every label, activations those of their own sentences.
fn cause(validation: Option<&NonFinite>) -> String {
    match validation {
        Some(some) if some.count < some.labels => format!(
            " {some} of the validation split: training has diverged, or the activations there are infinite or NaN"
        ),
        _ => ": training has diverged".to_owned(),
    }
}
