//! What can go wrong with a store, in words that say what to do about it.

use std::fmt::{Display, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use shared::claim::{ClaimError, Owner};
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus};
use thiserror::Error;

use crate::{FORMAT_VERSION, FieldDifference};

/// An error of reading or writing a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed; the message names the path.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// There is no store at that place.
    #[error("{path}: no activation store ({reason}); `extractor` makes one", path = path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A store was to be read into memory that the job may not have.
    #[error(
        "{path}: its activations are {} and this job may have {} of memory; --io mmap reads them where they are, \
         --io read a sentence at a time", gigabytes(*bytes), gigabytes(*limit), path = path.display()
    )]
    Memory {
        /// The store.
        path: PathBuf,
        /// Bytes of its hidden states.
        bytes: u64,
        /// Bytes of memory that the job may have.
        limit: u64,
    },
    /// Something else is where the store should go.
    #[error("{path} is not an activation store and not empty; it is left alone: choose another --out", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A root holds several stores and nothing says which.
    #[error("{path} holds {count} stores that fit; give the path of one of them: {list}", path = path.display(), count = stores.len(), list = names(stores))]
    Ambiguous {
        /// The root.
        path: PathBuf,
        /// Stores that fit.
        stores: Vec<PathBuf>,
    },
    /// Written by a later version.
    #[error("{path} has format version {found}, this program reads up to {FORMAT_VERSION}: update the program", path = path.display())]
    NewerVersion {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A store for other activations is in the way.
    #[error("{path} holds other activations than wanted; choose another --out, or --overwrite to start anew{list}", path = path.display(), list = difference_list(differences))]
    Identity {
        /// The store.
        path: PathBuf,
        /// Every field that differs.
        differences: Vec<FieldDifference>,
    },
    /// The extraction has not come to its end.
    #[error("{path} is incomplete: {done} of {total} parts are done; run the same `extractor` command again to go on", path = path.display())]
    Incomplete {
        /// The store.
        path: PathBuf,
        /// Parts that are done.
        done: u64,
        /// Parts of the store.
        total: u64,
    },
    /// The manifest is not the one the store was finished with.
    #[error("{path}: the manifest in zarr.json was changed after the store was finished (identity {found}, expected {expected}); restore it or extract again with --overwrite", path = path.display())]
    EditedManifest {
        /// The store.
        path: PathBuf,
        /// Identity in `done.json`.
        expected: String,
        /// Identity of the manifest.
        found: String,
    },
    /// A file is damaged.
    #[error("{path}: {what}; `extractor verify --repair` and the same `extractor` command again re-make it", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it is damaged.
        what: String,
    },
    /// The tables given to the writer do not fit each other or the manifest.
    #[error("tables of split {split}: {what}")]
    Tables {
        /// The split.
        split: SplitName,
        /// What does not fit.
        what: String,
    },
    /// Somebody else is writing the part.
    #[error("part {part} is being written by {owner}; wait for it, or stop it")]
    Owned {
        /// Name of the part.
        part: String,
        /// Who writes it.
        owner: Box<Owner>,
    },
    /// Somebody is writing the store that was to be replaced, repaired or opened.
    #[error(
        "{path}: the store is being written by {owner}; wait for it or stop it, then run the same command again, \
         or write to another folder",
        path = path.display()
    )]
    Busy {
        /// The store.
        path: PathBuf,
        /// Who writes it.
        owner: Box<Owner>,
    },
    /// Somebody else finished the part in the meantime; there is nothing to do.
    #[error("part {part} is done already")]
    AlreadyDone {
        /// Name of the part.
        part: String,
    },
    /// Somebody else took the part over.
    #[error(
        "part {part} was taken over by another process, because this one looked dead (stopped or cut off for minutes?); run the same command again"
    )]
    OwnerLost {
        /// Name of the part.
        part: String,
    },
    /// Rows were given that the part cannot take, or too few.
    #[error("part {part}: {what}")]
    Rows {
        /// Name of the part.
        part: String,
        /// What is wrong.
        what: String,
    },
    /// A sequence that the split does not have.
    #[error("split {split} has {sequences} sequences, there is no sequence {sequence}")]
    NoSequence {
        /// The split.
        split: SplitName,
        /// What was asked for.
        sequence: usize,
        /// What there is.
        sequences: usize,
    },
    /// zarrs refused the metadata.
    #[error("{path}: {what}", path = path.display())]
    Metadata {
        /// The array.
        path: PathBuf,
        /// Its words.
        what: String,
    },
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

