//! Which column of a file is what, found by looking at its first lines.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::lines::{Lines, is_blank};
use super::{Column, DatasetError, Format, LineError, Source};
use crate::tasks::Task;
use crate::tasks::schemes::is_span_tag;
use crate::tasks::spans::scores_ratio;

/// So many lines of words are looked at.
const SAMPLE: usize = 20_000;

/// The columns of CoNLL-U (<https://universaldependencies.org/format.html>).
pub(super) const CONLLU: [&str; 10] = [
    "id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc",
];

/// What a first line may call the words and the labels.
const TOKEN_NAMES: [&str; 6] = ["token", "tokens", "word", "words", "form", "text"];
const LABEL_NAMES: [&str; 8] = [
    "label", "labels", "tag", "tags", "ner", "ner_tag", "ner_tags", "pos",
];

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// Whether tabs separate the columns, so that words may hold spaces; else spaces do.
    pub(super) tabs: bool,
    /// How many there are.
    pub(super) columns: usize,
    /// The running number of the word in its sentence.
    pub(super) id: Option<usize>,
    pub(super) token: usize,
    pub(super) label: usize,
    /// The line that names the columns.
    pub(super) header: Option<usize>,
    /// Labels seen, and whether they are tags of spans; they tell comments from words.
    known: HashSet<String>,
    spans: bool,
}

/// Lines of words from the beginning of a file.
struct Sample {
    rows: Vec<Row>,
    /// From a line `# global.columns = ID FORM ...` (CoNLL-U Plus).
    names: Vec<String>,
}

struct Row {
    line: usize,
    text: String,
    /// Whether it is the first of its sentence.
    first: bool,
}

/// Whether a line stands between two documents, as in CoNLL-2003.
pub(super) fn is_boundary(line: &str) -> bool {
    line.starts_with("-DOCSTART-")
}

/// The columns of a line.
fn fields(tabs: bool, line: &str) -> impl Iterator<Item = &str> {
    let separators: &[char] = if tabs { &['\t'] } else { &[' ', '\t'] };
    line.split(separators)
        .map(|field| field.trim_matches(' '))
        .filter(move |field| tabs || !field.is_empty())
}

impl Layout {
    /// Looks at the beginning of a file.
    pub(super) fn find(path: &Path, format: Format, source: &Source) -> Result<Self, DatasetError> {
        let mut sample = Sample::take(path)?;
        let tabs = sample.rows.iter().any(|row| row.text.contains('\t'));
        let Some(first) = sample.rows.first() else {
            // Nothing but comments, as far as can be told: reading the file will say what is there.
            return Ok(Self {
                tabs: true,
                columns: 2,
                id: None,
                token: 0,
                label: 1,
                header: None,
                known: HashSet::new(),
                spans: false,
            });
        };
        let (line, columns) = (
            first.line,
            if format == Format::Conllu {
                CONLLU.len()
            } else {
                sample.columns(tabs)
            },
        );
        let names = sample.names(tabs, columns, format, source);
        let header = (names.header).then_some(line);
        if header.is_some() {
            sample.rows.remove(0);
        }
        let rows = Rows {
            path,
            line,
            tabs,
            columns,
            sample: &sample,
            names: &names.names,
        };
        let id = (format == Format::Conllu || rows.are_numbered()).then_some(0);
        let token = match &source.token_column {
            Some(column) => rows.column("token", column)?,
            None => names
                .position(&TOKEN_NAMES)
                .unwrap_or(usize::from(id.is_some())),
        };
        let label = match &source.label_column {
            Some(column) => rows.column("label", column)?,
            None if format == Format::Conllu => 3,
            None => names
                .position(&LABEL_NAMES)
                .unwrap_or_else(|| rows.guess_label(id, token, source.task)),
        };
        if columns < 2 {
            let separator = if tabs { "tabs" } else { "spaces" };
            let cause = LineError::Columns {
                expected: 2,
                got: columns,
                separator,
            };
            return Err(DatasetError::Line {
                path: path.to_path_buf(),
                line,
                cause,
            });
        }
        let known = rows.values(label).map(str::to_owned).collect();
        let spans = rows.share(label, is_span_tag) > 0.9;
        Ok(Self {
            tabs,
            columns,
            id,
            token,
            label,
            header,
            known,
            spans,
        })
    }

    /// The columns of a line, without spaces around them.
    pub(super) fn fields<'a>(&self, line: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        fields(self.tabs, line)
    }

    /// Whether a line that begins with `#`, has `count` columns and would have this label, is a
    /// comment.
    pub(super) fn is_comment(&self, count: usize, label: &str) -> bool {
        if count != self.columns || self.id == Some(0) {
            return true;
        }
        // A part of speech for `#` alone is often a sign itself.
        let fits = self.known.contains(label)
            || (self.spans && is_span_tag(label))
            || !label.contains(char::is_alphanumeric);
        !self.tabs && !fits
    }
}

impl Sample {
    fn take(path: &Path) -> Result<Self, DatasetError> {
        let mut lines = Lines::open(path)?;
        let mut sample = Self {
            rows: Vec::new(),
            names: Vec::new(),
        };
        let mut first = true;
        while sample.rows.len() < SAMPLE
            && let Some(line) = lines.next()?
        {
            if is_blank(line.text) || is_boundary(line.text) {
                first = true;
            } else if let Some(comment) = line.text.strip_prefix('#') {
                if let Some(names) = comment.trim_start().strip_prefix("global.columns =") {
                    sample.names = names.split_whitespace().map(str::to_owned).collect();
                }
            } else {
                sample.rows.push(Row {
                    line: line.number,
                    text: line.text.to_owned(),
                    first,
                });
                first = false;
            }
        }
        Ok(sample)
    }

