//! The folder of a run, as both programs know it: the names of its files, and its configuration,
//! which the trainer writes and both read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{HeadOptions, HeadOptionsError, Subword, Threshold};
use crate::exit::{ExitStatus, HasExitStatus};
use crate::tasks::{Decoding, Loss, Output, Task};

/// The file of the configuration.
pub const CONFIG: &str = "config.json";

/// The file of the parameters of the best epoch.
pub const WEIGHTS: &str = "adapter.safetensors";

/// The file of thresholds that were tuned: an object of probabilities by class.
pub const THRESHOLDS: &str = "thresholds.json";

/// Version of [`CONFIG`] that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;

/// The configuration of a run: all that its numbers depend on, and a few things worth knowing.
/// `Store` is the manifest of the store that it was trained on, `Settings` are those of its
/// training; a program that needs none reads [`serde::de::IgnoredAny`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config<Store, Settings> {
    /// Version of this file's format.
    pub format_version: u32,
    /// Labels that are learned.
    pub task: Task,
    /// Names of the classes, by number; none where a number is learned.
    pub classes: Vec<String>,
    /// The head.
    pub head: HeadOptions,
    /// How it is trained.
    pub training: Settings,
    /// SHA-256 of the store's manifest.
    pub store_identity: String,
    /// What the store holds.
    pub store: Store,
    /// Versions and device; a run may go on with other ones.
    pub environment: BTreeMap<String, String>,
}

/// A folder that cannot be used as that of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// A file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// There is no run, or one that has not come far enough.
    #[error(
        "{} is not a finished run: it has no {file}; give the folder that `trainer` printed at its end",
        .folder.display()
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// The configuration cannot be understood.
    #[error(
        "{}: {why}; it was damaged or written by another version: train the head again, with --overwrite",
        .path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl HasExitStatus for RunFolderError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => error.exit_status(),
            Self::Missing { .. } | Self::Broken { .. } => ExitStatus::User,
        }
    }
}

/// The path of a file of the run in `folder`.
///
/// # Errors
/// [`RunFolderError::Missing`] when it is not there.
pub fn file(folder: &Path, file: &'static str) -> Result<PathBuf, RunFolderError> {
    let path = folder.join(file);
    if path.is_file() {
        return Ok(path);
    }
    Err(RunFolderError::Missing {
        folder: folder.to_owned(),
        file,
    })
}

