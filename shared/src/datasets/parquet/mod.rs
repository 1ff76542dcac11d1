//! Data sets in parquet, as the hub serves them and as people keep them: a list of words and a list
//! of tags a row, or a text and a label. The columns are found by their types, the names of classes
//! in the metadata that Python's `datasets` writes ([`features`]). Read with the `parquet` crate
//! without arrow: two columns, value by value, need no more, and it compiles in half the time. A
//! file says how large its parts are; that is checked against the memory there is before any of it
//! is taken.

mod bytes;
mod cells;
mod error;
pub mod features;
mod header;
mod read;
mod schema;
pub mod splits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Dataset, DatasetError, Sentences, Source, Split, SplitName};
use crate::tasks::Level;

pub use error::ParquetError;
pub use features::Classes;
pub use splits::is_parquet;

use read::{File, Labels};
use schema::Wishes;

/// Files by split; a split may be in several, in order.
pub type Files = BTreeMap<SplitName, Vec<PathBuf>>;

/// The parquet files at `path`, one file or a folder, by split; none when there is no parquet.
///
/// # Errors
/// When the folder cannot be read, or holds parquet files of which none is named like a split.
pub fn find(path: &Path) -> Result<Option<Files>, ParquetError> {
    if path.is_file() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let split = splits::place(name)
            .and_then(|place| splits::usual(&place.split))
            .unwrap_or(SplitName::Train);
        return Ok(is_parquet(path).then(|| Files::from([(split, vec![path.to_owned()])])));
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let mut files = Files::new();
    let mut names = Vec::new();
    for folder in [path.to_owned(), path.join("data")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_file() && is_parquet(&path) {
                names.push(path);
            }
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    names.sort();
    for file in names {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(split) = splits::place(name).and_then(|place| splits::usual(&place.split)) {
            files.entry(split).or_default().push(file);
        }
    }
    if files.is_empty() {
        Err(ParquetError::NoSplits {
            folder: path.to_owned(),
        })
    } else {
        Ok(Some(files))
    }
}

/// The parquet files of `source`, which is read as parquet whatever its files are called.
///
/// # Errors
/// As [`find`], and when there is no parquet.
pub(super) fn named(source: &Source) -> Result<Files, ParquetError> {
    if !source.files.is_empty() {
        return Ok(by_split(source));
    }
    if source.path.is_file() {
        return Ok(Files::from([(SplitName::Train, vec![source.path.clone()])]));
    }
    find(&source.path)?.ok_or_else(|| ParquetError::NoSplits {
        folder: source.path.clone(),
    })
}

/// The parquet files of `source`, if all its files are called so.
///
/// # Errors
/// As [`find`].
pub(super) fn recognised(source: &Source) -> Result<Option<Files>, ParquetError> {
    if source.files.is_empty() {
        return find(&source.path);
    }
    let all = source.files.values().all(|path| is_parquet(path));
    Ok(all.then(|| by_split(source)))
}

/// The files that `source` names.
fn by_split(source: &Source) -> Files {
    let one = |(split, path): (&SplitName, &PathBuf)| (*split, vec![path.clone()]);
    source.files.iter().map(one).collect()
}

/// What a data set on disk is called: as its path says, else as the folder of its first file.
pub(super) fn id(source: &Source) -> String {
    let named = source.files.values().next().and_then(|path| path.parent());
    match named {
        Some(folder) if source.path.as_os_str().is_empty() => local_id(folder),
        _ => local_id(&source.path),
    }
}

/// A folder's name; a file's without its ending.
fn local_id(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if whole.is_dir() {
        whole.file_name()
    } else {
        whole.file_stem()
    };
    name.map_or_else(
        || "data".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Reads a data set called `id` from `files`. What `source` says of task and columns holds, its
/// path does not matter; `classes` are the names that something beside the files declares, for
/// files that declare none.
///
/// # Errors
/// [`DatasetError::Parquet`], naming the file, and the row group, the row and the column where
/// there is one; other errors where the labels do not fit the task.
pub fn load(
    id: &str,
    files: &Files,
    source: &Source,
    classes: &Classes,
) -> Result<Dataset, DatasetError> {
    let Contents {
        splits,
        shape,
        declared,
        notes,
    } = read(files, source, classes)?;
    if splits.is_empty() {
        let path = files.values().flatten().next();
        return Err(DatasetError::Empty {
            path: path.cloned().unwrap_or_default(),
            what: "no row, or none with a label",
        });
    }
    let notes = notes.into_iter().collect();
    Dataset::from_splits(id, source, shape, declared, splits, notes)
}

/// What a data set's files hold.
struct Contents {
    splits: Vec<Split>,
    /// What has a label, and whether that is a list of labels of a text.
    shape: (Level, bool),
    /// The names of the classes, if the files or something beside them declare them.
    declared: Option<Vec<String>>,
    notes: BTreeSet<String>,
}

fn read(files: &Files, source: &Source, classes: &Classes) -> Result<Contents, ParquetError> {
    let wishes = Wishes {
        task: source.task,
        token: source.token_column.as_ref(),
        label: source.label_column.as_ref(),
    };
    let mut notes = BTreeSet::new();
    let mut splits = Vec::new();
    let mut shape = (Level::Token, false);
    let mut declared: Option<Vec<String>> = None;
    for (name, paths) in files {
        let mut sentences = Sentences::default();
        let mut unlabelled = 0;
        for path in paths {
            let file = File::open(path, classes)?;
            let choice = file.choose(wishes)?;
            shape = (choice.level(), choice.sets);
            notes.insert(choice.note.clone());
            match file.read(&choice, &mut sentences, &mut unlabelled)? {
                Labels::Declared(names) => declared = Some(names),
                Labels::AsWritten => {}
            }
        }
        let path = paths.first().cloned().unwrap_or_default();
        if unlabelled > 0 {
            notes.insert(if sentences.is_empty() {
                format!("{name} is left out: its {unlabelled} rows have no labels")
            } else {
                format!("{unlabelled} rows of {name} without a label are left out")
            });
        }
        if !sentences.is_empty() {
            splits.push(Split {
                name: *name,
                path,
                sentences,
            });
        }
    }
    Ok(Contents {
        splits,
        shape,
        declared,
        notes,
    })
}