impl HasExitStatus for StoreError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(_) | Self::Damaged { .. } | Self::Memory { .. } | Self::OwnerLost { .. } => {
                ExitStatus::Machine
            }
            _ => ExitStatus::User,
        }
    }
}

impl StoreError {
    pub(crate) fn io(error: io::Error) -> Self {
        Self::Io(error)
    }

    /// Why a part cannot be claimed.
    pub(crate) fn of_part(part: &str, error: ClaimError) -> Self {
        match error {
            ClaimError::Io(error) => Self::Io(error),
            ClaimError::Held(owner) => Self::Owned {
                part: part.to_owned(),
                owner,
            },
        }
    }

    /// Why a whole store cannot be claimed.
    pub(crate) fn of_store(path: &Path, error: ClaimError) -> Self {
        match error {
            ClaimError::Io(error) => Self::Io(error),
            ClaimError::Held(owner) => Self::Busy {
                path: path.to_owned(),
                owner,
            },
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// Says of a damaged file what it was read for.
    pub(crate) fn needed_for(self, purpose: impl Display) -> Self {
        match self {
            Self::Damaged { path, what } => Self::Damaged {
                path,
                what: format!("{what} (read for {purpose})"),
            },
            other => other,
        }
    }

    pub(crate) fn no_store(path: &Path, reason: impl Into<String>) -> Self {
        Self::NoStore {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn too_large(path: &Path) -> Self {
        Self::damaged(path, "is larger than this machine's memory addresses")
    }

    /// A file must have exactly the length that the layout gives it.
    pub(crate) fn check_length(path: &Path, expected: u64, found: u64) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        Err(Self::damaged(
            path,
            format!("has {found} bytes, expected {expected}"),
        ))
    }
}

fn difference_list(differences: &[FieldDifference]) -> String {
    differences
        .iter()
        .fold(String::new(), |mut list, difference| {
            // Writing to a String cannot fail.
            let _ = write!(list, "\n  {difference}");
            list
        })
}

fn names(stores: &[PathBuf]) -> String {
    let names: Vec<_> = stores
        .iter()
        .filter_map(|store| store.file_name())
        .map(|name| name.to_string_lossy())
        .collect();
    names.join(", ")
}

/// A file that the layout promises and that is not there is damage, not an I/O error.
pub(crate) fn missing(path: &Path, error: std::io::Error) -> StoreError {
    if error.kind() == std::io::ErrorKind::NotFound {
        StoreError::damaged(path, "is missing")
    } else {
        StoreError::io(error)
    }
}

/// An I/O error with the path it is about.
pub(crate) fn named(path: &Path, error: impl Into<std::io::Error>) -> StoreError {
    let error = error.into();
    StoreError::io(std::io::Error::new(
        error.kind(),
        format!("{}: {error}", path.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_length_that_was_recorded_is_right() {
        let path = Path::new("train/hidden_states/c/0");
        assert!(StoreError::check_length(path, 7, 7).is_ok());
        for found in [6, 8] {
            let error = StoreError::check_length(path, 7, found).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }));
            assert!(
                error
                    .to_string()
                    .contains(&format!("has {found} bytes, expected 7"))
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_damage_and_one_that_may_not_be_read_is_not() {
        let path = Path::new("train/words.bin");
        let gone = missing(path, io::ErrorKind::NotFound.into());
        assert!(matches!(gone, StoreError::Damaged { .. }), "{gone}");
        let denied = missing(path, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, StoreError::Io(_)), "{denied}");
    }
}
