//! JSON: objects, a line or an element of an array each, either with `tokens` and as many `tags`, or
//! with a `text` and one `label`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::choice::{self, Field, Kind, Wishes};
use super::delimited::{add_text, add_words};
use super::json_records::JsonRecords;
use super::labelled_file::LabelledFile;
use super::{Column, DatasetError, LineError, Sentences, Source, label_sets, lists, names};
use crate::tasks::{Level, Task};

/// So many objects are looked at for the types of the fields.
const SAMPLE: usize = 200;

/// A file of objects whose fields are known.
#[derive(Debug)]
pub(super) struct JsonLines {
    path: PathBuf,
    token: String,
    label: String,
    /// Whether the objects hold a text, not its words.
    texts: bool,
    /// Whether the label of a text is a list of its words' labels.
    lists: bool,
    /// Whether a text has any number of labels.
    sets: bool,
    /// The fields that are labels, with 1 for the texts that have them.
    flags: Vec<String>,
    /// What was taken and what was left out.
    note: String,
}

impl JsonLines {
    /// Finds the fields by the first objects.
    pub(super) fn open(path: &Path, source: &Source) -> Result<Self, DatasetError> {
        let mut records = JsonRecords::open(path)?;
        let mut fields: Vec<Field> = Vec::new();
        let mut first = None;
        let mut sample = Vec::new();
        for _ in 0..SAMPLE {
            // What is wrong with later ones is told when they are read.
            let object = match (records.next_object(), &first) {
                (Ok(Some(object)), _) => object,
                (Err(error), None) => return Err(error),
                _ => break,
            };
            first.get_or_insert(object.0);
            object
                .1
                .iter()
                .for_each(|(name, value)| add_field(&mut fields, name, value));
            sample.push(object.1);
        }
        let Some(line) = first else {
            records.filled(Sentences::default())?;
            return Err(DatasetError::NotFound(path.to_path_buf()));
        };
        // A list with a label for every word of the text beside it is chosen as a label of the text.
        if source.task.is_none_or(Task::labels_words) {
            mark_lists_of_labels(&mut fields, &sample);
        }
        // Where all is text, a task of words takes its labels from texts that hold lists.
        let has_text = fields.iter().any(|field| field.kind == Kind::Text);
        let has_list = fields.iter().any(|field| field.kind.is_list());
        let wishes = Wishes {
            task: source.task.filter(|_| has_list || !has_text),
            token: source.token_column.as_ref(),
            label: source.label_column.as_ref(),
        };
        let (chosen, flags) = choose(&fields, wishes).map_err(|problem| {
            let listed = choice::listed(&fields);
            if problem.is_nothing {
                let expected = "tokens with tags, or a text with a label".to_owned();
                let got = listed;
                return records.error_at(line, LineError::Fields { expected, got });
            }
            DatasetError::Choice {
                path: path.to_path_buf(),
                line,
                what: problem.what,
                problem: problem.text,
                columns: listed,
            }
        })?;
        let names: Vec<String> = fields.into_iter().map(|field| field.name).collect();
        let (token, label) = (&names[chosen.token], &names[chosen.label]);
        let lists = !chosen.lists && !chosen.sets && hold_lists(&sample, token, label, source.task);
        let what = if chosen.lists || lists {
            "words"
        } else {
            "texts"
        };
        Ok(Self {
            path: path.to_path_buf(),
            token: token.clone(),
            label: label.clone(),
            texts: !chosen.lists,
            lists,
            sets: chosen.sets,
            note: match flags.as_slice() {
                [] => choice::note(&names, chosen.token, chosen.label, what),
                flags => choice::note_of_flags(&names, chosen.token, flags),
            },
            flags: flags
                .into_iter()
                .map(|place| names[place].clone())
                .collect(),
        })
    }

    /// The labels whose fields say that the text has them.
    fn flagged(&self, object: &Map<String, Value>) -> Result<Vec<String>, LineError> {
        let mut labels = Vec::new();
        for field in &self.flags {
            let value = object.get(field).and_then(name).unwrap_or_default();
            if label_sets::flag(field, &value)? {
                labels.push(field.clone());
            }
        }
        Ok(labels)
    }

    /// Adds the words and labels of one object.
    fn add(
        &self,
        sentences: &mut Sentences,
        line: usize,
        object: &Map<String, Value>,
    ) -> Result<(), LineError> {
        let wrong = || {
            let (text, labels) = if self.sets {
                ("a text", "an array of labels")
            } else if self.texts {
                ("a text", "a label")
            } else {
                ("an array of words", "an array of labels")
            };
            let told = |(key, value): (&String, &Value)| format!("{key} ({})", kind(value));
            let got = object.iter().map(told).collect::<Vec<_>>().join(", ");
            LineError::Fields {
                expected: format!("{} ({text}) and {} ({labels})", self.token, self.label),
                got,
            }
        };
        let (Some(token), Some(label)) = (object.get(&self.token), object.get(&self.label)) else {
            return Err(wrong());
        };
        if self.sets {
            let Value::String(text) = token else {
                return Err(wrong());
            };
            let labels = if self.flags.is_empty() {
                match label {
                    Value::Array(labels) => labels.iter().map(name).collect::<Option<Vec<_>>>(),
                    label => name(label).map(|cell| label_sets::of_cell(&cell)),
                }
                .ok_or_else(wrong)?
            } else {
                self.flagged(object)?
            };
            add_words(sentences, text)?;
            label_sets::add_labels(sentences, &labels, 1)?;
            sentences.close(line);
            return Ok(());
        }
        if self.texts {
            let label = if self.lists { cell(label) } else { name(label) };
            let (Value::String(text), Some(label)) = (token, label) else {
                return Err(wrong());
            };
            let add = if self.lists { lists::add } else { add_text };
            return add(sentences, text, label.trim(), 1, line);
        }
        let split: Vec<Value>;
        let labels = match label {
            Value::String(cell) => {
                split = lists::labels(cell).into_iter().map(Into::into).collect();
                &split
            }
            Value::Array(labels) => labels,
            _ => return Err(wrong()),
        };
        let Value::Array(words) = token else {
            return Err(wrong());
        };
        if words.len() != labels.len() {
            return Err(LineError::Lengths {
                words: words.len(),
                labels: labels.len(),
            });
        }
        if words.is_empty() {
            return Err(LineError::NoWord);
        }
        for (word, label) in words.iter().zip(labels) {
            let (Value::String(word), Some(label)) = (word, name(label)) else {
                return Err(wrong());
            };
            sentences.add_word(word);
            if label.trim().is_empty() {
                sentences.add_empty_label(line, 1);
            } else {
                sentences.add_label(&label);
            }
        }
        sentences.close(line);
        Ok(())
    }
}

