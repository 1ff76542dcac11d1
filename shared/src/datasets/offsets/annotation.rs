//! One record of an annotation tool: where its text, its spans and its words are.

use serde_json::{Map, Value};

use crate::datasets::names::LABELS;
use crate::datasets::{Column, LineError, Source};
use crate::tasks::Task;

/// Fields that hold spans, the most specific first.
const SPAN_FIELDS: [&str; 6] = [
    "spans",
    "entities",
    "labels",
    "label",
    "annotations",
    "completions",
];
const TEXT_FIELDS: [&str; 4] = ["text", "sentence", "content", "data"];

/// The fields that the user named.
#[derive(Debug)]
pub(super) struct Fields {
    text: Option<String>,
    spans: Option<String>,
    task: Option<Task>,
}

/// What a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Spans,
    /// A text that may have spans, but has none.
    NoSpan,
    Other,
}

/// What a record says.
pub(super) enum Reading {
    Text(Annotated),
    /// Nobody has labelled it, or somebody refused to.
    Unlabelled,
}

/// A text with its spans.
pub(super) struct Annotated {
    pub(super) text: String,
    pub(super) spans: Vec<Marked>,
    /// Where the words are, in characters, if the record says so.
    pub(super) tokens: Option<Vec<(usize, usize)>>,
}

/// A span as the record has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Marked {
    pub(super) start: usize,
    /// One past the last character.
    pub(super) end: usize,
    pub(super) label: String,
    /// What the tool shows for it, if it is said.
    pub(super) surface: Option<String>,
}

impl Fields {
    pub(super) fn new(source: &Source) -> Self {
        let name = |column: &Option<Column>| column.as_ref().map(ToString::to_string);
        Self {
            text: name(&source.token_column),
            spans: name(&source.label_column),
            task: source.task,
        }
    }

    pub(super) fn shape(&self, record: &Value) -> Shape {
        let Some((record, _)) = self.text(record) else {
            return Shape::Other;
        };
        if self.is_labelled_otherwise(record) {
            return Shape::Other;
        }
        match self.spans(record) {
            Some((_, [])) => Shape::NoSpan,
            Some((_, spans)) if spans.iter().all(is_span) => Shape::Spans,
            _ => Shape::Other,
        }
    }

    /// Whether an object has labels of its words or of its text as well, and nobody asked for spans.
    fn is_labelled_otherwise(&self, object: &Map<String, Value>) -> bool {
        if self.spans.is_some() {
            return false;
        }
        let scalar = |name: &&str| {
            let value = object.get(*name);
            value.is_some_and(|value| value.is_string() || value.is_number() || value.is_boolean())
        };
        let words = ["tokens", "words"].iter().any(|name| {
            let words = object.get(*name).and_then(Value::as_array);
            words.is_some_and(|words| words.iter().any(Value::is_string))
        });
        let text_only = self.task.is_some_and(|task| !task.labels_words());
        text_only || words || (self.task.is_none() && LABELS.iter().any(scalar))
    }

    /// The object with the spans, and the text; spaCy's training data has both in an array.
    fn text<'a>(&self, record: &'a Value) -> Option<(&'a Map<String, Value>, &'a str)> {
        if let Value::Array(pair) = record {
            let [Value::String(text), Value::Object(object)] = pair.as_slice() else {
                return None;
            };
            return Some((object, text));
        }
        let object = record.as_object()?;
        let inner = object
            .get("data")
            .and_then(Value::as_object)
            .unwrap_or(object);
        if let Some(name) = &self.text {
            return Some((object, inner.get(name)?.as_str()?));
        }
        let text = TEXT_FIELDS
            .iter()
            .find_map(|name| inner.get(*name)?.as_str());
        // A task of Label Studio with one text only, whatever it is called.
        let only = || {
            let mut texts = inner.values().filter_map(Value::as_str);
            let first = texts.next()?;
            texts.next().is_none().then_some(first)
        };
        let nested = object.get("data").is_some_and(Value::is_object);
        Some((object, text.or_else(|| if nested { only() } else { None })?))
    }

    fn spans<'a>(&self, object: &'a Map<String, Value>) -> Option<(&'a str, &'a [Value])> {
        let field = |name: &str| {
            let (name, value) = object.get_key_value(name)?;
            Some((name.as_str(), value.as_array()?.as_slice()))
        };
        match &self.spans {
            Some(name) => field(name),
            None => SPAN_FIELDS.iter().find_map(|name| field(name)),
        }
    }

    /// Reads a record.
    pub(super) fn read(&self, record: &Value) -> Result<Reading, LineError> {
        let found = self.text(record);
        let Some((object, text)) = found else {
            return Err(fields(record));
        };
        let Some((field, spans)) = self.spans(object) else {
            return Err(fields(record));
        };
        let answer = object.get("answer").and_then(Value::as_str);
        if answer.is_some_and(|answer| answer != "accept") {
            return Ok(Reading::Unlabelled);
        }
        let tokens = object.get("tokens").and_then(tokens);
        let of_tasks = matches!(field, "annotations" | "completions")
            && spans
                .iter()
                .all(|annotation| annotation.get("result").is_some());
        let spans = if of_tasks {
            let Some(spans) = of_annotations(spans)? else {
                return Ok(Reading::Unlabelled);
            };
            spans
        } else {
            let spans = spans.iter().map(|span| marked(span, tokens.as_deref()));
            spans.collect::<Result<_, _>>()?
        };
        Ok(Reading::Text(Annotated {
            text: text.to_owned(),
            spans,
            tokens,
        }))
    }
}

