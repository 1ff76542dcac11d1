//! The index of a model in several files: `model.safetensors.index.json`, whose
//! `weight_map` says which file each tensor is in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::CheckpointError;

/// The weight files that an index names.
#[derive(Debug)]
pub struct Index {
    /// The files, ordered by name; all of them exist.
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct IndexFile {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index and checks that its files are there, in its own folder.
    ///
    /// # Errors
    /// When it cannot be read, is not an index, names no file, one that is missing, or one outside
    /// its folder.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let broken = |problem: String| CheckpointError::BrokenIndex {
            path: path.to_owned(),
            problem,
        };
        let text = fs_err::read(path)?;
        let index: IndexFile =
            serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        if names.is_empty() {
            return Err(broken("its weight_map is empty".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let files = names.into_iter().map(|file| {
            let inside = Path::new(&file)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside || file.is_empty() {
                return Err(CheckpointError::OutsideFolder {
                    path: path.to_owned(),
                    file,
                });
            }
            let full = folder.join(&file);
            if full.is_file() {
                Ok(full)
            } else {
                Err(CheckpointError::MissingFile {
                    path: path.to_owned(),
                    file,
                })
            }
        });
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
        })
    }
}
