//! The file formats that are read, told apart by the ending of the name, and what every reader
//! offers.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::columns::ColumnFile;
use super::delimited::Table;
use super::jsonl::JsonLines;
use super::offsets::SpanFile;
use super::{DatasetError, Sentences, Source};
use crate::tasks::Level;

/// How the files of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One word a line with its labels in columns, sentences separated by empty lines.
    Columns,
    /// CoNLL-U, of Universal Dependencies.
    Conllu,
    /// One JSON object a line: tokens and tags, text and label, or text and spans.
    Jsonl,
    /// Texts and their labels, with a header, separated by commas.
    Csv,
    /// Likewise, separated by tabs.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

/// Endings of file names and the formats that they stand for.
const ENDINGS: [(&str, Format); 17] = [
    ("conll", Format::Columns),
    ("conll03", Format::Columns),
    ("iob", Format::Columns),
    ("iob1", Format::Columns),
    ("iob2", Format::Columns),
    ("bio", Format::Columns),
    ("bioes", Format::Columns),
    ("bilou", Format::Columns),
    ("ner", Format::Columns),
    ("txt", Format::Columns),
    ("tsv", Format::Columns),
    ("conllu", Format::Conllu),
    ("jsonl", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("json", Format::Jsonl),
    ("csv", Format::Csv),
    ("parquet", Format::Parquet),
];

impl Format {
    /// The format by the ending of a file's name, `.gz` aside. A `.tsv` may be a table or a column
    /// file: that is for its content to tell.
    pub(super) fn by_ending(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let (_, ending) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?;
        ENDINGS
            .iter()
            .find(|(known, _)| *known == ending)
            .map(|(_, format)| *format)
    }

    /// The endings of text files, to be shown.
    pub(super) fn endings() -> String {
        let endings: Vec<String> = ENDINGS
            .iter()
            .filter(|(_, format)| format.is_text())
            .map(|(ending, _)| format!(".{ending}"))
            .collect();
        endings.join(" ") + " (also with .gz)"
    }

    /// Whether files hold lines of text, one file a split.
    pub(super) fn is_text(self) -> bool {
        self != Self::Parquet
    }

    /// Finds the columns of a text file in this format.
    pub(super) fn open(
        self,
        path: &Path,
        source: &Source,
    ) -> Result<Box<dyn LabelledFile>, DatasetError> {
        Ok(match self {
            Self::Columns | Self::Conllu => Box::new(ColumnFile::open(path, self, source)?),
            Self::Jsonl => match SpanFile::recognise(path, source)? {
                Some(spans) => Box::new(spans),
                None => Box::new(JsonLines::open(path, source)?),
            },
            Self::Csv | Self::Tsv => Box::new(Table::open(path, self, source)?),
            Self::Parquet => return Err(DatasetError::Mixed(path.to_owned())),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Columns => "columns",
            Self::Conllu => "CoNLL-U",
            Self::Jsonl => "JSON lines",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Parquet => "parquet",
        })
    }
}

/// A file of one format, its columns found: what every format has to offer.
pub(super) trait LabelledFile {
    /// The columns or fields of words and labels, equal in all files of a data set.
    fn columns(&self) -> (String, String);
    /// What has a label: each word, or each text.
    fn level(&self) -> Level;
    /// Reads all sentences, one at least; adds to `notes` what was guessed or left out and may
    /// surprise.
    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError>;
}

/// A column, by its place or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// Counted from 0.
    Index(usize),
    /// As in the header, or the field's name; case does not matter.
    Name(String),
}

impl FromStr for Column {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Index))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(formatter, "{index}"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}
