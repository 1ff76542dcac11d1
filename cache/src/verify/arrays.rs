//! Checking the small arrays and all metadata.

use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::tasks::{Level, Output, Task};

use super::{Problem, ProblemKind};
use crate::layout::column::{
    COLUMN_FILE, ColumnShape, LABEL_GROUPS, ROWS_FILE, SECOND_TEXT, TABLES,
};
use crate::layout::metadata::{self, ATTRIBUTE, ColumnMetadata};
use crate::write::labelling::Element;
use crate::{Manifest, SplitLayout, StoreError};

/// Checks metadata and small arrays of all splits.
pub(super) fn check(store: &Path, manifest: &Manifest) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for (&split, size) in &manifest.splits {
        let Some(layout) = SplitLayout::of(manifest, split) else {
            continue;
        };
        let folder = PathBuf::from(split.to_string());
        let expected = metadata::hidden_states(&layout)?;
        problems.extend(check_json(
            store,
            &folder.join("hidden_states/zarr.json"),
            &expected,
        )?);
        problems.extend(check_json(
            store,
            &folder.join("zarr.json"),
            &metadata::plain_group(),
        )?);
        let array = |name: &str, dimension, length| Array {
            store,
            path: folder.join(name),
            dimension,
            length,
            columns: None,
        };
        let word_bytes = last_value(
            &store.join(&folder).join("word_offsets").join(COLUMN_FILE),
            size.words,
        );
        problems.extend(array("offsets", "sequence_bounds", size.sequences + 1).check::<u64>()?);
        problems.extend(array("sentence_of", "sequences", size.sequences).check::<u32>()?);
        problems.extend(array("input_ids", "tokens", size.tokens).check::<u32>()?);
        problems.extend(array("word_ids", "tokens", size.tokens).check::<i32>()?);
        problems.extend(array("word_bytes", "bytes", word_bytes).check::<u8>()?);
        problems.extend(array("word_offsets", "word_bounds", size.words + 1).check::<u64>()?);
        problems
            .extend(array("sentence_words", "sentence_bounds", size.sentences + 1).check::<u64>()?);
        for name in label_folders(store, &layout)? {
            let zarr_json = store.join(&folder).join(&name).join("zarr.json");
            let attribute = metadata::read_attribute(&zarr_json).ok().flatten();
            let field = |field: &str| {
                let attribute = attribute.as_ref()?;
                Some(attribute[field].clone())
            };
            let level = field("level").and_then(|level| serde_json::from_value(level).ok());
            let (dimension, length) = match level {
                Some(Level::Sentence) => ("sentences", size.sentences),
                _ if name.starts_with(LABELS) => ("tokens", size.tokens),
                _ => ("words", size.words),
            };
            let labels = array(&name, dimension, length);
            problems.extend(match output(&name) {
                Output::Class => labels.check::<i32>()?,
                Output::Number => labels.check::<f32>()?,
                Output::Set => {
                    let classes =
                        field("classes").and_then(|classes| Some(classes.as_array()?.len()));
                    let columns = Some(("classes", classes.unwrap_or(0) as u64));
                    Array { columns, ..labels }.check::<u8>()?
                }
            });
        }
        if store.join(&folder).join(SECOND_TEXT).is_dir() {
            problems.extend(array(SECOND_TEXT, "sentences", size.sentences).check::<u32>()?);
        }
    }
    Ok(problems)
}

