//! Tables of text, CSV and TSV: a text and its label a row, or a word and its label a row where a
//! column or empty lines say which words make a sentence.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::choice::{self, Choice, Field, Kind, Wishes};
use super::labelled_file::LabelledFile;
use super::records::{Dialect, Records, Row, sample};
use super::{Column, DatasetError, Format, LineError, Sentences, Source, label_sets, lists, names};
use crate::tasks::Level;
use crate::tasks::schemes::is_span_tag;
use crate::tasks::{OUTSIDE, Task};

/// Words that may be one sentence where nothing says where a sentence ends.
const ONE_SENTENCE: usize = 100;

/// A table whose columns are known.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    dialect: Dialect,
    /// The names in the header, or the numbers of the columns.
    names: Vec<String>,
    has_header: bool,
    token: usize,
    label: usize,
    /// For a word a row: the columns that say which sentence it is in.
    words: Option<Vec<usize>>,
    /// For a text a row: whether the label is a list of the labels of its words.
    lists: bool,
    /// For a text a row: whether it has any number of labels.
    sets: bool,
    /// The columns that are labels themselves, with 1 for the texts that have them.
    flags: Vec<usize>,
    note: String,
}

/// The first rows of a table.
struct Look {
    names: Vec<String>,
    has_header: bool,
    line: usize,
    rows: Vec<Row>,
}

