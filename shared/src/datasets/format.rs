//! The file formats that are read, told apart by the ending of the name.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One word a line with its labels in columns, sentences separated by empty lines.
    Columns,
    /// CoNLL-U: ten columns (<https://universaldependencies.org/format.html>).
    Conllu,
    /// One JSON object a line: `tokens` and `tags`, or `text` and `label`.
    Jsonl,
    /// A table with a header, separated by commas: a text and its label a row (RFC 4180).
    Csv,
    /// A table with a header, separated by tabs, without quoting.
    Tsv,
}

/// Endings of file names and the formats that they stand for.
const ENDINGS: [(&str, Format); 16] = [
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
];

impl Format {
    /// The format by the ending of a file's name, `.gz` aside. A `.tsv` may be a table or a column file: that
    /// is for its content to tell.
    pub(super) fn by_ending(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let (_, ending) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?;
        ENDINGS
            .iter()
            .find(|(known, _)| *known == ending)
            .map(|(_, format)| *format)
    }

    /// All endings, to be shown.
    pub(super) fn endings() -> String {
        let endings: Vec<String> = ENDINGS
            .iter()
            .map(|(ending, _)| format!(".{ending}"))
            .collect();
        endings.join(" ") + " (also with .gz)"
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
        })
    }
}
