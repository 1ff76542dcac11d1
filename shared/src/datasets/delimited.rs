//! Tables with a header and one text a row: CSV, whose quoted fields may hold commas and line ends
//! (RFC 4180), and TSV, which knows no quoting (IANA `text/tab-separated-values`).

use std::path::{Path, PathBuf};

use super::labelled_file::LabelledFile;
use super::lines::{Line, Lines};
use super::{Column, DatasetError, Format, LineError, Sentences, Source, lists};
use crate::tasks::{Level, Task};

/// What headers and JSON objects call the text and its label.
pub(super) const TEXT_NAMES: [&str; 8] = [
    "text",
    "sentence",
    "utterance",
    "content",
    "review",
    "tweet",
    "question",
    "query",
];
pub(super) const LABEL_NAMES: [&str; 8] = [
    "label",
    "category",
    "intent",
    "class",
    "labels",
    "target",
    "sentiment",
    "topic",
];

/// What headers call cells that hold the list of a text's words, or of their labels.
const WORD_LISTS: [&str; 2] = ["tokens", "words"];
const LABEL_LISTS: [&str; 6] = ["ner_tags", "tags", "ner", "pos_tags", "upos", "pos"];
/// So many rows tell whether labels are lists.
const SAMPLE: usize = 500;

/// The longest record, with all its lines.
const LONGEST: usize = 64 << 20;

/// A table whose columns are known.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    format: Format,
    /// The names in the header.
    names: Vec<String>,
    text: usize,
    label: usize,
    /// Whether a label cell holds a label for every word of the text.
    lists: bool,
}

impl Table {
    /// Whether a `.tsv` is a table of texts, not a column file: its first line names a text and a
    /// label.
    pub(super) fn looks_like(path: &Path, source: &Source) -> Result<bool, DatasetError> {
        let name = path.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_tsv = Path::new(name)
            .extension()
            .is_some_and(|ending| ending == "tsv");
        if !is_tsv {
            return Ok(false);
        }
        let mut lines = Lines::open(path)?;
        let Some(header) = lines.next()? else {
            return Ok(false);
        };
        let names: Vec<String> = header
            .text
            .split('\t')
            .map(|name| name.trim().to_owned())
            .collect();
        let label = position(&names, source.label_column.as_ref(), &LABEL_NAMES);
        let texts = position(&names, source.token_column.as_ref(), &TEXT_NAMES).is_some();
        let labelled = label.is_some();
        if source.task.is_some_and(Task::labels_words) {
            // Labels of words are in a table only as lists.
            let row = lines.next()?;
            let cell = row.and_then(|row| row.text.split('\t').nth(label?));
            return Ok(texts && cell.and_then(lists::bracketed).is_some());
        }
        // A task that labels words was ruled out above.
        Ok(source.task.is_some() || (labelled && texts))
    }

    pub(super) fn open(path: &Path, format: Format, source: &Source) -> Result<Self, DatasetError> {
        let mut records = Records {
            lines: Lines::open(path)?,
            format,
        };
        let Some((line, names)) = records.next()? else {
            return Err(records
                .lines
                .filled(Sentences::default())
                .err()
                .unwrap_or(DatasetError::NotFound(path.to_path_buf())));
        };
        let names: Vec<String> = names
            .into_iter()
            .map(|name| name.trim().to_owned())
            .collect();
        let find = |what: &'static str, column: Option<&Column>, known: &[&str]| {
            position(&names, column, known).ok_or_else(|| match column {
                Some(column) => {
                    let (column, available) = (column.to_string(), names.join(", "));
                    DatasetError::NoColumn {
                        path: path.to_path_buf(),
                        line,
                        what,
                        column,
                        available,
                    }
                }
                None => records.lines.error_at(
                    line,
                    LineError::Fields {
                        expected: format!(
                            "a header that names the text ({}) and its label ({})",
                            TEXT_NAMES.join(", "),
                            LABEL_NAMES.join(", ")
                        ),
                        got: names.join(", "),
                    },
                ),
            })
        };
        let text_names = [TEXT_NAMES.as_slice(), &WORD_LISTS].concat();
        let label_names = [LABEL_NAMES.as_slice(), &LABEL_LISTS].concat();
        let text = find("token", source.token_column.as_ref(), &text_names)?;
        let label = find("label", source.label_column.as_ref(), &label_names)?;
        let mut table = Self {
            path: path.to_path_buf(),
            format,
            text,
            label,
            names,
            lists: false,
        };
        table.lists = table.hold_lists(&mut records, source.task)?;
        Ok(table)
    }

    /// Whether label cells are lists, by the first rows.
    fn hold_lists(&self, records: &mut Records, task: Option<Task>) -> Result<bool, DatasetError> {
        let mut rows = Vec::new();
        while rows.len() < SAMPLE
            && let Some((_, mut fields)) = records.next()?
        {
            // Other rows are errors when the file is read.
            if fields.len() == self.names.len() {
                let label = std::mem::take(&mut fields[self.label]);
                let text = std::mem::take(&mut fields[self.text]);
                rows.push((text, label));
            }
        }
        let rows = rows
            .iter()
            .map(|(text, label)| (text.as_str(), label.as_str()));
        Ok(lists::hold_lists(rows, task))
    }
}