/// The files that small arrays and metadata of a split may have.
pub(super) fn known_files(store: &Path, layout: &SplitLayout) -> Result<Vec<PathBuf>, StoreError> {
    let folder = PathBuf::from(layout.split.to_string());
    let mut files: Vec<_> = ["zarr.json", "hidden_states/zarr.json"]
        .map(PathBuf::from)
        .into();
    files.extend(LABEL_GROUPS.map(|group| Path::new(group).join("zarr.json")));
    let second = store.join(&folder).join(SECOND_TEXT);
    let second = second.is_dir().then(|| SECOND_TEXT.to_owned());
    for array in TABLES
        .into_iter()
        .map(str::to_owned)
        .chain(second)
        .chain(label_folders(store, layout)?)
    {
        let data = match output(&array) {
            Output::Set => ROWS_FILE,
            Output::Class | Output::Number => COLUMN_FILE,
        };
        files.extend(["zarr.json", data].map(|file| Path::new(&array).join(file)));
    }
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

/// What the labels in a folder `labels/<task>` are; classes where the task is not known.
fn output(name: &str) -> Output {
    let task = name.rsplit('/').next().unwrap_or_default().to_owned();
    let task = serde_json::from_value::<Task>(Value::String(task));
    task.map_or(Output::Class, Task::output)
}

/// Where the labels of tokens are.
const LABELS: &str = "labels/";

/// `labels/<task>`, `word_labels/<task>` and `heads/<task>` for every task there is, relative to
/// the split.
fn label_folders(store: &Path, layout: &SplitLayout) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for group in LABEL_GROUPS {
        let folder = store.join(format!("{}/{group}", layout.split));
        if !folder.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(folder).map_err(StoreError::io)? {
            let entry = entry.map_err(StoreError::io)?;
            if entry.path().is_dir() {
                names.push(format!("{group}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The last of `words + 1` uint64 in a data file, 0 if it cannot be read (which its own check will say).
fn last_value(path: &Path, words: u64) -> u64 {
    let bytes = fs_err::read(path).unwrap_or_default();
    let start = usize::try_from(words * 8).unwrap_or(usize::MAX);
    let value = bytes
        .get(start..start.saturating_add(8))
        .and_then(|value| value.try_into().ok());
    value.map_or(0, u64::from_le_bytes)
}

/// A small array that is to be checked.
struct Array<'a> {
    store: &'a Path,
    path: PathBuf,
    dimension: &'a str,
    length: u64,
    /// Name and size of the second dimension, if there is one.
    columns: Option<(&'a str, u64)>,
}

impl Array<'_> {
    /// Length and checksum of the data file are those of the attribute, and the metadata is what this array's is.
    fn check<T: Element>(&self) -> Result<Option<Problem>, StoreError> {
        let zarr_json = self.path.join("zarr.json");
        let width = self.columns.map_or(1, |(_, size)| size);
        let shape = ColumnShape::of_rows(self.length, width, size_of::<T>());
        let name = self.columns.map_or(COLUMN_FILE, |_| ROWS_FILE);
        let data = self.path.join(name);
        let file = match fs_err::read(self.store.join(&data)) {
            Ok(file) => file,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && shape.file_bytes() > 0 =>
            {
                return Ok(Some(Problem::new(data, ProblemKind::Missing, "is missing")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::io(error)),
        };
        let attribute = match metadata::read_attribute(&self.store.join(&zarr_json)) {
            Ok(Some(attribute)) => attribute,
            Ok(None) => {
                return Ok(Some(Problem::new(
                    zarr_json,
                    ProblemKind::Missing,
                    "is missing or has no checksum",
                )));
            }
            Err(error @ StoreError::Io(_)) => return Err(error),
            Err(error) => {
                return Ok(Some(Problem::new(
                    zarr_json,
                    ProblemKind::Damaged,
                    error.to_string(),
                )));
            }
        };
        let found = crate::layout::shard::checksum_text(crc32c::crc32c(&file));
        if attribute["crc32c"] != found.as_str() || file.len() as u64 != shape.file_bytes() {
            let (bytes, expected) = (file.len(), shape.file_bytes());
            let detail = format!(
                "has {bytes} bytes with checksum {found}, expected {expected} with {}",
                attribute["crc32c"]
            );
            return Ok(Some(Problem::new(data, ProblemKind::Damaged, detail)));
        }
        let level = serde_json::from_value::<Level>(attribute["level"].clone()).ok();
        let classes: Vec<String> =
            serde_json::from_value(attribute["classes"].clone()).unwrap_or_default();
        let name = self.path.to_string_lossy();
        let expected = metadata::column(&ColumnMetadata {
            name: &name,
            dimension: self.dimension,
            columns: self.columns.map(|(name, _)| name),
            data_type: T::data_type(),
            shape,
            file: &file,
            labels: level.map(|level| (level, classes.as_slice())),
        })?;
        check_json(self.store, &zarr_json, &expected)
    }
}

/// Whether a metadata file says what it should, whatever its white space.
fn check_json(store: &Path, path: &Path, expected: &[u8]) -> Result<Option<Problem>, StoreError> {
    let problem = |kind, detail: String| Ok(Some(Problem::new(path, kind, detail)));
    let bytes = match fs_err::read(store.join(path)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return problem(ProblemKind::Missing, "is missing".to_owned());
        }
        Err(error) => return Err(StoreError::io(error)),
    };
    let expected: Value = serde_json::from_slice(expected).unwrap_or_default();
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(found) if found == expected => Ok(None),
        Ok(found) => {
            let differs = [
                "shape",
                "data_type",
                "chunk_grid",
                "chunk_key_encoding",
                "codecs",
                "dimension_names",
            ]
            .into_iter()
            .find(|field| found.get(field) != expected.get(field));
            let field = differs.map_or_else(|| format!("attributes.{ATTRIBUTE}"), str::to_owned);
            problem(
                ProblemKind::Damaged,
                format!("`{field}` is not what this store's is"),
            )
        }
        Err(error) => problem(ProblemKind::Damaged, format!("is no JSON: {error}")),
    }
}
