//! From a path to a data set: which files, in which format, with words and labels in which columns,
//! for which task.

use std::path::{Path, PathBuf};

use super::columns::ColumnFile;
use super::delimited::Table;
use super::jsonl::JsonLines;
use super::label_text::LabelText;
use super::labelled_file::LabelledFile;
use super::offsets::SpanFile;
use super::parquet::{self, Classes};
use super::{Dataset, DatasetError, Format, Source, Split, discovery, holdout, interpret};
use crate::tasks::{Level, Task};

impl Source {
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
        let mut first: Option<(PathBuf, (String, String))> = None;
        let mut shape = (Level::Token, false);
        for (name, paths) in found.files {
            let mut split: Option<Split> = None;
            for path in paths {
                let file = self.open(&path)?;
                let got = file.columns();
                match &first {
                    Some((first, expected)) if *expected != got => {
                        return Err(disagree(&path, &got, first, expected));
                    }
                    Some(_) => {}
                    None => first = Some((path.clone(), got)),
                }
                shape = (file.level(), file.sets());
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
                match &mut split {
                    Some(split) => split.sentences.append(&sentences),
                    None => {
                        split = Some(Split {
                            name,
                            path,
                            sentences,
                        });
                    }
                }
            }
            splits.extend(split);
        }
        notes.extend(holdout::fill(&mut splits, self.seed));
        interpret::dataset(found.id, self, shape, splits, notes)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn LabelledFile>, DatasetError> {
        let by_ending = Format::by_ending(path).unwrap_or(Format::Columns);
        // Under the endings of column files people keep tables of texts too.
        if self.format.is_none()
            && by_ending == Format::Columns
            && let Some(table) = Table::recognise(path, self)?
        {
            return Ok(Box::new(table));
        }
        let labels_words = self.task.is_some_and(Task::labels_words);
        if self.format.is_none()
            && by_ending == Format::Columns
            && !labels_words
            && LabelText::recognise(path)?
        {
            return Ok(Box::new(LabelText::open(path, self)));
        }
        let format = self.format.unwrap_or(by_ending);
        Ok(match format {
            Format::Columns | Format::Conllu => Box::new(ColumnFile::open(path, format, self)?),
            Format::Jsonl => match SpanFile::recognise(path, self)? {
                Some(spans) => Box::new(spans),
                None => Box::new(JsonLines::open(path, self)?),
            },
            Format::Csv | Format::Tsv => Box::new(Table::open(path, format, self)?),
            Format::LabelText => Box::new(LabelText::open(path, self)),
            Format::Parquet => return Err(DatasetError::Mixed(path.to_owned())),
        })
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
