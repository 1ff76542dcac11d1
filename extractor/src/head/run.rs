//! The folder of a run, as far as prediction needs it: which labels, which head, which encoder.

use std::path::{Path, PathBuf};

use cache::Manifest;
use serde::Deserialize;
use shared::dataset::Task;
use shared::exit::{ExitStatus, HasExitStatus as _};

use super::{Parameters, Settings};
use crate::checkpoint::CheckpointError;

/// Newest format of `config.json` that is read.
const FORMAT_VERSION: u32 = 1;
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "adapter.safetensors";

/// `config.json` of a run; what only training needs is left out.
#[derive(Debug, Deserialize)]
struct Config {
    format_version: u32,
    task: Task,
    classes: Vec<String>,
    head: Settings,
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
    pub settings: Settings,
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
        let path = file(CONFIG)?;
        let broken = |why: String| RunError::Broken {
            path: path.clone(),
            why,
        };
        let config: Config = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| broken(error.to_string()))?;
        if config.format_version > FORMAT_VERSION {
            let found = config.format_version;
            let why =
                format!("it has format version {found}, this program reads up to {FORMAT_VERSION}");
            return Err(broken(why));
        }
        config.head.check().map_err(broken)?;
        let (names, classes) = (config.classes.len(), config.head.classes);
        if names != classes {
            return Err(broken(format!("{names} names for {classes} classes")));
        }
        Ok(Self {
            folder: folder.to_owned(),
            task: config.task,
            classes: config.classes,
            settings: config.head,
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
    /// Who is to mend it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => ExitStatus::of_io(error),
            Self::Parameters(error) => error.exit_status(),
            _ => ExitStatus::User,
        }
    }
}
