//! The folder of a run, as far as both programs know it: the names of its files, and how its
//! configuration is opened.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The configuration of a run.
pub const CONFIG: &str = "config.json";

/// The parameters of the best epoch.
pub const WEIGHTS: &str = "adapter.safetensors";

/// Version of [`CONFIG`] that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// There is none.
    #[error("{} is not a run: it has no {CONFIG}", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// It cannot be understood.
    #[error("{}: {why}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Reads those fields of the configuration in `folder` that `C` names.
///
/// # Errors
/// When there is none, or it cannot be understood, or a newer version wrote it.
pub fn read<C: DeserializeOwned>(folder: &Path) -> Result<C, ConfigError> {
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
    }
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Err(ConfigError::Missing {
            folder: folder.to_owned(),
        });
    }
    let bytes = fs_err::read(&path)?;
    let broken = |why: String| ConfigError::Broken { path, why };
    let found = match serde_json::from_slice(&bytes) {
        Ok(Version { format_version }) => format_version,
        Err(error) => return Err(broken(error.to_string())),
    };
    if found > FORMAT_VERSION {
        return Err(broken(format!(
            "it has format version {found}, this program reads up to {FORMAT_VERSION}"
        )));
    }
    serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))
}