/// The fields of texts or words and of labels, and those that are labels themselves.
fn choose(
    fields: &[Field],
    wishes: Wishes<'_>,
) -> Result<(choice::Choice, Vec<usize>), choice::Problem> {
    let flags = choice::flags(fields, wishes)?.unwrap_or_default();
    let first = flags.first().map(|&first| Column::Index(first));
    let wishes = Wishes {
        label: first.as_ref().or(wishes.label),
        ..wishes
    };
    Ok((choice::choose(fields, wishes)?, flags))
}

/// Adds what one object tells of a field.
fn add_field(fields: &mut Vec<Field>, name: &str, value: &Value) {
    let new = kind_of(value);
    match fields.iter_mut().find(|field| field.name == name) {
        None => fields.push(Field {
            name: name.to_owned(),
            kind: new,
            classes: false,
        }),
        // Null and the empty array tell nothing.
        Some(field) if matches!(field.kind, Kind::Other("null" | choice::EMPTY_LIST)) => {
            field.kind = new;
        }
        Some(field) if field.kind == Kind::Integer && new == Kind::Float => field.kind = new,
        Some(_) => {}
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Other("null"),
        Value::Bool(_) => Kind::Boolean,
        Value::Number(number) if number.is_f64() => Kind::Float,
        Value::Number(_) => Kind::Integer,
        Value::String(_) => Kind::Text,
        Value::Array(values) => match values.first() {
            None => Kind::Other(choice::EMPTY_LIST),
            Some(Value::String(_)) => Kind::Texts,
            Some(Value::Number(_) | Value::Bool(_)) => Kind::Integers,
            Some(_) => Kind::Other("array of other things than texts or numbers"),
        },
        Value::Object(_) => Kind::Other("object"),
    }
}

/// A label: a text, or a number or truth value as it is written.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A label, or the list of a text's words' labels, as it would stand in a table.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Array(_) => Some(value.to_string()),
        _ => name(value),
    }
}

/// Whether the labels of texts are lists, by the first objects.
fn hold_lists(sample: &[Map<String, Value>], token: &str, label: &str, task: Option<Task>) -> bool {
    let rows: Vec<(&str, String)> = sample
        .iter()
        .filter_map(|object| Some((object.get(token)?.as_str()?, cell(object.get(label)?)?)))
        .collect();
    let rows = rows.iter().map(|(text, label)| (*text, label.as_str()));
    lists::hold_lists(rows, task)
}

/// Finds labels of words by their number: lists that have as many items as a text beside them has
/// words count as the text's label, and texts that hold as many labels as a list beside them has
/// words count as lists.
fn mark_lists_of_labels(fields: &mut [Field], sample: &[Map<String, Value>]) {
    let named = |kind, is_named: &dyn Fn(&str) -> bool| -> Vec<String> {
        let fitting = fields
            .iter()
            .filter(|field| field.kind == kind && is_named(&field.name));
        fitting.map(|field| field.name.clone()).collect()
    };
    let lists = named(Kind::Texts, &names::is_word);
    let texts = named(Kind::Text, &|name| names::text_rank(name).is_some());
    for field in fields {
        if names::tag_rank(&field.name, None).is_none() {
            continue;
        }
        let fits = |words: &String| {
            let counts = |object: &Map<String, Value>| {
                let words = count(object.get(words)?, lists::words)?;
                Some(words == count(object.get(&field.name)?, lists::labels)?)
            };
            sample.iter().all(|object| counts(object) == Some(true))
        };
        field.kind = match field.kind {
            Kind::Text if lists.iter().any(fits) => Kind::Texts,
            Kind::Texts if lists.is_empty() && texts.iter().any(fits) => Kind::Text,
            kind => kind,
        };
    }
}

/// Items of an array, or of what `split` makes of a text.
fn count<'t>(value: &'t Value, split: impl Fn(&'t str) -> Vec<Cow<'t, str>>) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::String(text) => Some(split(text).len()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl LabelledFile for JsonLines {
    fn columns(&self) -> (String, String) {
        (self.token.clone(), self.label.clone())
    }

    fn level(&self) -> Level {
        if self.texts && !self.lists {
            Level::Sentence
        } else {
            Level::Token
        }
    }

    fn sets(&self) -> bool {
        self.sets
    }

    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut records = JsonRecords::open(&self.path)?;
        let mut sentences = Sentences::default();
        self.flags
            .iter()
            .for_each(|label| sentences.declare_label(label));
        while let Some((line, object)) = records.next_object()? {
            self.add(&mut sentences, line, &object)
                .map_err(|cause| records.error_at(line, cause))?;
        }
        notes.push(self.note.clone());
        records.filled(sentences)
    }
}
