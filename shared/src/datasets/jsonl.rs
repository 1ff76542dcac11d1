//! JSON lines: an object a line, either `tokens` with as many `tags`, or a `text` with one `label`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::delimited::{LABEL_NAMES, TEXT_NAMES, add_text};
use super::format::LabelledFile;
use super::lines::{Line, Lines, is_blank};
use super::{Column, DatasetError, LineError, Sentences, Source, lists};
use crate::tasks::{Level, Task};

const TOKEN_NAMES: [&str; 4] = ["tokens", "words", "token", "word"];
/// So many objects tell whether labels are lists.
const SAMPLE: usize = 500;
/// Names of the labels of words, where nobody said the task.
const TAG_NAMES: [&str; 10] = [
    "ner_tags",
    "tags",
    "ner",
    "labels",
    "pos_tags",
    "upos",
    "pos",
    "xpos",
    "chunk_tags",
    "chunks",
];

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
}

impl JsonLines {
    /// Finds the fields by the first object.
    pub(super) fn open(path: &Path, source: &Source) -> Result<Self, DatasetError> {
        let mut lines = Lines::open(path)?;
        let first = loop {
            let Some(line) = lines.next()? else {
                break None;
            };
            if !is_blank(line.text) {
                break Some((line.number, parse(&line)?));
            }
        };
        let Some((line, object)) = first else {
            lines.filled(Sentences::default())?;
            return Err(DatasetError::NotFound(path.to_path_buf()));
        };
        let available = || {
            object
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let find = |what: &'static str, column: Option<&Column>, known: &[&str]| match column {
            Some(column) => object
                .keys()
                .find(|key| **key == column.to_string())
                .ok_or_else(|| {
                    let path = path.to_path_buf();
                    DatasetError::NoColumn {
                        path,
                        line,
                        what,
                        column: column.to_string(),
                        available: available(),
                    }
                }),
            None => known
                .iter()
                .find_map(|known| object.keys().find(|key| key == known))
                .ok_or_else(|| {
                    let expected = "tokens with tags, or a text with a label".to_owned();
                    lines.error_at(
                        line,
                        LineError::Fields {
                            expected,
                            got: available(),
                        },
                    )
                }),
        };
        let words_first = [TOKEN_NAMES.as_slice(), &TEXT_NAMES].concat();
        let token = find("token", source.token_column.as_ref(), &words_first)?.clone();
        let texts = !object[&token].is_array();
        let label = find(
            "label",
            source.label_column.as_ref(),
            &label_names(texts, source.task),
        )?
        .clone();
        Ok(Self {
            path: path.to_path_buf(),
            lists: texts && hold_lists(path, &token, &label, source.task)?,
            token,
            label,
            texts,
        })
    }

    /// Adds the words and labels of one object.
    fn add(&self, sentences: &mut Sentences, line: &Line<'_>) -> Result<(), DatasetError> {
        let object = parse(line)?;
        let wrong = || {
            let (text, labels) = if self.texts {
                ("a text", "a label")
            } else {
                ("an array of words", "an array of labels")
            };
            let told = |(key, value): (&String, &Value)| format!("{key} ({})", kind(value));
            let got = object.iter().map(told).collect::<Vec<_>>().join(", ");
            line.error(LineError::Fields {
                expected: format!("{} ({text}) and {} ({labels})", self.token, self.label),
                got,
            })
        };
        let (Some(token), Some(label)) = (object.get(&self.token), object.get(&self.label)) else {
            return Err(wrong());
        };
        if self.texts {
            let label = if self.lists { cell(label) } else { name(label) };
            let (Value::String(text), Some(label)) = (token, label) else {
                return Err(wrong());
            };
            if self.lists {
                return lists::add(sentences, text, &label, 1, line.number)
                    .map_err(|cause| line.error(cause));
            }
            return add_text(sentences, text, label.trim(), 1, line.number)
                .map_err(|cause| line.error(cause));
        }
        let split: Vec<Value>;
        let label = match label {
            Value::String(cell) => {
                split = lists::labels(cell).into_iter().map(Into::into).collect();
                &split
            }
            Value::Array(labels) => labels,
            _ => return Err(wrong()),
        };
        let (Value::Array(words), labels) = (token, label) else {
            return Err(wrong());
        };
        if words.len() != labels.len() {
            return Err(line.error(LineError::Lengths {
                words: words.len(),
                labels: labels.len(),
            }));
        }
        if words.is_empty() {
            return Err(line.error(LineError::NoWord));
        }
        for (word, label) in words.iter().zip(labels) {
            let (Value::String(word), Some(label)) = (word, name(label)) else {
                return Err(wrong());
            };
            sentences.add_word(word);
            if label.trim().is_empty() {
                sentences.add_empty_label(line.number, 1);
            } else {
                sentences.add_label(&label);
            }
        }
        sentences.close(line.number);
        Ok(())
    }
}

/// The names under which labels are looked for, best first.
fn label_names(texts: bool, task: Option<Task>) -> Vec<&'static str> {
    if texts {
        return LABEL_NAMES.to_vec();
    }
    let own = task.filter(|task| task.labels_words());
    let own = own.map_or(&[][..], |task| task.description().label_columns);
    [own, &TAG_NAMES].concat()
}

fn parse(line: &Line<'_>) -> Result<Map<String, Value>, DatasetError> {
    serde_json::from_str(line.text).map_err(|error| line.error(LineError::Json(error.to_string())))
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
fn hold_lists(
    path: &Path,
    token: &str,
    label: &str,
    task: Option<Task>,
) -> Result<bool, DatasetError> {
    let mut lines = Lines::open(path)?;
    let mut rows = Vec::new();
    while rows.len() < SAMPLE
        && let Some(line) = lines.next()?
    {
        // What is no object is an error when the file is read.
        let object = parse(&line).unwrap_or_default();
        let (text, label) = (object.get(token), object.get(label).and_then(cell));
        if let (Some(Value::String(text)), Some(label)) = (text, label) {
            rows.push((text.clone(), label));
        }
    }
    let rows = rows
        .iter()
        .map(|(text, label)| (text.as_str(), label.as_str()));
    Ok(lists::hold_lists(rows, task))
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

    fn read(&self, _notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut lines = Lines::open(&self.path)?;
        let mut sentences = Sentences::default();
        while let Some(line) = lines.next()? {
            if !is_blank(line.text) {
                self.add(&mut sentences, &line)?;
            }
        }
        lines.filled(sentences)
    }
}