impl Table {
    /// The table in a file that may also be one of columns; none when it is not clearly a table.
    pub(super) fn recognise(path: &Path, source: &Source) -> Result<Option<Self>, DatasetError> {
        let dialect = Dialect::of_tsv(path)?;
        let look = Look::take(path, dialect, source)?;
        if look.names.len() < 2 || look.rows.is_empty() {
            return Ok(None);
        }
        let labels_words = source.task.is_some_and(Task::labels_words);
        let names = || look.names.iter().enumerate();
        let is_table = if look.has_header {
            let of_texts: Vec<usize> = names()
                .filter(|(_, name)| names::text_rank(name) == Some(0))
                .map(|(index, _)| index)
                .collect();
            let long = of_texts.iter().any(|index| look.are_texts(*index));
            let labelled = names().any(|(_, name)| names::label_rank(name).is_some());
            if look.words(source).is_some() {
                dialect.quotes || names().any(|(_, name)| names::is_sentence_number(name))
            } else {
                (!labels_words || look.has_lists())
                    && (source.task.is_some() || long || (labelled && !of_texts.is_empty()))
            }
        } else {
            let of_texts = match &source.token_column {
                Some(Column::Index(column)) => look.are_texts(*column),
                _ => look.guess().is_some(),
            };
            !labels_words && (of_texts || source.task.is_some())
        };
        if is_table {
            Self::new(path, dialect, look, source).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn open(path: &Path, format: Format, source: &Source) -> Result<Self, DatasetError> {
        let dialect = if format == Format::Csv {
            Dialect::of_csv(path)?
        } else {
            Dialect::of_tsv(path)?
        };
        let look = Look::take(path, dialect, source)?;
        Self::new(path, dialect, look, source)
    }

    fn new(
        path: &Path,
        dialect: Dialect,
        look: Look,
        source: &Source,
    ) -> Result<Self, DatasetError> {
        let words = look.words(source);
        let in_lists =
            words.is_none() && source.task.is_none_or(Task::labels_words) && look.has_lists();
        let kind = if words.is_some() || in_lists {
            Kind::Texts
        } else {
            Kind::Text
        };
        let guess = if look.has_header { None } else { look.guess() };
        let wish = |guess: Option<usize>, said: Option<&Column>| {
            said.cloned().or(guess.map(Column::Index))
        };
        let token = wish(guess.map(|(text, _)| text), source.token_column.as_ref());
        let label = wish(guess.map(|(_, label)| label), source.label_column.as_ref());
        let fields: Vec<Field> = look
            .names
            .iter()
            .map(|name| Field {
                name: name.clone(),
                kind,
                classes: false,
            })
            .collect();
        let wishes = Wishes {
            task: source
                .task
                .filter(|task| task.labels_words() == (words.is_some() || in_lists)),
            token: token.as_ref(),
            label: label.as_ref(),
        };
        let error = |problem| look.error(path, dialect, problem);
        let flags = choice::flags(&fields, wishes).map_err(error)?;
        let flags = flags.unwrap_or_default();
        let first = flags.first().map(|&first| Column::Index(first));
        let wishes = Wishes {
            label: first.as_ref().or(wishes.label),
            ..wishes
        };
        let mut chosen = choice::choose(&fields, wishes).map_err(error)?;
        let lists = words.is_none()
            && !chosen.sets
            && look.hold_lists(&mut chosen, source.task).map_err(error)?;
        let what = if words.is_some() || lists {
            "words"
        } else {
            "texts"
        };
        let mut note = match flags.as_slice() {
            [] => choice::note(&look.names, chosen.token, chosen.label, what),
            flags => choice::note_of_flags(&look.names, chosen.token, flags),
        };
        if !look.has_header {
            note = format!("the table has no header: {note}");
        }
        let words = words.map(|mut columns| {
            columns.retain(|column| *column != chosen.token && *column != chosen.label);
            columns
        });
        if let Some(columns) = &words {
            let by = columns.iter().map(|index| look.names[*index].as_str());
            let by = by.collect::<Vec<_>>().join(", ");
            let by = if by.is_empty() {
                "empty lines".to_owned()
            } else {
                format!("`{by}`")
            };
            note = format!(
                "a row is a word, and sentences are told by {by} (--task sequence reads a text a row); {note}"
            );
        }
        Ok(Self {
            path: path.to_path_buf(),
            dialect,
            names: look.names,
            has_header: look.has_header,
            token: chosen.token,
            label: chosen.label,
            words,
            lists,
            sets: chosen.sets,
            flags,
            note,
        })
    }

    /// A word a row.
    fn read_words(
        &self,
        records: &mut Records,
        columns: &[usize],
    ) -> Result<Sentences, DatasetError> {
        let mut sentences = Sentences::default();
        let mut current: Vec<String> = vec![String::new(); columns.len()];
        let (mut begin, mut any_end) = (None, false);
        while let Some(row) = records.next()? {
            if row.fields.iter().all(|field| field.trim().is_empty()) {
                any_end = true;
                sentences.close(begin.take().unwrap_or(row.line));
                continue;
            }
            self.check_count(&row)
                .map_err(|cause| records.lines.error_at(row.line, cause))?;
            let mut ends = row.after_blank;
            for (before, column) in current.iter_mut().zip(columns) {
                let now = row.fields[*column].trim();
                if !now.is_empty() && now != before {
                    ends |= !before.is_empty();
                    now.clone_into(before);
                }
            }
            if ends {
                any_end = true;
                sentences.close(begin.take().unwrap_or(row.line));
            }
            begin.get_or_insert(row.line);
            let label = row.fields[self.label].trim();
            if label.is_empty() {
                let cause = LineError::EmptyField {
                    what: "label",
                    column: self.label,
                };
                return Err(records.lines.error_at(row.line, cause));
            }
            sentences.add_word(row.fields[self.token].trim());
            sentences.add_label(label);
        }
        sentences.close(begin.unwrap_or_default());
        if !any_end && sentences.word_count() > ONE_SENTENCE {
            return Err(DatasetError::NoSentenceEnds {
                path: self.path.clone(),
                words: sentences.word_count(),
            });
        }
        Ok(sentences)
    }

    /// Adds the text of a row with all its labels.
    fn add_set(&self, sentences: &mut Sentences, row: &Row) -> Result<(), LineError> {
        let labels = if self.flags.is_empty() {
            label_sets::of_cell(&row.fields[self.label])
        } else {
            let mut labels = Vec::new();
            for &column in &self.flags {
                let name = &self.names[column];
                if label_sets::flag(name, &row.fields[column])? {
                    labels.push(name.clone());
                }
            }
            labels
        };
        add_words(sentences, &row.fields[self.token])?;
        label_sets::add_labels(sentences, &labels, self.label)?;
        sentences.close(row.line);
        Ok(())
    }

    fn check_count(&self, row: &Row) -> Result<(), LineError> {
        if row.fields.len() == self.names.len() {
            return Ok(());
        }
        Err(LineError::Columns {
            expected: self.names.len(),
            got: row.fields.len(),
            separator: self.dialect.separators(),
        })
    }
}

impl Look {
    fn take(path: &Path, dialect: Dialect, source: &Source) -> Result<Self, DatasetError> {
        let mut rows = sample(path, dialect)?;
        if rows.is_empty() {
            return Ok(Self {
                names: Vec::new(),
                has_header: true,
                line: 1,
                rows,
            });
        }
        let header = rows.remove(0);
        let names: Vec<String> = header
            .fields
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        let said = [&source.token_column, &source.label_column];
        let is_named = |name: &String| {
            said.into_iter().flatten().any(|column| {
                matches!(column, Column::Name(wanted) if name.eq_ignore_ascii_case(wanted))
            })
        };
        let mut look = Self {
            has_header: names
                .iter()
                .any(|name| names::is_known(name) || is_named(name)),
            names,
            line: header.line,
            rows,
        };
        if !look.has_header && !look.begins_with_data(&header, source) {
            look.has_header = true;
        }
        if !look.has_header {
            look.names = (0..header.fields.len())
                .map(|index| index.to_string())
                .collect();
            look.rows.insert(0, header);
        }
        Ok(look)
    }

    /// Whether a first row without a known name is one like the others: its label comes again.
    fn begins_with_data(&self, first: &Row, source: &Source) -> bool {
        let again = |column: usize| {
            let value = first.fields.get(column);
            value.is_some() && self.rows.iter().any(|row| row.fields.get(column) == value)
        };
        match &source.label_column {
            Some(Column::Index(label)) => again(*label),
            Some(Column::Name(_)) => false,
            None => (0..first.fields.len()).any(again),
        }
    }

    fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        let whole = self
            .rows
            .iter()
            .filter(|row| row.fields.len() == self.names.len());
        whole.filter_map(move |row| row.fields.get(column).map(|field| field.trim()))
    }

    /// The share of values for which something is so is more than this many in a hundred.
    fn mostly(&self, column: usize, hundredths: usize, is_so: impl Fn(&str) -> bool) -> bool {
        let (all, so) = self.values(column).fold((0, 0), |(all, so), value| {
            (all + 1, so + usize::from(is_so(value)))
        });
        so * 100 > all * hundredths
    }

    /// Whether most values have several words.
    fn are_texts(&self, column: usize) -> bool {
        self.mostly(column, 60, |value| value.contains(char::is_whitespace))
    }

    /// Whether values repeat as those of labels do.
    fn repeat(&self, column: usize) -> bool {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut all = 0;
        for value in self.values(column) {
            *counts.entry(value).or_default() += 1;
            all += 1;
        }
        let first = self
            .values(column)
            .next()
            .and_then(|first| counts.get(first));
        counts.len() * 2 <= all && first.is_some_and(|count| *count > 1)
    }

    /// The columns of the text and of the label in a table without a header.
    fn guess(&self) -> Option<(usize, usize)> {
        let columns = || 0..self.names.len();
        let texts: Vec<usize> = columns().filter(|column| self.are_texts(*column)).collect();
        let labels: Vec<usize> = columns()
            .filter(|column| !texts.contains(column) && self.repeat(*column))
            .collect();
        match (texts.as_slice(), labels.as_slice()) {
            ([text], [label]) => Some((*text, *label)),
            _ => None,
        }
    }

    /// The columns that say which sentence a word is in, if a row is a word.
    fn words(&self, source: &Source) -> Option<Vec<usize>> {
        if !self.has_header || source.task.is_some_and(|task| !task.labels_words()) {
            return None;
        }
        let columns = || 0..self.names.len();
        let name = |column: usize| self.names[column].as_str();
        let numbers: Vec<usize> = columns()
            .filter(|column| names::is_sentence_number(name(*column)))
            .collect();
        let short = |column: usize| {
            self.mostly(column, 90, |value| !value.contains(char::is_whitespace))
                && !self.mostly(column, 50, |value| value.starts_with('['))
        };
        let of_words = columns().any(|column| names::is_word(name(column)) && short(column));
        let tagged = columns().any(|column| names::tag_rank(name(column), None).is_some())
            || source.label_column.is_some();
        if of_words && tagged {
            // A text a row, with one of its words beside it.
            let differs = |column: usize| {
                let values: Vec<&str> = self.values(column).collect();
                let same = values.windows(2).filter(|pair| pair[0] == pair[1]).count();
                self.are_texts(column) && same * 2 < values.len()
            };
            let beside = columns().any(|column| {
                names::text_rank(name(column)) == Some(0)
                    && !names::is_word(name(column))
                    && differs(column)
            });
            let numbered = numbers.iter().any(|column| !self.are_texts(*column));
            return (!beside || numbered).then_some(numbers);
        }
        // A column called `text` may hold words.
        let of_words =
            columns().any(|column| names::text_rank(name(column)) == Some(0) && short(column));
        let is_tag = |value: &str| value != OUTSIDE && is_span_tag(value);
        let spans = columns()
            .any(|column| self.mostly(column, 95, is_span_tag) && self.values(column).any(is_tag));
        let ends = self.rows.iter().any(|row| row.after_blank)
            || numbers
                .iter()
                .any(|column| names::text_rank(name(*column)) != Some(0));
        (of_words && tagged && (spans || (ends && source.task.is_some()))).then_some(numbers)
    }

    /// Whether the cells of a column are lists in brackets.
    fn has_lists(&self) -> bool {
        let is_list = |value: &str| lists::bracketed(value).is_some();
        (0..self.names.len()).any(|column| self.mostly(column, 50, is_list))
    }

    /// Whether label cells hold a label for every word; lists of another length are any number of
    /// labels of the text.
    ///
    /// # Errors
    /// When they are lists where a text has one label.
    fn hold_lists(&self, chosen: &mut Choice, task: Option<Task>) -> Result<bool, choice::Problem> {
        let rows = || self.values(chosen.token).zip(self.values(chosen.label));
        if self.mostly(chosen.label, 50, |value| lists::bracketed(value).is_some()) {
            let (all, fitting) = rows().fold((0, 0), |(all, fitting), (text, label)| {
                let fits = lists::words(text).len() == lists::labels(label).len();
                (all + 1, fitting + usize::from(fits))
            });
            let few = fitting * 2 < all;
            if few && task.is_none() {
                chosen.sets = true;
                return Ok(false);
            }
            if few || task.is_some_and(|task| !task.labels_words()) {
                return Err(choice::Problem::new(
                    "label",
                    format!(
                        "the cells of `{}` are lists, but not of a label for every word: --task multilabel takes any \
                         number of labels a text",
                        self.names[chosen.label]
                    ),
                ));
            }
        }
        Ok(lists::hold_lists(rows(), task))
    }

    fn error(&self, path: &Path, dialect: Dialect, problem: choice::Problem) -> DatasetError {
        if self.names.is_empty() {
            return DatasetError::Empty {
                path: path.to_owned(),
                what: "only comments, headers and empty lines",
            };
        }
        if problem.is_nothing && !self.has_header {
            return DatasetError::Line {
                path: path.to_owned(),
                line: self.line,
                cause: LineError::Texts,
            };
        }
        if problem.is_nothing {
            return DatasetError::Line {
                path: path.to_owned(),
                line: self.line,
                cause: LineError::Fields {
                    expected: format!(
                        "a header that names the text (text, sentence, ...) and its label (label, category, ...), \
                         apart by {}",
                        dialect.separators()
                    ),
                    got: self.names.join(", "),
                },
            };
        }
        DatasetError::Choice {
            path: path.to_owned(),
            line: self.line,
            what: problem.what,
            problem: problem.text,
            columns: self.names.join(", "),
        }
    }
}

impl LabelledFile for Table {
    fn columns(&self) -> (String, String) {
        (
            self.names[self.token].clone(),
            self.names[self.label].clone(),
        )
    }