impl<Store: DeserializeOwned, Settings: DeserializeOwned> Config<Store, Settings> {
    /// Reads the configuration of the run in `folder`.
    ///
    /// # Errors
    /// When there is none, when a newer version wrote it, or when it cannot be understood: names of
    /// another number of classes than the head has, or a head that cannot be built.
    pub fn load(folder: &Path) -> Result<Self, RunFolderError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let path = file(folder, CONFIG)?;
        let bytes = fs_err::read(&path)?;
        let broken = |why: String| RunFolderError::Broken { path, why };
        let found = match serde_json::from_slice(&bytes) {
            Ok(Version { format_version }) => format_version,
            Err(error) => return Err(broken(error.to_string())),
        };
        if found > FORMAT_VERSION {
            return Err(broken(format!(
                "it has format version {found}, this program reads up to {FORMAT_VERSION}"
            )));
        }
        let config: Self = match serde_json::from_slice(&bytes) {
            Ok(config) => config,
            Err(error) => return Err(broken(error.to_string())),
        };
        let (names, classes) = (config.classes.len(), config.head.classes);
        if config.head.output.width(names) != classes {
            return Err(broken(format!("{names} names for {classes} classes")));
        }
        match config.check_head() {
            Ok(()) => Ok(config),
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

impl<Store, Settings> Config<Store, Settings> {
    /// Says what head cannot be built for the task.
    ///
    /// # Errors
    /// Those of [`HeadOptions::check`] and [`HeadOptions::layers_read`], and predictions that the
    /// task does not choose so.
    pub fn check_head(&self) -> Result<(), HeadOptionsError> {
        self.head.check()?;
        self.head.layers_read()?;
        if self.head.subword != Subword::First && !self.task.labels_words() {
            return Err(HeadOptionsError::Subword {
                got: self.head.subword,
                task: self.task,
            });
        }
        if self.task.has_heads() != self.head.parser.is_some() {
            return Err(HeadOptionsError::Size(format!(
                "a head for --task {} {} the sizes of a parser (`parser`)",
                self.task,
                if self.task.has_heads() {
                    "needs"
                } else {
                    "does not have"
                }
            )));
        }
        if !self.head.threshold.is_usual() && self.head.output != Output::Set {
            return Err(HeadOptionsError::Threshold {
                got: self.head.threshold.to_string(),
                task: self.task,
            });
        }
        if self.task.has_decoding(self.head.decode) {
            return Ok(());
        }
        Err(HeadOptionsError::Decoding {
            got: self.head.decode,
            task: self.task,
            expected: self.task.description().decodings,
        })
    }

    /// The thresholds `[classes]` of the run in `folder`, where any number of classes may be right.
    ///
    /// # Errors
    /// When they were tuned and their file is missing, or says something else.
    pub fn thresholds(&self, folder: &Path) -> Result<Vec<f64>, RunFolderError> {
        if let Threshold::Fixed(all) = self.head.threshold {
            return Ok(vec![all; self.classes.len()]);
        }
        let path = file(folder, THRESHOLDS)?;
        let found: BTreeMap<String, f64> =
            serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| {
                RunFolderError::Broken {
                    path: path.clone(),
                    why: error.to_string(),
                }
            })?;
        let threshold = |class: &String| {
            found
                .get(class)
                .copied()
                .ok_or_else(|| RunFolderError::Broken {
                    path: path.clone(),
                    why: format!("it has no threshold for the class {class}"),
                })
        };
        self.classes.iter().map(threshold).collect()
    }

    /// What its training minimises.
    #[must_use]
    pub fn loss(&self) -> Loss {
        match self.head.decode {
            Decoding::Argmax | Decoding::Viterbi => self.task.description().loss,
            Decoding::Crf => Loss::SentenceLikelihood,
        }
    }

    /// The kind of head, what was left out of it, which vector a word has and how predictions are
    /// chosen, if not as usual.
    #[must_use]
    pub fn head_name(&self) -> String {
        let decode = if self.head.decode == Decoding::default() {
            String::new()
        } else {
            format!("-{}", self.head.decode)
        };
        let subword = if self.head.subword == Subword::default() {
            String::new()
        } else {
            format!("-{}-subword", self.head.subword)
        };
        format!(
            "{}{}{subword}{decode}",
            self.head.kind,
            self.head.adapter.left_out()
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;
    use crate::heads::HeadKind;

    fn load(change: impl FnOnce(&mut serde_json::Value)) -> Result<(), String> {
        let config = Config {
            format_version: FORMAT_VERSION,
            task: Task::Pos,
            classes: vec!["DET".to_owned(), "NOUN".to_owned()],
            head: HeadOptions::new(HeadKind::Layer(1), vec![0, 1], 4, 2),
            training: 3,
            store_identity: "0".to_owned(),
            store: "store",
            environment: BTreeMap::new(),
        };
        let mut json = serde_json::to_value(&config).unwrap();
        change(&mut json);
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(CONFIG), json.to_string()).unwrap();
        let loaded = Config::<String, IgnoredAny>::load(folder.path());
        loaded.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        assert_eq!(load(|_| {}), Ok(()));
        let told = load(|json| json["format_version"] = 9.into()).unwrap_err();
        assert!(told.contains("format version 9") && told.contains("--overwrite"));
        let told = load(|json| json["classes"] = vec!["DET"].into()).unwrap_err();
        assert!(told.contains("1 names for 2 classes"), "{told}");
        let told = load(|json| json["head"]["kind"] = "layer:7".into()).unwrap_err();
        assert!(told.contains("layer 7"), "{told}");
        let told = load(|json| json["head"]["decode"] = "viterbi".into()).unwrap_err();
        assert!(
            told.contains("--task pos") && told.contains("argmax"),
            "{told}"
        );
        let told = load(|json| json["head"]["threshold"] = "tuned".into()).unwrap_err();
        assert!(
            told.contains("--threshold tuned") && told.contains("--task pos"),
            "{told}"
        );
        let told = load(|json| json["store"] = 7.into()).unwrap_err();
        assert!(told.contains("config.json: invalid type"), "{told}");
        let error = file(Path::new("nowhere"), WEIGHTS).unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::User);
        assert!(error.to_string().contains("adapter.safetensors"));
    }
}
