//! The parts of a tokenizer, as JSON, before tokens are added to it.
//!
//! Each class of tokenizer gives its parts, and one place puts them together: see [`super::build`].

use serde_json::{Map, Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{DEFINITION, Files};
use super::special::Special;

/// What a class makes of the vocabulary and the settings.
pub(super) struct Parts {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) decoder: Value,
    pub(super) model: Value,
    /// The file that holds the vocabulary.
    pub(super) file: &'static str,
}

impl Parts {
    /// As `tokenizer.json`, no token added and nothing put around a sentence.
    pub(super) fn definition(self) -> Value {
        json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": null,
            "decoder": self.decoder,
            "model": self.model,
        })
    }
}

/// Whether there is a `tokenizer.json`, whose model then is of the kind that the class needs.
///
/// # Errors
/// When it is of another kind: `transformers` then gives ids that mean nothing, or fails.
pub(super) fn is_defined(
    files: &Files,
    chosen: &Chosen,
    kind: &str,
) -> Result<bool, TokenizerError> {
    let Some(definition) = &files.definition else {
        return Ok(false);
    };
    let model = definition.get("model").and_then(Value::as_object);
    let model = model.ok_or_else(|| {
        let reason = "no tokenizer that is understood: expected an object as its model".to_owned();
        files.malformed(DEFINITION, reason)
    })?;
    let found = match model.get("type").and_then(Value::as_str) {
        Some(kind) => kind,
        None if model.contains_key("merges") => "BPE",
        None if model.get("vocab").is_some_and(Value::is_array) => "Unigram",
        None => "WordPiece",
    };
    if found == kind {
        return Ok(true);
    }
    let name = &chosen.name;
    let reason = format!(
        "its model is {found}, but {name}, which the files beside it ask for, needs {kind}; if {DEFINITION} is right, set \
         tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json"
    );
    Err(files.malformed(DEFINITION, reason))
}

/// Takes a part out of the model in `tokenizer.json`: vocabularies are large, and nobody else looks
/// at them.
pub(super) fn take(files: &mut Files, name: &str) -> Value {
    let model = files
        .definition
        .as_mut()
        .and_then(|json| json.get_mut("model"));
    model
        .and_then(|model| model.get_mut(name))
        .map_or(Value::Null, Value::take)
}

/// A special token in a template.
pub(super) fn special(token: &str, type_id: u32) -> Value {
    json!({ "SpecialToken": { "id": token, "type_id": type_id } })
}

/// The first sentence (`A`) or the second (`B`) in a template.
pub(super) fn sequence(name: &str, type_id: u32) -> Value {
    json!({ "Sequence": { "id": name, "type_id": type_id } })
}

/// A post-processor that puts special tokens around one or two sentences.
pub(super) fn template(single: &[Value], pair: &[Value], tokens: &[(&str, u32)]) -> Value {
    let tokens: Map<String, Value> = tokens
        .iter()
        .map(|&(token, id)| {
            let value = json!({ "id": token, "ids": [id], "tokens": [token] });
            (token.to_owned(), value)
        })
        .collect();
    json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens })
}

/// The tokens that stand before and after a sentence, with their ids.
pub(super) struct Ends<'t> {
    begin: (&'t str, u32),
    end: (&'t str, u32),
}

impl<'t> Ends<'t> {
    /// The tokens in these two roles.
    ///
    /// # Errors
    /// When one has no id.
    pub(super) fn of(
        tokens: &'t Special,
        roles: [&str; 2],
        id: impl Fn(&str) -> Result<u32, TokenizerError>,
    ) -> Result<Self, TokenizerError> {
        let [begin, end] = roles.map(|role| tokens.named(role).unwrap_or("None"));
        Ok(Self {
            begin: (begin, id(begin)?),
            end: (end, id(end)?),
        })
    }

    /// The same ids for tokens that are called `begin` and `end`.
    pub(super) fn called(self, begin: &'t str, end: &'t str) -> Self {
        Self {
            begin: (begin, self.begin.1),
            end: (end, self.end.1),
        }
    }

    /// Around a sentence, and around two: the second is of type 1, and has a token behind it.
    pub(super) fn with_types(&self) -> Value {
        self.template(vec![sequence("B", 1), special(self.end.0, 1)])
    }

    /// Around a sentence, and around two, with two tokens between them.
    pub(super) fn with_two_between(&self) -> Value {
        let end = || special(self.end.0, 0);
        self.template(vec![end(), sequence("B", 0), end()])
    }

    fn template(&self, second: Vec<Value>) -> Value {
        let (begin, end) = (special(self.begin.0, 0), special(self.end.0, 0));
        let single = vec![begin, sequence("A", 0), end];
        let pair = [single.clone(), second].concat();
        template(&single, &pair, &[self.begin, self.end])
    }

    /// The post-processor of RoBERTa.
    pub(super) fn of_roberta(&self, trim_offsets: bool, add_prefix_space: bool) -> Value {
        json!({
            "type": "RobertaProcessing",
            "sep": self.end,
            "cls": self.begin,
            "trim_offsets": trim_offsets,
            "add_prefix_space": add_prefix_space,
        })
    }
}