    fn level(&self) -> Level {
        if self.words.is_some() || self.lists {
            Level::Token
        } else {
            Level::Sentence
        }
    }

    fn sets(&self) -> bool {
        self.sets
    }

    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut records = Records::open(&self.path, self.dialect)?;
        if self.has_header {
            records.next()?;
        }
        notes.push(self.note.clone());
        if let Some(columns) = &self.words {
            let sentences = self.read_words(&mut records, columns)?;
            return records.lines.filled(sentences);
        }
        let mut sentences = Sentences::default();
        for column in &self.flags {
            sentences.declare_label(&self.names[*column]);
        }
        while let Some(row) = records.next()? {
            let error = |cause| records.lines.error_at(row.line, cause);
            self.check_count(&row).map_err(error)?;
            let add = if self.lists { lists::add } else { add_text };
            let (text, label) = (&row.fields[self.token], row.fields[self.label].trim());
            if self.sets {
                self.add_set(&mut sentences, &row).map_err(error)?;
                continue;
            }
            add(&mut sentences, text, label, self.label, row.line).map_err(error)?;
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
    add_words(sentences, text)?;
    sentences.add_label(label);
    sentences.close(line);
    Ok(())
}

/// Adds the words of a text, cut at white space.
pub(super) fn add_words(sentences: &mut Sentences, text: &str) -> Result<(), LineError> {
    if text.trim().is_empty() {
        return Err(LineError::NoWord);
    }
    text.split_whitespace()
        .for_each(|word| sentences.add_word(word));
    Ok(())
}