fn fields(record: &Value) -> LineError {
    let object = record.as_object();
    LineError::Fields {
        expected: "a text and its spans, as in the records before".to_owned(),
        got: object.map_or_else(
            || "no object".to_owned(),
            |object| {
                object
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            },
        ),
    }
}

/// The spans on which the annotations of a task agree; none when there is no annotation.
fn of_annotations(annotations: &[Value]) -> Result<Option<Vec<Marked>>, LineError> {
    let mut agreed: Option<Vec<Marked>> = None;
    for annotation in annotations {
        if annotation.get("was_cancelled").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let result = annotation.get("result").and_then(Value::as_array);
        let mut spans = Vec::new();
        for item in result.into_iter().flatten() {
            // Relations and answers about the whole text are no spans.
            if item
                .get("value")
                .is_some_and(|value| value.get("start").is_some())
            {
                spans.push(marked(item, None)?);
            }
        }
        spans.sort();
        if agreed.as_ref().is_some_and(|agreed| *agreed != spans) {
            return Err(LineError::Annotations(annotations.len()));
        }
        agreed = Some(spans);
    }
    Ok(agreed)
}

/// Whether a value is a span, or an annotation with spans.
fn is_span(value: &Value) -> bool {
    match value {
        Value::Array(parts) => {
            parts.len() >= 3 && parts[0].is_number() && parts[1].is_number() && parts[2].is_string()
        }
        Value::Object(object) => {
            let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
            has(&["result"])
                || (has(&["start", "start_offset", "token_start"])
                    && has(&["end", "end_offset", "token_end"]))
        }
        _ => false,
    }
}

/// Where words are, in characters.
fn tokens(value: &Value) -> Option<Vec<(usize, usize)>> {
    let tokens = value.as_array()?.iter();
    tokens
        .map(|token| Some((number(token.get("start")?)?, number(token.get("end")?)?)))
        .collect()
}

fn number(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

/// One span.
fn marked(span: &Value, tokens: Option<&[(usize, usize)]>) -> Result<Marked, LineError> {
    let wrong = || LineError::SpanRecord(span.to_string().chars().take(200).collect());
    if let Value::Array(parts) = span {
        let [start, end, Value::String(label), ..] = parts.as_slice() else {
            return Err(wrong());
        };
        let (Some(start), Some(end)) = (number(start), number(end)) else {
            return Err(wrong());
        };
        return checked(
            Marked {
                start,
                end,
                label: label.clone(),
                surface: None,
            },
            wrong,
        );
    }
    let inner = span
        .get("value")
        .filter(|value| value.is_object())
        .unwrap_or(span);
    let of = |names: &[&str]| names.iter().find_map(|name| number(inner.get(*name)?));
    let ends = of(&["start", "start_offset"]).zip(of(&["end", "end_offset"]));
    // Words are counted with the last.
    let of_words = || {
        let word = |name| tokens?.get(of(&[name])?);
        Some((word("token_start")?.0, word("token_end")?.1))
    };
    let (start, end) = ends.or_else(of_words).ok_or_else(wrong)?;
    let label = ["label", "type", "tag"]
        .iter()
        .find_map(|name| inner.get(*name)?.as_str());
    let list = || {
        ["labels", "hypertextlabels", "paragraphlabels"]
            .iter()
            .find_map(|name| match inner.get(*name)?.as_array()?.as_slice() {
                [Value::String(label)] => Some(label.as_str()),
                _ => None,
            })
    };
    let label = list().or(label).ok_or_else(wrong)?.to_owned();
    let surface = inner.get("text").and_then(Value::as_str).map(str::to_owned);
    checked(
        Marked {
            start,
            end,
            label,
            surface,
        },
        wrong,
    )
}

/// A span with a name for its type.
fn checked(mut span: Marked, wrong: impl Fn() -> LineError) -> Result<Marked, LineError> {
    span.label = span.label.trim().into();
    if span.label.is_empty() {
        Err(wrong())
    } else {
        Ok(span)
    }
}
