//! One file: its columns chosen, its row groups read one after the other into sentences.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::datasets::{Sentences, label_sets};
use crate::tasks::Level;
use parquet::basic::Compression;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::bytes::FileBytes;
use super::cells::{Cell, CellError, Cells};
use super::schema::{self, Choice, ColumnInfo, Kind, Wishes};
use super::{Classes, ParquetError, features};
use crate::guard::guarded;

/// The key of the metadata that Python's `datasets` writes.
const FEATURES_KEY: &str = "huggingface";
/// The number that stands for "no label" in sets whose test labels are secret.
const NO_LABEL: i64 = -1;
/// Values of one column of one row group; a data set of labelled text has far fewer.
const MOST_VALUES: i64 = 1 << 28;

/// How labels are named.
#[derive(Debug)]
pub(super) enum Labels {
    /// Numbers of these names.
    Declared(Vec<String>),
    /// As they stand in the file.
    AsWritten,
}

/// An open file.
pub(super) struct File<'a> {
    path: &'a Path,
    reader: SerializedFileReader<FileBytes>,
    classes: Classes,
    columns: Vec<ColumnInfo>,
}

impl Choice {
    /// What has a label: each word, or each text.
    pub(super) fn level(&self) -> Level {
        if self.tokens.kind == Kind::Text {
            Level::Sentence
        } else {
            Level::Token
        }
    }
}

impl<'a> File<'a> {
    /// Opens a file; `other_classes` are declared beside it.
    pub(super) fn open(path: &'a Path, other_classes: &Classes) -> Result<Self, ParquetError> {
        let damaged = |reason: String| ParquetError::File {
            path: path.to_owned(),
            reason,
        };
        let file = fs_err::File::open(path)?.into_file();
        let bytes = FileBytes::new(file).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(error.to_string()),
            _ => error.into(),
        })?;
        let reader = guarded(|| SerializedFileReader::new(bytes))
            .and_then(|reader| reader.map_err(|error| error.to_string()))
            .map_err(damaged)?;
        let metadata = reader.metadata().file_metadata();
        let features = metadata
            .key_value_metadata()
            .into_iter()
            .flatten()
            .find(|entry| entry.key == FEATURES_KEY);
        let mut classes = other_classes.clone();
        classes.extend(
            features
                .and_then(|entry| entry.value.as_deref())
                .map(features::from_metadata)
                .unwrap_or_default(),
        );
        let columns = schema::columns(metadata.schema_descr(), &classes);
        Ok(Self {
            path,
            reader,
            classes,
            columns,
        })
    }

    pub(super) fn choose(&self, wishes: Wishes<'_>) -> Result<Choice, ParquetError> {
        schema::choose(self.path, &self.columns, wishes)
    }

    /// Adds all rows to `sentences`; rows without a label are counted in `unlabelled` instead.
    pub(super) fn read(
        &self,
        choice: &Choice,
        sentences: &mut Sentences,
        unlabelled: &mut usize,
    ) -> Result<Labels, ParquetError> {
        let numbers = matches!(choice.labels.kind, Kind::Integer | Kind::Integers);
        let names = self.classes.get(&choice.labels.name).filter(|_| numbers);
        let mut rows = Rows {
            file: self.path,
            choice,
            names: names.map(Vec::as_slice),
            row: 0,
            sentences,
            unlabelled,
        };
        for group in 0..self.reader.num_row_groups() {
            let mut tokens = self.cells(group, &choice.tokens)?;
            let mut labels = self.cells(group, &choice.labels)?;
            loop {
                let words = next(&mut tokens)
                    .map_err(|error| self.at(group, &choice.tokens, rows.row, error))?;
                let tags = next(&mut labels)
                    .map_err(|error| self.at(group, &choice.labels, rows.row, error))?;
                if words.len() != tags.len() {
                    let reason = format!(
                        "{} rows, but {} in the other column",
                        tags.len(),
                        words.len()
                    );
                    return Err(self.at(group, &choice.labels, rows.row, CellError::Pages(reason)));
                }
                if words.is_empty() {
                    break;
                }
                words
                    .into_iter()
                    .zip(tags)
                    .try_for_each(|(words, tags)| rows.add(words, tags))?;
            }
        }
        Ok(names.map_or(Labels::AsWritten, |names| Labels::Declared(names.clone())))
    }

    fn cells(&self, group: usize, column: &ColumnInfo) -> Result<Cells, ParquetError> {
        let metadata = self.reader.metadata();
        self.check_size(metadata.row_group(group), group, column)?;
        let reader = guarded(|| {
            self.reader
                .get_row_group(group)
                .and_then(|reader| reader.get_column_reader(column.leaf))
        });
        reader
            .map_err(CellError::Pages)
            .and_then(|reader| {
                Cells::new(
                    reader?,
                    &metadata.file_metadata().schema_descr().column(column.leaf),
                )
            })
            .map_err(|error| self.at(group, column, 0, error))
    }

    /// What the footer says is looked at before memory is taken for it.
    fn check_size(
        &self,
        metadata: &RowGroupMetaData,
        group: usize,
        column: &ColumnInfo,
    ) -> Result<(), ParquetError> {
        let part = metadata.column(column.leaf);
        let (values, bytes) = (part.num_values(), part.uncompressed_size());
        if !(0..=MOST_VALUES).contains(&values) || bytes < 0 || part.compressed_size() < 0 {
            let reason = format!("its footer says {values} values in {bytes} bytes");
            return Err(self.at(group, column, 0, CellError::Pages(reason)));
        }
        if matches!(
            part.compression(),
            Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 | Compression::LZ4_RAW
        ) {
            let codec = part.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default().to_lowercase();
            return Err(ParquetError::Codec {
                path: self.path.to_owned(),
                group,
                column: column.name.clone(),
                codec,
            });
        }
        // Pages, their values and our copy of them.
        let needed = bytes.unsigned_abs().saturating_mul(3);
        let limit = crate::resources::memory_available().unwrap_or(u64::MAX);
        if needed <= limit {
            return Ok(());
        }
        Err(ParquetError::TooLarge {
            path: self.path.to_owned(),
            group,
            column: column.name.clone(),
            needed,
            limit,
        })
    }

    fn at(
        &self,
        group: usize,
        column: &ColumnInfo,
        first_row: usize,
        error: CellError,
    ) -> ParquetError {
        let (path, column) = (self.path.to_owned(), column.name.clone());
        match error {
            CellError::Pages(reason) => ParquetError::Part {
                path,
                group,
                column,
                reason,
            },
            CellError::Row(row, reason) => ParquetError::Row {
                path,
                row: first_row + row,
                column,
                reason: reason.to_owned(),
            },
        }
    }
}