/// The column that the user named, else the first with a usual name.
fn position(names: &[String], column: Option<&Column>, known: &[&str]) -> Option<usize> {
    let find = |wanted: &str| {
        names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(wanted))
    };
    match column {
        Some(Column::Index(index)) => (*index < names.len()).then_some(*index),
        Some(Column::Name(name)) => find(name),
        None => known.iter().find_map(|known| find(known)),
    }
}

impl LabelledFile for Table {
    fn columns(&self) -> (String, String) {
        (
            self.names[self.text].clone(),
            self.names[self.label].clone(),
        )
    }

    fn level(&self) -> Level {
        if self.lists {
            Level::Token
        } else {
            Level::Sentence
        }
    }

    fn read(&self, _notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut records = Records {
            lines: Lines::open(&self.path)?,
            format: self.format,
        };
        let mut sentences = Sentences::default();
        records.next()?;
        while let Some((line, fields)) = records.next()? {
            let error = |cause| records.lines.error_at(line, cause);
            if fields.len() != self.names.len() {
                let separator = if self.format == Format::Csv {
                    "commas"
                } else {
                    "tabs"
                };
                return Err(error(LineError::Columns {
                    expected: self.names.len(),
                    got: fields.len(),
                    separator,
                }));
            }
            let add = if self.lists { lists::add } else { add_text };
            let (text, label) = (&fields[self.text], fields[self.label].trim());
            add(&mut sentences, text, label, self.label, line).map_err(error)?;
        }
        records.lines.filled(sentences)
    }
}

/// Adds a text, cut into words at white space, with its label, which stands in `column`.
pub(super) fn add_text(
    sentences: &mut Sentences,
    text: &str,
    label: &str,
    column: usize,
    line: usize,
) -> Result<(), LineError> {
    if label.is_empty() {
        return Err(LineError::EmptyField {
            what: "label",
            column,
        });
    }
    if text.trim().is_empty() {
        return Err(LineError::NoWord);
    }
    text.split_whitespace()
        .for_each(|word| sentences.add_word(word));
    sentences.add_label(label);
    sentences.close(line);
    Ok(())
}

/// The rows of a table, which may go over several lines.
struct Records {
    lines: Lines,
    format: Format,
}

impl Records {
    /// The next row that is not empty, and the line on which it begins.
    fn next(&mut self) -> Result<Option<(usize, Vec<String>)>, DatasetError> {
        loop {
            let Some(line) = self.lines.next()? else {
                return Ok(None);
            };
            if line.text.trim().is_empty() {
                continue;
            }
            let begin = line.number;
            if self.format == Format::Tsv {
                return Ok(Some((
                    begin,
                    line.text.split('\t').map(str::to_owned).collect(),
                )));
            }
            let mut row = CsvRow::default();
            row.add(&line);
            while row.quoted {
                match self.lines.next()? {
                    Some(line) if row.length <= LONGEST => row.add(&line),
                    _ => return Err(self.lines.error_at(row.opened, LineError::OpenQuote)),
                }
            }
            row.fields.push(row.field);
            return Ok(Some((begin, row.fields)));
        }
    }
}

/// A row of a CSV file as far as it was read.
#[derive(Debug, Default)]
struct CsvRow {
    fields: Vec<String>,
    field: String,
    /// Whether a quotation mark is open, and the line on which it was opened.
    quoted: bool,
    opened: usize,
    /// Bytes read.
    length: usize,
}

impl CsvRow {
    /// Reads one line of the row.
    fn add(&mut self, line: &Line<'_>) {
        self.length += line.text.len() + 1;
        if self.quoted {
            self.field.push('\n');
        }
        let mut characters = line.text.chars().peekable();
        // Whether nothing of the field was read yet: only there a quotation mark opens.
        let mut fresh = !self.quoted;
        while let Some(character) = characters.next() {
            match character {
                '"' if self.quoted && characters.next_if_eq(&'"').is_some() => self.field.push('"'),
                '"' if self.quoted => self.quoted = false,
                '"' if fresh => (self.quoted, self.opened) = (true, line.number),
                ',' if !self.quoted => self.fields.push(std::mem::take(&mut self.field)),
                _ => self.field.push(character),
            }
            fresh = !self.quoted && character == ',';
        }
    }
}
