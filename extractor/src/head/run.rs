//! The folder of a run, as far as prediction needs it: which labels, which head, which encoder.

use std::path::{Path, PathBuf};

use cache::Manifest;
use serde::de::IgnoredAny;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::heads::run::{self, Config, RunFolderError, WEIGHTS};
use shared::tasks::{Chain, Decoder, Output, Task};

use super::{HeadOptions, Parameters};
use crate::checkpoint::CheckpointError;

/// A trained head and what it was trained on.
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// What the labels are.
    pub task: Task,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// The head.
    pub head: HeadOptions,
    /// Its parameters, those of the best epoch.
    pub parameters: Parameters,
    /// What chooses predictions among the classes.
    pub decoder: Decoder,
    /// The store that it was trained on: encoder, tokenizer and limits.
    pub store: Manifest,
}

impl Run {
    /// Reads settings and parameters of the run in `folder`.
    ///
    /// # Errors
    /// When there is no run, none that has finished an epoch, or it cannot be understood.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let config = Config::<Manifest, IgnoredAny>::load(folder)?;
        let weights = run::file(folder, WEIGHTS)?;
        let parameters = Parameters::open(&weights)?;
        let decoder = match config.head.output {
            Output::Class => config.head.decoder(&config.classes, |crf| {
                let [transitions, start, end] =
                    [&crf.transitions, &crf.start, &crf.end].map(|one| parameters.values(one));
                Ok::<_, RunError>(Chain::of_scores(&transitions?, &start?, &end?))
            })?,
            Output::Set => Decoder::Set(config.thresholds(folder)?),
            Output::Number => Decoder::Number,
        };
        Ok(Self {
            folder: folder.to_owned(),
            task: config.task,
            classes: config.classes,
            head: config.head,
            parameters,
            decoder,
            store: config.store,
        })
    }
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder is not that of a run, or its configuration cannot be understood.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// The parameters cannot be read.
    #[error(transparent)]
    Parameters(#[from] CheckpointError),
}

impl HasExitStatus for RunError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Folder(error) => error.exit_status(),
            Self::Parameters(error) => error.exit_status(),
        }
    }
}
