//! What the settings beside `tokenizer.json` change in it.
//!
//! A class of tokenizer may replace parts of `tokenizer.json`. Users who look into that file alone
//! must learn which, and the digest of a tokenizer is that of `tokenizer.json` alone only as long
//! as nothing is replaced.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use super::around::Around;
use super::class::Chosen;
use super::files::{CONFIG, DEFINITION, Files};
use super::names::Class;

/// A part of `tokenizer.json` that is not used as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Normalizer,
    PreTokenizer,
    Model,
    Around,
    Added,
}

/// The settings of a model in a definition, without its vocabulary.
pub(super) fn options(definition: &Value) -> Map<String, Value> {
    let mut options = Map::new();
    let model = definition.get("model").and_then(Value::as_object);
    for (name, value) in model.into_iter().flatten() {
        let unset = matches!(value, Value::Null | Value::Bool(false)) || *value == "";
        if !unset && !["type", "vocab", "merges"].contains(&name.as_str()) {
            options.insert(name.clone(), value.clone());
        }
    }
    // What the crate takes where a word piece model says nothing.
    if options.contains_key("unk_token") && model.is_some_and(|model| !model.contains_key("merges"))
    {
        options
            .entry("max_input_chars_per_word")
            .or_insert(json!(100));
        options
            .entry("continuing_subword_prefix")
            .or_insert(json!("##"));
    }
    options
}

/// Whether the crate understands the parts of `tokenizer.json`, also those that are replaced: a
/// file that is damaged there is not to be trusted in its vocabulary either.
pub(super) fn understands(definition: &Value) -> tokenizers::Result<()> {
    fn part<T: DeserializeOwned>(definition: &Value, name: &str) -> tokenizers::Result<()> {
        let part = definition.get(name).cloned().unwrap_or_default();
        match serde_json::from_value::<Option<T>>(part) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{name}: {error}").into()),
        }
    }
    part::<NormalizerWrapper>(definition, "normalizer")?;
    part::<PreTokenizerWrapper>(definition, "pre_tokenizer")?;
    part::<PostProcessorWrapper>(definition, "post_processor")?;
    part::<DecoderWrapper>(definition, "decoder")
}

/// The parts in which a tokenizer differs from its `tokenizer.json`, words given a leading space;
/// none without that file.
pub(super) fn against_definition(
    files: &Files,
    chosen: &Chosen,
    inner: &tokenizers::Tokenizer,
    around: &Around,
    own: &Map<String, Value>,
) -> Vec<Part> {
    let Some(definition) = &files.definition else {
        return Vec::new();
    };
    let part = |name: &str| definition.get(name).cloned().unwrap_or_default();
    let mut differ = Vec::new();
    let normalizer = canonical::<NormalizerWrapper>(part("normalizer"));
    if normalizer != to_value(&inner.get_normalizer()) {
        differ.push(Part::Normalizer);
    }
    let led = with_leading_space(part("pre_tokenizer"));
    let pre_tokenizer = canonical::<PreTokenizerWrapper>(led).map(without_offsets);
    if pre_tokenizer != to_value(&inner.get_pre_tokenizer()).map(without_offsets) {
        differ.push(Part::PreTokenizer);
    }
    if chosen.class != Class::Generic && options(definition) != *own {
        differ.push(Part::Model);
    }
    let post_processor = serde_json::from_value(part("post_processor"));
    let post_processor: Option<PostProcessorWrapper> = post_processor.unwrap_or_default();
    if Around::of(post_processor.as_ref()).ok().as_ref() != Some(around) {
        differ.push(Part::Around);
    }
    if listed(&part("added_tokens")) != known(inner) {
        differ.push(Part::Added);
    }
    differ
}

/// A part as the crate writes it, so that older forms compare equal; none when it is not
/// understood.
fn canonical<T: DeserializeOwned + Serialize>(part: Value) -> Option<Value> {
    let part: Option<T> = serde_json::from_value(part).ok()?;
    to_value(&part)
}

fn to_value(part: &impl Serialize) -> Option<Value> {
    serde_json::to_value(part).ok()
}

/// Where a word begins and ends in characters is no matter of ids.
fn without_offsets(mut part: Value) -> Value {
    if let Some(part) = part.as_object_mut() {
        part.remove("trim_offsets");
    }
    part
}

