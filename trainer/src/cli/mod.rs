//! The program `trainer-torch`, reached through the launcher `trainer`: reads the options and runs what they ask for.

mod compare;
mod data;
mod doctor;
mod evaluate;
mod finish;
mod placing;
mod settings;
mod sweep;
mod train;

use shared::exit::{ExitStatus, HasExitStatus};
use shared::terminal::Terminal;
use trainer_options::sweep::SweepFileError;
use trainer_options::{Job, Options};

use crate::batches::{LoadError, SplitError};
use crate::checkpoint::CheckpointError;
use crate::comparison::ComparisonError;
use crate::device::DeviceError;
use crate::evaluation::EvaluationError;
use crate::head::HeadError;
use crate::run::RunError;
use crate::training::TrainingError;
use crate::weights::WeightsError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// A split or its labels are not there.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The head cannot be built.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The run folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The training ended early.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The activations cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Runs cannot be compared.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// The file of a sweep cannot be used.
    #[error(transparent)]
    SweepFile(#[from] SweepFileError),
    /// A run of a sweep cannot be started.
    #[error("run {name}: {error}")]
    SweepRun {
        /// Its name.
        name: String,
        /// Why.
        error: Box<Self>,
    },
    /// The head cannot be run over a split.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A file cannot be read or written; the message names it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A result cannot be written as JSON.
    #[error("the results cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An option that cannot be used.
    #[error("{0}")]
    Option(String),
    /// The run and the store do not belong together.
    #[error("{0}")]
    Mismatch(String),
}

impl HasExitStatus for CommandError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Store(error) => error.exit_status(),
            Self::Split(error) => error.exit_status(),
            Self::Device(error) => error.exit_status(),
            Self::Head(error) => error.exit_status(),
            Self::Run(error) => error.exit_status(),
            Self::Checkpoint(error) => error.exit_status(),
            Self::Weights(error) => error.exit_status(),
            Self::Training(error) => error.exit_status(),
            Self::Load(error) => error.exit_status(),
            Self::SweepFile(error) => error.exit_status(),
            Self::Comparison(error) => error.exit_status(),
            Self::SweepRun { error, .. } => error.exit_status(),
            Self::Evaluation(error) => error.exit_status(),
            Self::Io(error) => error.exit_status(),
            Self::Json(_) => ExitStatus::Machine,
            Self::Option(_) | Self::Mismatch(_) => ExitStatus::User,
        }
    }
}

impl CommandError {
    /// Whether the device failed, or has too little memory.
    fn is_device_failure(&self) -> bool {
        match self {
            Self::Head(error) => error.is_device_failure(),
            Self::Training(error) => error.is_device_failure(),
            Self::Load(error) => error.is_device_failure(),
            Self::Evaluation(error) => error.is_device_failure(),
            Self::Checkpoint(error) => error.is_device_failure(),
            Self::Weights(error) => error.is_device_failure(),
            Self::SweepRun { error, .. } => error.is_device_failure(),
            Self::Store(_)
            | Self::Split(_)
            | Self::Device(_)
            | Self::Run(_)
            | Self::Comparison(_)
            | Self::SweepFile(_)
            | Self::Io(_)
            | Self::Json(_)
            | Self::Option(_)
            | Self::Mismatch(_) => false,
        }
    }
}

/// Does what `options` ask for.
///
/// # Errors
/// What stopped the command; it has not been printed yet.
pub fn run(options: &Options, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    match &options.command {
        None => train::run(&options.train, terminal),
        Some(Job::Train(train)) => train::run(train, terminal),
        Some(Job::Sweep(sweep)) => sweep::run(sweep, terminal),
        Some(Job::Eval(eval)) => evaluate::eval(eval, terminal),
        Some(Job::Predict(predict)) => evaluate::predict(predict, terminal),
        Some(Job::Compare(compare)) => compare::run(compare, terminal),
        Some(Job::Doctor(doctor)) => doctor::run(doctor, terminal),
    }
}
