//! Checkpoints: the state of a training between two steps, from which it resumes with the same numbers as
//! if it had never been stopped. A checkpoint counts once `last/state.json` says so: that file names the
//! step whose weights and optimiser state belong to it, and is replaced atomically after these are on
//! the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::files::write_atomic;

use crate::head::Head;
use crate::metrics::number;
use crate::optimiser::{Adam, StateError};
use crate::torch_error::one_line;
use crate::weights::{self, WeightsError};

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be read or written; the message names it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Weights cannot be read or written, or are another head's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The optimiser's state is that of another head.
    #[error("{}: {source}", .path.display())]
    Optimiser {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: StateError,
    },
    /// libtorch failed.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] tch::TchError),
    /// The state cannot be understood.
    #[error("{}: {why}; it was damaged or written by another version, start the run anew with --overwrite", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl HasExitStatus for CheckpointError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => error.exit_status(),
            Self::Weights(error) => error.exit_status(),
            Self::Torch(_) => ExitStatus::Machine,
            Self::Optimiser { source, .. } => source.exit_status(),
            Self::Broken { .. } => ExitStatus::User,
        }
    }
}

impl CheckpointError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        match self {
            Self::Torch(_) => true,
            Self::Weights(error) => error.is_device_failure(),
            Self::Optimiser { source, .. } => source.is_device_failure(),
            Self::Io(_) | Self::Broken { .. } => false,
        }
    }
}

/// How far a training is. Order of sentences, dropout and learning rate follow from seed, epoch and
/// step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done, over all epochs.
    pub step: u64,
    /// Epochs done.
    pub epoch: usize,
    /// Batches done in the epoch that is running.
    pub position: usize,
    /// Sums over the batches of that epoch.
    pub sums: EpochSums,
    /// Seconds of training so far.
    #[serde(deserialize_with = "number::or_nan")]
    pub seconds: f64,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Length of `metrics.jsonl` that belongs to this state, in bytes.
    pub metrics_bytes: u64,
    /// Whether the final scores and the report are written.
    pub finished: bool,
}

/// Sums over a part of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    /// Loss times targets, in nats.
    #[serde(deserialize_with = "number::or_nan")]
    pub loss: f64,
    /// Tokens or sentences with a label.
    pub targets: u64,
    /// Sub-words.
    pub tokens: u64,
    /// Seconds.
    #[serde(deserialize_with = "number::or_nan")]
    pub seconds: f64,
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 1.
    pub epoch: usize,
    /// Its validation score; none without a validation split, where the last epoch counts as best.
    pub value: Option<f64>,
}

fn files(folder: &Path, step: u64) -> [PathBuf; 2] {
    ["weights", "optimiser"].map(|what| folder.join(format!("last/{what}-{step}.safetensors")))
}

/// Writes the checkpoint of `state` into the run's `folder`, and removes the one before.
///
/// # Errors
/// When a file cannot be written; the checkpoint before it is whole then.
pub fn save(
    folder: &Path,
    state: &State,
    head: &dyn Head,
    optimiser: &Adam,
) -> Result<(), CheckpointError> {
    let last = folder.join("last");
    fs_err::create_dir_all(&last)?;
    let [weights_file, optimiser_file] = files(folder, state.step);
    save_tensors(&weights_file, head.parameters())?;
    save_tensors(&optimiser_file, &optimiser.state()?)?;
    save_state(folder, state)?;
    for entry in fs_err::read_dir(&last)? {
        let path = entry?.path();
        let stays = path == weights_file || path == optimiser_file || path.ends_with("state.json");
        if !stays {
            fs_err::remove_file(path)?;
        }
    }
    Ok(())
}

/// Replaces the state alone; its step must be that of the checkpoint.
///
/// # Errors
/// When a file cannot be written.
pub fn save_state(folder: &Path, state: &State) -> Result<(), CheckpointError> {
    let json = serde_json::to_string_pretty(state).map_err(std::io::Error::from)?;
    Ok(write_atomic(
        folder.join("last/state.json"),
        json.as_bytes(),
    )?)
}

/// Writes tensors so that a reader finds the old file or the new one, never a part of it.
///
/// # Errors
/// When a file cannot be written.
pub fn save_tensors(path: &Path, tensors: &[(String, tch::Tensor)]) -> Result<(), CheckpointError> {
    Ok(weights::save(path, tensors, &BTreeMap::new())?)
}

/// The state of the run in `folder`; none when it was stopped before its first checkpoint.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn state(folder: &Path) -> Result<Option<State>, CheckpointError> {
    let path = folder.join("last/state.json");
    if !path.is_file() {
        return Ok(None);
    }
    let broken = |error: serde_json::Error| CheckpointError::Broken {
        path: path.clone(),
        why: error.to_string(),
    };
    let state: State = serde_json::from_slice(&fs_err::read(&path)?).map_err(broken)?;
    Ok(Some(state))
}

/// Loads the checkpoint in the run's `folder` into weights and optimiser. None when the training was
/// stopped before its first checkpoint.
///
/// # Errors
/// When files are missing or do not fit the head.
pub fn load(
    folder: &Path,
    head: &dyn Head,
    optimiser: &mut Adam,
) -> Result<Option<State>, CheckpointError> {
    let Some(state) = state(folder)? else {
        return Ok(None);
    };
    let [weights_file, optimiser_file] = files(folder, state.step);
    weights::load(&weights_file, head.parameters())?;
    let moments = weights::read(&optimiser_file)?;
    let foreign = |source| CheckpointError::Optimiser {
        path: optimiser_file.clone(),
        source,
    };
    optimiser
        .set_state(head.parameters(), moments)
        .map_err(foreign)?;
    Ok(Some(state))
}