    /// The number of columns that most lines have; of two the one seen first.
    fn columns(&self, tabs: bool) -> usize {
        let mut counts: HashMap<usize, (usize, usize)> = HashMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            let entry = counts
                .entry(fields(tabs, &row.text).count())
                .or_insert((0, usize::MAX - index));
            entry.0 += 1;
        }
        counts
            .into_iter()
            .max_by_key(|(_, seen)| *seen)
            .map_or(0, |(columns, _)| columns)
    }

    /// The names of the columns, and whether the first line gives them.
    fn names(&self, tabs: bool, columns: usize, format: Format, source: &Source) -> Names {
        if format == Format::Conllu {
            return Names {
                names: CONLLU.map(str::to_owned).to_vec(),
                header: false,
            };
        }
        if self.names.len() == columns {
            return Names {
                names: self.names.clone(),
                header: false,
            };
        }
        let first: Vec<String> = self
            .rows
            .first()
            .into_iter()
            .flat_map(|row| fields(tabs, &row.text))
            .map(str::to_owned)
            .collect();
        let names = Names {
            names: first,
            header: true,
        };
        let wanted = [&source.token_column, &source.label_column]
            .into_iter()
            .flatten();
        let asked_for = wanted
            .into_iter()
            .any(|column| names.index(column).is_some() && matches!(column, Column::Name(_)));
        let usual =
            names.position(&TOKEN_NAMES).is_some() && names.position(&LABEL_NAMES).is_some();
        if names.names.len() == columns && (asked_for || usual) {
            names
        } else {
            Names {
                names: Vec::new(),
                header: false,
            }
        }
    }
}

/// Names of columns; none when there are none.
struct Names {
    names: Vec<String>,
    header: bool,
}

impl Names {
    /// The first column with one of some names.
    fn position(&self, known: &[&str]) -> Option<usize> {
        self.names
            .iter()
            .position(|name| known.iter().any(|known| name.eq_ignore_ascii_case(known)))
    }

    fn index(&self, column: &Column) -> Option<usize> {
        match column {
            Column::Index(index) => Some(*index),
            Column::Name(name) => self
                .names
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name)),
        }
    }
}

/// The sample in columns.
struct Rows<'a> {
    path: &'a Path,
    /// The line of the first row.
    line: usize,
    tabs: bool,
    columns: usize,
    sample: &'a Sample,
    names: &'a [String],
}

impl Rows<'_> {
    /// The column that the user named.
    fn column(&self, what: &'static str, column: &Column) -> Result<usize, DatasetError> {
        let names = Names {
            names: self.names.to_vec(),
            header: false,
        };
        names
            .index(column)
            .filter(|index| *index < self.columns)
            .ok_or_else(|| {
                let mut available = format!("0 to {}", self.columns.saturating_sub(1));
                if !self.names.is_empty() {
                    available = format!("{available}, called {}", self.names.join(", "));
                } else if matches!(column, Column::Name(_)) {
                    available += ", without names";
                }
                let path = self.path.to_path_buf();
                DatasetError::NoColumn {
                    path,
                    line: self.line,
                    what,
                    column: column.to_string(),
                    available,
                }
            })
    }

    /// What stands in one column, on the lines that have as many columns as most.
    fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        let whole = |row: &&Row| fields(self.tabs, &row.text).count() == self.columns;
        self.sample
            .rows
            .iter()
            .filter(whole)
            .filter_map(move |row| fields(self.tabs, &row.text).nth(column))
    }

    /// The share of a column's values for which something is so.
    fn share(&self, column: usize, is_so: impl Fn(&str) -> bool) -> f64 {
        let total = self.values(column).count() as u64;
        let so = self.values(column).filter(|value| is_so(value)).count() as u64;
        scores_ratio(so, total)
    }

    /// Whether the first column counts the words of each sentence from 1; `8-9` and `8.1` may stand
    /// between.
    fn are_numbered(&self) -> bool {
        let mut next = 1_usize;
        let mut longest = 0;
        for row in &self.sample.rows {
            let Some(id) = fields(self.tabs, &row.text).next() else {
                continue;
            };
            if row.first {
                next = 1;
            }
            if id
                .split_once(['-', '.'])
                .is_some_and(|(number, _)| number.parse::<usize>().is_ok())
            {
                continue;
            }
            if id.parse() != Ok(next) {
                return false;
            }
            longest = longest.max(next);
            next += 1;
        }
        self.columns > 2 && longest > 1
    }

    /// The column of the labels, where nobody said: for spans the last one that holds tags, else
    /// the last one; in CoNLL-2003 files, which have all three, parts of speech and phrases are
    /// found by the task.
    fn guess_label(&self, id: Option<usize>, token: usize, task: Option<Task>) -> usize {
        let last = self.columns.saturating_sub(1);
        let candidates =
            || (0..self.columns).filter(|column| *column != token && Some(*column) != id);
        let tags: Vec<usize> = candidates()
            .filter(|column| self.share(*column, is_span_tag) > 0.95)
            .collect();
        let typical = |task: Task, column: usize| {
            let mut labels = self.values(column);
            labels.any(|label| task.is_typical(label))
        };
        let found = match task {
            _ if tags.is_empty() && self.columns == CONLLU.len() && id.is_some() => Some(3),
            Some(task) if task.labels_words() && !task.has_spans() => {
                candidates().rfind(|column| {
                    !tags.contains(column)
                        && self.share(*column, |value| value != "-" && value != "_") > 0.5
                })
            }
            Some(task) => {
                let mut tags = tags.iter().copied();
                let last = tags.clone().next_back();
                tags.find(|column| typical(task, *column)).or(last)
            }
            None => tags.last().copied(),
        };
        found.unwrap_or(last)
    }
}
