//! Which column of a file is what, found by looking at its first lines.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::lines::{Lines, is_blank};
use super::{Column, DatasetError, Format, LineError, Source, names};
use crate::tasks::schemes::is_span_tag;
use crate::tasks::spans::scores_ratio;
use crate::tasks::{OUTSIDE, Task};

/// So many lines of words are looked at.
const SAMPLE: usize = 20_000;

/// Labels that any file may have of its own; fewer lines tell nothing.
const FEW: usize = 20;

/// The columns of CoNLL-U (<https://universaldependencies.org/format.html>).
pub(super) const CONLLU: [&str; 10] = [
    "id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc",
];

/// The number of a word's head among them.
const HEAD: usize = 6;
/// The relation to the head.
const DEPREL: usize = 7;

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
    /// The number of the word's head, where the task needs it.
    pub(super) head: Option<usize>,
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
        let tabbed = sample.rows.iter().filter(|row| row.text.contains('\t'));
        let tabs = tabbed.count() * 2 >= sample.rows.len();
        let Some(first) = sample.rows.first() else {
            // Nothing but comments, as far as can be told: reading the file will say what is there.
            return Ok(Self {
                tabs: true,
                columns: 2,
                id: None,
                token: 0,
                label: 1,
                head: None,
                header: None,
                known: HashSet::new(),
                spans: false,
            });
        };
        let (line, columns) = (
            first.line,
            match (format, sample.names.len()) {
                (Format::Conllu, 0) => CONLLU.len(),
                (Format::Conllu, named) => named,
                _ => sample.columns(tabs),
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
        let is_conllu = format == Format::Conllu && sample.names.is_empty();
        let is_id = |name: &String| name.eq_ignore_ascii_case("id");
        let id = (is_conllu || names.names.first().is_some_and(is_id) || rows.are_numbered())
            .then_some(0);
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
        let token = match &source.token_column {
            Some(column) => rows.column("token", column)?,
            None => match names.word() {
                Some(column) => column,
                None => rows.guess_token(id, source.label_column.as_ref()),
            },
        };
        let label = match &source.label_column {
            Some(column) => rows.column("label", column)?,
            None if is_conllu && source.task.is_some_and(Task::has_heads) => DEPREL,
            None if is_conllu => 3,
            None => match rows.named_label(token, source.task)? {
                Some(column) => column,
                None => rows.guess_label(id, token, source.task)?,
            },
        };
        if source.format.is_none()
            && source.token_column.is_none()
            && sample.rows.iter().filter(|row| row.first).count() == 1
            && sample.rows.len() > 5
            && (0..columns).any(|column| rows.share(column, |text| text.contains(' ')) > 0.6)
        {
            let (path, cause) = (path.to_path_buf(), LineError::Texts);
            return Err(DatasetError::Line { path, line, cause });
        }
        let is_head = |name: &String| name.eq_ignore_ascii_case(CONLLU[HEAD]);
        let needed = source.task.is_some_and(Task::has_heads) && id.is_some();
        let head = names.names.iter().position(is_head).filter(|_| needed);
        let known = rows.values(label).map(str::to_owned).collect();
        let spans = rows.share(label, is_span_tag) > 0.9;
        Ok(Self {
            tabs,
            columns,
            id,
            token,
            label,
            head,
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
        if format == Format::Conllu && self.names.is_empty() {
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
        let label = names
            .names
            .iter()
            .any(|name| names::tag_rank(name, None).is_some());
        let usual = names.word().is_some() && label;
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
    /// The first column that is called as words are.
    fn word(&self) -> Option<usize> {
        let is_word = |name: &String| names::is_word(name);
        let is_text = |name: &String| name.eq_ignore_ascii_case("text");
        let mut all = self.names.iter();
        all.position(is_word)
            .or_else(|| self.names.iter().position(is_text))
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

    /// The column of the words where nobody said: the first that is no number and not the same in
    /// whole sentences, and not one of a few labels before the words.
    fn guess_token(&self, id: Option<usize>, label: Option<&Column>) -> usize {
        let first = usize::from(id.is_some());
        let is_label = |column: usize| label.is_some_and(|label| *label == Column::Index(column));
        let all: Vec<usize> = (first..self.columns)
            .filter(|column| !is_label(*column))
            .filter(|column| {
                self.columns == 2
                    || !(self.are_integers(*column) || self.is_same_in_sentences(*column))
            })
            .collect();
        let Some(&default) = all.first() else {
            return first;
        };
        let words = |column: &usize| !self.are_span_tags(*column);
        if self.are_span_tags(default) {
            return all.iter().copied().find(words).unwrap_or(default);
        }
        // Labels are few, words are many.
        let different = |column: usize| self.values(column).collect::<HashSet<_>>().len();
        let rows = self.sample.rows.len();
        let counts: Vec<(usize, usize)> = all
            .iter()
            .map(|column| (*column, different(*column)))
            .filter(|(_, count)| *count < rows || self.columns == 2)
            .collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let mut many = counts.iter().filter(|(_, count)| count * 2 >= most);
        match many.next() {
            Some((column, _)) if rows >= FEW && most > FEW => *column,
            _ => default,
        }
    }

    fn are_integers(&self, column: usize) -> bool {
        self.share(column, |value| value.parse::<i64>().is_ok()) > 0.95
    }

    fn are_span_tags(&self, column: usize) -> bool {
        self.share(column, is_span_tag) > 0.95
            && self
                .values(column)
                .any(|value| value != OUTSIDE && is_span_tag(value))
    }

    /// Whether a column says the same for all words of a sentence, but not of the file: the number
    /// of a sentence or the name of a document.
    fn is_same_in_sentences(&self, column: usize) -> bool {
        let (mut longer, mut same, mut current) = (0_usize, 0_usize, "");
        for row in &self.sample.rows {
            let value = fields(self.tabs, &row.text).nth(column).unwrap_or("");
            if !row.first {
                longer += 1;
                same += usize::from(value == current);
            }
            current = value;
        }
        longer > 2 && same * 20 >= longer * 19
    }

    /// The column of labels by the names in the first line.
    fn named_label(&self, token: usize, task: Option<Task>) -> Result<Option<usize>, DatasetError> {
        let usual = task.filter(|task| task.labels_words());
        let usual = usual.map(|task| task.description().label_columns);
        let ranks: Vec<(usize, usize)> = self
            .names
            .iter()
            .enumerate()
            .filter(|(column, _)| *column != token && *column < self.columns)
            .filter_map(|(column, name)| Some((names::tag_rank(name, usual)?, column)))
            .collect();
        let best = ranks.iter().map(|(rank, _)| *rank).min();
        let found = ranks.iter().filter(|(rank, _)| Some(*rank) == best);
        let found: Vec<usize> = found.map(|(_, column)| *column).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(self.ambiguous(&found)),
        }
    }

    /// The column of the labels, where nobody said: for spans the one that holds tags, of phrases
    /// or of names by the task; else the only one that repeats as labels do.
    fn guess_label(
        &self,
        id: Option<usize>,
        token: usize,
        task: Option<Task>,
    ) -> Result<usize, DatasetError> {
        let candidates: Vec<usize> = (0..self.columns)
            .filter(|column| *column != token && Some(*column) != id)
            .collect();
        if let [only] = candidates.as_slice() {
            return Ok(*only);
        }
        let all_tags = |column: &usize| self.share(*column, is_span_tag) > 0.95;
        let mut tags: Vec<usize> = candidates.iter().copied().filter(all_tags).collect();
        // Nested names, of which there is none in this file.
        if tags.iter().any(|column| self.are_span_tags(*column)) {
            tags.retain(|column| self.are_span_tags(*column));
        }
        let found: Vec<usize> = match task {
            _ if tags.is_empty() && self.columns == CONLLU.len() && id.is_some() => vec![3],
            Some(task) if task.labels_words() && !task.has_spans() => {
                let others = candidates
                    .iter()
                    .copied()
                    .filter(|column| !tags.contains(column));
                self.plausible(token, others)
            }
            _ if tags.is_empty() => self.plausible(token, candidates.iter().copied()),
            _ => {
                let phrases = |column: &usize| {
                    self.values(*column)
                        .any(|label| Task::Chunk.is_typical(label))
                };
                let (of_phrases, of_names): (Vec<usize>, Vec<usize>) =
                    tags.iter().copied().partition(phrases);
                let wanted = if task == Some(Task::Chunk) {
                    [of_phrases, of_names]
                } else {
                    [of_names, of_phrases]
                };
                wanted
                    .into_iter()
                    .find(|columns| !columns.is_empty())
                    .unwrap_or_default()
            }
        };
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(self.ambiguous(&candidates)),
            several => Err(self.ambiguous(several)),
        }
    }

    /// The columns that repeat as labels do: no numbers, not empty, not as many as there are words.
    fn plausible(&self, token: usize, columns: impl Iterator<Item = usize>) -> Vec<usize> {
        let different = |column: usize| self.values(column).collect::<HashSet<_>>().len();
        let words = different(token);
        columns
            .filter(|column| {
                let count = different(*column);
                !self.are_integers(*column)
                    && self.share(*column, |value| value != "-" && value != "_") > 0.5
                    && (count <= FEW || count * 2 <= words)
            })
            .collect()
    }

    fn ambiguous(&self, found: &[usize]) -> DatasetError {
        let shown = |column: &usize| {
            let name = self
                .names
                .get(*column)
                .map(|name| format!("{name}: "))
                .unwrap_or_default();
            let values: Vec<&str> = self.values(*column).take(3).collect();
            format!("{column} ({name}{})", values.join(" "))
        };
        let list = |columns: &[usize]| columns.iter().map(shown).collect::<Vec<_>>().join(", ");
        let all: Vec<usize> = (0..self.columns).collect();
        DatasetError::Choice {
            path: self.path.to_path_buf(),
            line: self.line,
            what: "label",
            problem: format!("several columns could hold the labels: {}", list(found)),
            columns: list(&all),
        }
    }
}
