//! The rows of a table of text: fields apart by commas, semicolons, bars or tabs, quoted as RFC 4180
//! has it or not at all (IANA `text/tab-separated-values`).

use std::path::Path;

use super::lines::{Line, Lines};
use super::{DatasetError, LineError};

/// The longest record, with all its lines.
const LONGEST: usize = 64 << 20;
/// So many rows are looked at.
const SAMPLE: usize = 4_000;

/// How fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: char,
    pub(super) quotes: bool,
}

impl Dialect {
    /// The separators by name.
    pub(super) fn separators(self) -> &'static str {
        match self.separator {
            ',' => "commas",
            ';' => "semicolons",
            '|' => "vertical bars",
            _ => "tabs",
        }
    }

    /// How a CSV file is written: with the first of the separators that its first lines have
    /// equally often.
    pub(super) fn of_csv(path: &Path) -> Result<Self, DatasetError> {
        let mut best = (0, ',');
        for separator in [',', ';', '\t', '|'] {
            let dialect = Self {
                separator,
                quotes: true,
            };
            let rows = sample(path, dialect)?;
            let columns = rows.first().map_or(0, |row| row.fields.len());
            let known = rows.first().into_iter().flat_map(|row| &row.fields);
            let known = known.filter(|name| super::names::is_known(name)).count();
            let even = rows.iter().all(|row| row.fields.len() == columns);
            let score = if columns < 2 {
                0
            } else {
                1 + known * 2 + usize::from(even)
            };
            if score > best.0 {
                best = (score, separator);
            }
        }
        Ok(Self {
            separator: best.1,
            quotes: true,
        })
    }

    /// How a TSV file is written. Quotation marks are part of the text, unless all of them are where
    /// a writer of CSV puts them: around fields that need them, or around every text of a column.
    pub(super) fn of_tsv(path: &Path) -> Result<Self, DatasetError> {
        let dialect = Self {
            separator: '\t',
            quotes: true,
        };
        let rows = sample(path, dialect)?;
        let columns = rows.first().map_or(0, |row| row.fields.len());
        let consistent = rows
            .iter()
            .all(|row| row.fields.len() == columns && !row.stray && !row.broken);
        let any = rows.iter().any(|row| row.quoted.contains(&true));
        let needed = |row: &Row, column: usize| {
            !row.quoted[column] || row.fields[column].contains(['\t', '"', '\n'])
        };
        let minimal = || {
            rows.iter()
                .all(|row| (0..columns).all(|column| needed(row, column)))
        };
        let whole = || {
            (0..columns).all(|column| {
                let quoted = rows.iter().filter(|row| row.quoted[column]).count();
                // The header may do without them.
                quoted == 0 || quoted + 1 >= rows.len()
            })
        };
        let quotes = any && consistent && (minimal() || (rows.len() > 2 && whole()));
        Ok(Self { quotes, ..dialect })
    }
}

/// A row.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
    /// Which fields are quoted.
    quoted: Vec<bool>,
    /// Whether a quotation mark stands where none may.
    stray: bool,
    broken: bool,
    /// Whether an empty line stands before it.
    pub(super) after_blank: bool,
}

/// The first rows of a file, up to the first that cannot be read.
pub(super) fn sample(path: &Path, dialect: Dialect) -> Result<Vec<Row>, DatasetError> {
    let mut records = Records::open(path, dialect)?;
    let mut rows = Vec::new();
    while rows.len() < SAMPLE {
        match records.next() {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => break,
            Err(error) if rows.is_empty() => return Err(error),
            Err(_) => {
                rows.push(Row {
                    broken: true,
                    ..Row::default()
                });
                break;
            }
        }
    }
    // A row that is cut off says nothing of its columns, only of the quotation marks.
    if dialect.separator != '\t' {
        rows.retain(|row| !row.broken);
    }
    Ok(rows)
}

/// The rows of a table, which may go over several lines.
pub(super) struct Records {
    pub(super) lines: Lines,
    dialect: Dialect,
}

impl Records {
    pub(super) fn open(path: &Path, dialect: Dialect) -> Result<Self, DatasetError> {
        Ok(Self {
            lines: Lines::open(path)?,
            dialect,
        })
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Row>, DatasetError> {
        let Dialect { separator, quotes } = self.dialect;
        let mut after_blank = false;
        loop {
            let Some(line) = self.lines.next()? else {
                return Ok(None);
            };
            if line.text.trim().is_empty() {
                after_blank = true;
                continue;
            }
            let begin = line.number;
            if !quotes {
                let fields: Vec<String> = line.text.split(separator).map(str::to_owned).collect();
                return Ok(Some(Row {
                    line: begin,
                    quoted: vec![false; fields.len()],
                    fields,
                    after_blank,
                    ..Row::default()
                }));
            }
            let mut row = CsvRow::default();
            row.add(&line, separator);
            while row.quoted {
                match self.lines.next()? {
                    Some(line) if row.length <= LONGEST => row.add(&line, separator),
                    _ => return Err(self.lines.error_at(row.opened, LineError::OpenQuote)),
                }
            }
            row.end_field();
            return Ok(Some(Row {
                line: begin,
                fields: row.fields,
                quoted: row.were_quoted,
                stray: row.stray,
                broken: false,
                after_blank,
            }));
        }
    }
}

/// A row of a CSV file as far as it was read.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "states of a parser")]
struct CsvRow {
    fields: Vec<String>,
    were_quoted: Vec<bool>,
    field: String,
    /// Whether a quotation mark is open, and the line on which it was opened.
    quoted: bool,
    opened: usize,
    /// Whether the field began with a quotation mark, and whether that was closed.
    field_quoted: bool,
    closed: bool,
    /// Whether a quotation mark or text stands where none may.
    stray: bool,
    /// Bytes read.
    length: usize,
}

impl CsvRow {
    /// Reads one line of the row.
    fn add(&mut self, line: &Line<'_>, separator: char) {
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
                '"' if self.quoted => (self.quoted, self.closed) = (false, true),
                '"' if fresh => {
                    (self.quoted, self.opened) = (true, line.number);
                    self.field_quoted = true;
                }
                _ if character == separator && !self.quoted => self.end_field(),
                _ => {
                    self.stray |= self.closed || (character == '"' && !self.quoted);
                    self.field.push(character);
                }
            }
            fresh = !self.quoted && character == separator;
        }
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
        self.were_quoted
            .push(std::mem::take(&mut self.field_quoted));
        self.closed = false;
    }
}