/// A byte-level pre-tokenizer as it was used before settings were read: leading spaces on.
fn with_leading_space(mut pre_tokenizer: Value) -> Value {
    let first = if pre_tokenizer["type"] == "Sequence" {
        pre_tokenizer.pointer_mut("/pretokenizers/0")
    } else {
        Some(&mut pre_tokenizer)
    };
    if let Some(first) = first
        && first["type"] == "ByteLevel"
    {
        first["add_prefix_space"] = json!(true);
    }
    pre_tokenizer
}

type Added = BTreeSet<(u64, String, [bool; 4])>;

fn entry(id: u64, token: &AddedToken) -> (u64, String, [bool; 4]) {
    let AddedToken {
        content,
        single_word,
        lstrip,
        rstrip,
        normalized,
        ..
    } = token;
    (
        id,
        content.clone(),
        [*single_word, *lstrip, *rstrip, *normalized],
    )
}

fn listed(added: &Value) -> Added {
    let token = |token: &Value| {
        let id = token.get("id")?.as_u64()?;
        let token: AddedToken = serde_json::from_value(token.clone()).ok()?;
        Some(entry(id, &token))
    };
    added
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(token)
        .collect()
}

fn known(inner: &tokenizers::Tokenizer) -> Added {
    let tokens = inner.get_added_tokens_decoder();
    tokens
        .iter()
        .map(|(id, token)| entry(u64::from(*id), token))
        .collect()
}

/// A line for each thing that a reader of `tokenizer.json` would not expect.
pub(super) fn notes(
    files: &Files,
    chosen: &Chosen,
    around: &Around,
    differ: &[Part],
) -> Vec<String> {
    let (Some(definition), false) = (&files.definition, chosen.class == Class::Generic) else {
        return Vec::new();
    };
    let name = &chosen.name;
    let mut notes = Vec::new();
    let mut differ = differ.to_vec();
    if chosen.class == Class::Bert && definition["normalizer"]["type"] == "BertNormalizer" {
        notes.extend(bert_normalizer(files, name, &definition["normalizer"]));
        differ.retain(|part| *part != Part::Normalizer);
    }
    let parts: Vec<&str> = differ
        .iter()
        .map(|part| match part {
            Part::Normalizer => "normalizer",
            Part::PreTokenizer => "pre-tokenizer",
            Part::Model => "settings of the model",
            Part::Around => "tokens around a sentence",
            Part::Added => "added tokens",
        })
        .collect();
    if !parts.is_empty() {
        notes.push(format!(
            "{DEFINITION} has other {} than {name} makes of it and the files beside it: those of {name} are used, as \
             transformers 5 does",
            parts.join(", ")
        ));
    }
    for (setting, ids) in [
        ("add_bos_token", &around.prefix),
        ("add_eos_token", &around.suffix),
    ] {
        if files.config.get(setting) == Some(&Value::Bool(true)) && ids.is_empty() {
            notes.push(format!(
                "{CONFIG} says {setting}: true, {DEFINITION} puts no token there: none is put, as transformers 5 does"
            ));
        }
    }
    notes
}

/// Settings in which BERT's normalizer of `tokenizer.json` is not the one that is used.
fn bert_normalizer(files: &Files, name: &str, theirs: &Value) -> Vec<String> {
    let settings = [
        ("do_lower_case", "lowercase", json!(true)),
        ("strip_accents", "strip_accents", Value::Null),
        (
            "tokenize_chinese_chars",
            "handle_chinese_chars",
            json!(true),
        ),
    ];
    let mut notes = Vec::new();
    for (setting, part, default) in settings {
        let stated = files.config.get(setting);
        let used = stated.unwrap_or(&default);
        if theirs.get(part).unwrap_or(&Value::Null) == used {
            continue;
        }
        let says = match stated {
            Some(value) => format!("{CONFIG} says {setting}: {value}"),
            None => format!("no {CONFIG} says {setting}, which is {default} for {name}"),
        };
        let (found, done) = match (setting, used == true) {
            ("do_lower_case", true) => ("keeps upper case".to_owned(), "words are lower-cased"),
            ("do_lower_case", false) => ("lower-cases".to_owned(), "words are not lower-cased"),
            _ => {
                let found = theirs.get(part).unwrap_or(&Value::Null);
                (format!("has {part}: {found}"), "the former is not used")
            }
        };
        notes.push(format!(
            "{DEFINITION} {found}, {says}: {done}, as transformers 5 does"
        ));
    }
    notes
}
