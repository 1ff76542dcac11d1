//! The file formats that are read, told apart by the ending of the name, and how columns are named.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the files of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One word a line with its labels in columns, sentences separated by empty lines.
    Columns,
    /// CoNLL-U, of Universal Dependencies.
    Conllu,
    /// JSON objects, a line or an element of an array each: tokens and tags, text and label, or text
    /// and spans.
    Jsonl,
    /// Texts or words and their labels, separated by commas, semicolons, bars or tabs.
    Csv,
    /// Likewise, separated by tabs, quoted or not.
    Tsv,
    /// One text a line behind its label: `label text`, or fastText's `__label__x text`.
    #[serde(rename = "label-text")]
    LabelText,
    /// Apache Parquet.
    Parquet,
}

/// Endings of file names and the formats that they stand for.
const ENDINGS: [(&str, Format); 18] = [
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
    ("conllup", Format::Conllu),
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
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Columns => "columns",
            Self::Conllu => "CoNLL-U",
            Self::Jsonl => "JSON lines",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::LabelText => "label and text",
            Self::Parquet => "parquet",
        })
    }
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
