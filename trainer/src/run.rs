//! The folder of a run, in which a training leaves its results, and its configuration, by which the
//! run can be resumed, compared with others and used on new data.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cache::{FieldDifference, Manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::claim::{Claim, ClaimError, Owner};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::files::write_atomic;
use shared::heads::run::{self, CONFIG, FORMAT_VERSION, RunFolderError};
use shared::tasks::Task;

use crate::batches::BatchSize;
use crate::head::HeadOptions;
use crate::schedule::ScheduleKind;

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The folder is not that of a run, or its configuration cannot be understood.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// Another process trains it.
    #[error(
        "{} is being trained by {owner}; wait for it or stop it, or train another run with --name NAME",
        .folder.display()
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// The process.
        owner: Box<Owner>,
    },
    /// A run of that name is there.
    #[error(
        "{} exists: --resume goes on with it (or shows its results), --name NAME trains beside it, --overwrite replaces it",
        .folder.display()
    )]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// `--overwrite` would remove something that is not a run.
    #[error("{} exists and is not a run (no config.json in it): it is left alone; choose another --name", .folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// A run cannot be resumed with other settings.
    #[error(
        "{} was started with other settings{}\ngive the same as then to --resume, or start another run with --name NAME",
        .folder.display(), list(.differences)
    )]
    Differs {
        /// The folder.
        folder: PathBuf,
        /// Every field that differs.
        differences: Vec<FieldDifference>,
    },
    /// The run has no scores yet.
    #[error("{} is not finished; the command that started it goes on with it, with --resume", .folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
}

impl HasExitStatus for RunError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => error.exit_status(),
            Self::Folder(error) => error.exit_status(),
            Self::Busy { .. }
            | Self::Exists { .. }
            | Self::Foreign { .. }
            | Self::Differs { .. }
            | Self::Unfinished { .. } => ExitStatus::User,
        }
    }
}

fn list(differences: &[FieldDifference]) -> String {
    let mut list = String::new();
    for FieldDifference {
        field,
        stored,
        wanted,
    } in differences
    {
        // A `String` takes whatever is written to it.
        let _ = write!(list, "\n  {field}: was {stored}, is now {wanted}");
    }
    list
}

/// `config.json` of a run.
pub type Config = run::Config<Manifest, Settings>;

/// How a head is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Passes over the training set.
    pub epochs: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate goes.
    pub schedule: ScheduleKind,
    /// Share of the steps on the way up, if not the schedule's own.
    pub warm_up: Option<f64>,
    /// How much goes into a batch.
    pub batch_size: BatchSize,
    /// Largest gradient norm, 0 for any.
    pub gradient_clip: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Of start weights, dropout and order.
    pub seed: u64,
    /// Of the order alone, if not the same.
    #[serde(default)]
    pub order_seed: Option<u64>,
    /// Whether the order changes every epoch.
    pub shuffle: bool,
    /// Epochs without a better score after which to stop.
    pub patience: Option<usize>,
    /// Sentences to train on, if not all.
    pub limit_train: Option<usize>,
    /// SHA-256 of the file with the start weights, if any.
    pub init_weights: Option<String>,
}