fn next(cells: &mut Cells) -> Result<Vec<Cell>, CellError> {
    guarded(|| cells.next()).map_err(CellError::Pages)?
}

/// Rows becoming sentences.
struct Rows<'a> {
    file: &'a Path,
    choice: &'a Choice,
    /// Class names, where labels are numbers of them.
    names: Option<&'a [String]>,
    /// The number of the next row.
    row: usize,
    sentences: &'a mut Sentences,
    unlabelled: &'a mut usize,
}

impl Rows<'_> {
    fn add(&mut self, words: Cell, labels: Cell) -> Result<(), ParquetError> {
        let row = self.row;
        self.row += 1;
        let (tokens, tags) = (&self.choice.tokens, &self.choice.labels);
        let Cell::Texts(words) = words else {
            return Ok(());
        };
        let words: Vec<&str> = match tokens.kind {
            Kind::Text => words
                .iter()
                .flat_map(|text| text.split_whitespace())
                .collect(),
            _ => words.iter().map(String::as_str).collect(),
        };
        let sets = self.choice.sets;
        // No label at all is an answer where there may be any number.
        let is_missing = is_unlabelled(&labels) && !(sets && is_empty(&labels));
        if is_missing && (tokens.kind == Kind::Text || !words.is_empty()) {
            *self.unlabelled += 1;
            return Ok(());
        }
        let labels = match labels {
            Cell::Texts(labels) => labels,
            Cell::Numbers(numbers) => numbers
                .into_iter()
                .map(|number| self.name(number).ok_or(number))
                .collect::<Result<_, _>>()
                .map_err(|number| {
                    let classes = self.names.map_or(0, <[String]>::len);
                    self.error(
                        row,
                        tags,
                        format!(
                            "the label {number} is none of the {classes} classes declared, 0 to {}",
                            classes.saturating_sub(1)
                        ),
                    )
                })?,
        };
        let labels = match tags.kind {
            Kind::Text if sets => labels
                .iter()
                .flat_map(|cell| label_sets::of_cell(cell))
                .collect(),
            _ => labels,
        };
        let expected = if sets {
            labels.len()
        } else if tokens.kind == Kind::Text {
            1
        } else {
            words.len()
        };
        if labels.len() != expected {
            return Err(self.error(
                row,
                tags,
                format!(
                    "{} labels for {expected} words: one a word is needed",
                    labels.len()
                ),
            ));
        }
        if let Some(position) = words.iter().position(|word| word.is_empty()) {
            return Err(self.error(row, tokens, format!("word {position} is empty")));
        }
        if words.is_empty() && tokens.kind == Kind::Text {
            return Err(self.error(row, tokens, "the text has no word in it".to_owned()));
        }
        let mut once = BTreeSet::new();
        let labels: Vec<&String> = labels
            .iter()
            .filter(|label| !sets || once.insert(label.as_str()))
            .collect();
        if sets && labels.iter().any(|label| label.trim().is_empty()) {
            return Err(self.error(row, tags, "a label of the text is empty".to_owned()));
        }
        // Empty lists, which some sets have, make no sentence.
        self.sentences.push(&words, &labels, row + 1);
        Ok(())
    }

    fn name(&self, number: i64) -> Option<String> {
        match self.names {
            Some(names) => names.get(usize::try_from(number).ok()?).cloned(),
            None => Some(number.to_string()),
        }
    }

    fn error(&self, row: usize, column: &ColumnInfo, reason: String) -> ParquetError {
        ParquetError::Row {
            path: PathBuf::from(self.file),
            row,
            column: column.name.clone(),
            reason,
        }
    }
}

/// No label at all.
fn is_empty(labels: &Cell) -> bool {
    match labels {
        Cell::Texts(labels) => labels.is_empty(),
        Cell::Numbers(numbers) => numbers.is_empty(),
    }
}

/// No label at all, or only the number that says so.
fn is_unlabelled(labels: &Cell) -> bool {
    match labels {
        Cell::Texts(labels) => labels.is_empty(),
        Cell::Numbers(numbers) => numbers.iter().all(|number| *number == NO_LABEL),
    }
}
