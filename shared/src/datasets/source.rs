//! From a path to a data set: which files, in which format, with words and labels in which columns,
//! for which task.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::delimited::Table;
use super::format::LabelledFile;
use super::parquet::{self, Classes};
use super::{
    Column, Dataset, DatasetError, Format, Split, SplitName, discovery, holdout, interpret,
};
use crate::tasks::schemes::Scheme;
use crate::tasks::{Level, Task};

/// Where a data set is and what the user said about it; what was not said is found out.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A folder with `train.*`, `validation.*` and `test.*` in it, or one file.
    pub path: PathBuf,
    /// Files by split, instead of looking for them in `path`.
    pub files: BTreeMap<SplitName, PathBuf>,
    /// The format of all files, instead of telling by the ending.
    pub format: Option<Format>,
    /// The task, instead of guessing it from the labels.
    pub task: Option<Task>,
    /// How spans are tagged, instead of finding it out from the tags.
    pub scheme: Option<Scheme>,
    /// The column or field of the words, or of the text.
    pub token_column: Option<Column>,
    /// The column or field of the labels.
    pub label_column: Option<Column>,
    /// Chooses the sentences that are taken from train where there is no validation split.
    pub seed: u64,
}

impl Source {
    /// A data set at `path`, everything else to be found out.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    /// Reads all splits.
    ///
    /// # Errors
    /// [`DatasetError`], for the first thing that cannot be right.
    pub fn load(&self) -> Result<Dataset, DatasetError> {
        // One split may be in several files of parquet, which declare their classes: nothing of
        // that is text.
        if let Some(files) = self.parquet()? {
            return parquet::load(&parquet::id(self), &files, self, &Classes::new());
        }
        let found = discovery::find(&self.path, &self.files)?;
        let mut splits: Vec<Split> = Vec::new();
        let mut notes = Vec::new();
        let mut columns = None;
        let mut level = Level::Token;
        for (name, path) in found.files {
            let file = self.open(&path)?;
            let got = file.columns();
            match (&columns, splits.first()) {
                (Some(expected), Some(first)) if *expected != got => {
                    return Err(disagree(&path, &got, &first.path, expected));
                }
                _ => columns = Some(got),
            }
            level = file.level();
            let mut told = Vec::new();
            let sentences = file.read(&mut told)?;
            if sentences.empty_words() > 0 {
                told.push(format!(
                    "{}: {} empty words are read as U+FFFD",
                    path.display(),
                    sentences.empty_words()
                ));
            }
            // What holds for all files is said once.
            told.retain(|note| !notes.contains(note));
            notes.append(&mut told);
            splits.push(Split {
                name,
                path,
                sentences,
            });
        }
        notes.extend(holdout::fill(&mut splits, self.seed));
        interpret::dataset(found.id, self, level, splits, notes)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn LabelledFile>, DatasetError> {
        let format = match self.format.or_else(|| Format::by_ending(path)) {
            // A `.tsv` may be either.
            Some(Format::Columns) if self.format.is_none() && Table::looks_like(path, self)? => {
                Format::Tsv
            }
            Some(format) => format,
            None => Format::Columns,
        };
        format.open(path, self)
    }

    /// The parquet files, if that is what the data set is in.
    fn parquet(&self) -> Result<Option<parquet::Files>, DatasetError> {
        Ok(match self.format {
            None => parquet::recognised(self)?,
            Some(Format::Parquet) => Some(parquet::named(self)?),
            Some(_) => None,
        })
    }
}

fn disagree(
    path: &Path,
    got: &(String, String),
    first: &Path,
    expected: &(String, String),
) -> DatasetError {
    let told = |(token, label): &(String, String)| format!("{token} and {label}");
    DatasetError::Disagree {
        path: path.to_path_buf(),
        got: told(got),
        first: first.to_path_buf(),
        expected: told(expected),
    }
}