/// The configuration of a run, in this version of the format.
#[must_use]
pub fn config(
    task: Task,
    classes: Vec<String>,
    head: HeadOptions,
    training: Settings,
    store: &cache::Store,
) -> Config {
    Config {
        format_version: FORMAT_VERSION,
        task,
        classes,
        head,
        training,
        store_identity: store.identity(),
        store: store.manifest().clone(),
        environment: BTreeMap::from([("trainer".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

/// Every field in which two configurations would give other numbers; the environment may differ.
#[must_use]
pub fn differences(stored: &Config, wanted: &Config) -> Vec<FieldDifference> {
    let mut differences: Vec<_> = stored
        .store
        .differences(&wanted.store)
        .into_iter()
        .map(|difference| FieldDifference {
            field: format!("store.{}", difference.field),
            ..difference
        })
        .collect();
    let own = |config: &Config| serde_json::json!({ "task": config.task, "head": config.head, "training": config.training });
    compare("", &own(stored), &own(wanted), &mut differences);
    differences
}

/// `MODEL--DATASET--HEAD-SEED`, with the task where it is not the data set's own.
#[must_use]
pub fn default_name(config: &Config) -> String {
    let identity = &config.store;
    let task = if config.task == identity.dataset.task {
        String::new()
    } else {
        format!("--{}", config.task)
    };
    let name = format!(
        "{}--{}{task}--{}-{}",
        base_name(&identity.model.name()),
        base_name(&identity.dataset.id),
        config.head_name(),
        config.training.seed
    );
    name.replace(['/', '\\', ':', ',', ' '], "-")
}

/// A hub id without a leading path, slashes as `--`.
fn base_name(id: &str) -> String {
    id.trim_matches('/').replace('/', "--")
}

fn compare(field: &str, stored: &Value, wanted: &Value, differences: &mut Vec<FieldDifference>) {
    if let (Value::Object(stored), Value::Object(wanted)) = (stored, wanted) {
        for (key, stored) in stored {
            let name = if field.is_empty() {
                key.clone()
            } else {
                format!("{field}.{key}")
            };
            compare(
                &name,
                stored,
                wanted.get(key).unwrap_or(&Value::Null),
                differences,
            );
        }
    } else if stored != wanted {
        differences.push(FieldDifference {
            field: field.to_owned(),
            stored: stored.to_string(),
            wanted: wanted.to_string(),
        });
    }
}

/// What to do when a run's folder is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// Resume it.
    Resume,
    /// Remove it.
    Replace,
}

/// Whether a folder holds more than what a killed run left of its very first file.
fn is_occupied(folder: &Path) -> std::io::Result<bool> {
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(".config.json.") && name.ends_with(".tmp")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Claims the run, or the sweep, whose folder this is: no other process trains it before the claim is
/// dropped. The claim is a file beside the folder, so that it is held before anything in the folder
/// is looked at or removed.
///
/// # Errors
/// [`RunError::Busy`] when another process has it.
pub fn claim(folder: &Path) -> Result<Claim, RunError> {
    let (Some(runs), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(RunError::Foreign {
            folder: folder.to_owned(),
        });
    };
    fs_err::create_dir_all(runs)?;
    let name = format!(".{}", name.to_string_lossy());
    Claim::take(runs, &name).map_err(|error| match error {
        ClaimError::Io(error) => RunError::Io(error),
        ClaimError::Held(owner) => RunError::Busy {
            folder: folder.to_owned(),
            owner,
        },
    })
}

/// Makes the folder of a run, or prepares one that is there to be resumed.
///
/// # Errors
/// When it is there and `existing` does not allow for that, or has other settings.
pub fn prepare(folder: &Path, config: &Config, existing: Existing) -> Result<(), RunError> {
    let occupied = folder.is_dir() && is_occupied(folder)?;
    let is_run = folder.join(CONFIG).is_file();
    if occupied {
        match existing {
            Existing::Refuse => {
                return Err(RunError::Exists {
                    folder: folder.to_owned(),
                });
            }
            Existing::Resume | Existing::Replace if !is_run => {
                return Err(RunError::Foreign {
                    folder: folder.to_owned(),
                });
            }
            Existing::Replace => fs_err::remove_dir_all(folder)?,
            Existing::Resume => {
                let found = differences(&Config::load(folder)?, config);
                if !found.is_empty() {
                    return Err(RunError::Differs {
                        folder: folder.to_owned(),
                        differences: found,
                    });
                }
            }
        }
    }
    fs_err::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(config).map_err(std::io::Error::from)?;
    Ok(write_atomic(folder.join(CONFIG), json.as_bytes())?)
}
