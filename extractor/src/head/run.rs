//! The folder of a run, as far as prediction needs it: which labels, which head, which encoder.

use std::path::{Path, PathBuf};

use cache::Manifest;
use serde::Deserialize;
use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::heads::HeadOptionsError;
use shared::heads::run::{self, CONFIG, ConfigError, WEIGHTS};
use shared::tasks::Task;

use super::{HeadOptions, Parameters};
use crate::checkpoint::CheckpointError;

/// `config.json` of a run; what only training needs is left out.
#[derive(Debug, Deserialize)]
struct Config {
    task: Task,
    classes: Vec<String>,
    head: HeadOptions,
    store: Manifest,
}

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
    /// The store that it was trained on: encoder, tokenizer and limits.
    pub store: Manifest,
}

impl Run {
    /// Reads settings and parameters of the run in `folder`.
    ///
    /// # Errors
    /// When there is no run, none that has finished an epoch, or it cannot be understood.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let file = |name: &'static str| {
            let path = folder.join(name);
            let missing = RunError::NoRun {
                folder: folder.to_owned(),
                file: name,
            };
            if path.is_file() {
                Ok(path)
            } else {
                Err(missing)
            }
        };
        let broken = |why: String| RunError::Broken {
            path: folder.join(CONFIG),
            why,
        };
        let config: Config = run::read(folder).map_err(|error| match error {
            ConfigError::Missing { folder } => RunError::NoRun {
                folder,
                file: CONFIG,
            },
            ConfigError::Broken { why, .. } => broken(why),
            ConfigError::Io(error) => RunError::Io(error),
        })?;
        let wrong = |error: HeadOptionsError| broken(error.to_string());
        config.head.check().map_err(wrong)?;
        config.head.layers_read().map_err(wrong)?;
        let (names, classes) = (config.classes.len(), config.head.classes);
        if names != classes {
            return Err(broken(format!("{names} names for {classes} classes")));
        }
        Ok(Self {
            folder: folder.to_owned(),
            task: config.task,
            classes: config.classes,
            head: config.head,
            parameters: Parameters::open(&file(WEIGHTS)?)?,
            store: config.store,
        })
    }
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// There is no run, or one that has not come far enough.
    #[error(
        "{} is not a finished run: it has no {file}; --run takes the folder that `trainer` printed at its end",
        .folder.display()
    )]
    NoRun {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// `config.json` cannot be understood.
    #[error("{}: {why}; it was damaged or written by another version: train the head again", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The parameters cannot be read.
    #[error(transparent)]
    Parameters(#[from] CheckpointError),
}

impl RunError {
    /// The exit status that this error ends the program with.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => ExitStatus::of_io(error),
            Self::Parameters(error) => error.exit_status(),
            _ => ExitStatus::User,
        }
    }
}
