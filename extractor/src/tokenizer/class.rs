//! Which class of tokenizer a checkpoint asks for.
//!
//! `transformers` 5 makes of one `tokenizer.json` different tokenizers, by the class:
//! `BertTokenizer` takes the vocabulary out of it and normalizes by `tokenizer_config.json`,
//! `PreTrainedTokenizerFast` uses it as it is. The class is `tokenizer_class` in
//! `tokenizer_config.json`, else in `config.json`, else that of the model's type; for some types
//! and some files another one.

use serde_json::{Map, Value};

use super::TokenizerError;
use super::files::{CONFIG, DEFINITION, Files, MODEL};
use super::names::{Class, OTHER_FAST, SLOW, is_misnamed, ours, registered};

/// A class and the name that `transformers` has for it.
pub(super) struct Chosen {
    pub(super) class: Class,
    pub(super) name: String,
}

/// What is known of the model.
struct ModelType<'a> {
    name: Option<&'a str>,
    /// The class that belongs to it.
    class: Option<&'static str>,
    /// That class is taken whatever the files name.
    misnamed: bool,
}

impl<'a> ModelType<'a> {
    fn of(files: &'a Files) -> Self {
        let text = |name: &str| files.model.get(name).and_then(Value::as_str);
        let name = text("model_type");
        Self {
            name,
            class: name.and_then(registered),
            misnamed: name.is_some_and(is_misnamed) || text("model_name").is_some_and(is_misnamed),
        }
    }
}

impl Chosen {
    /// The class that `AutoTokenizer` takes for the folder; `notes` gets what had to be guessed.
    pub(super) fn of(files: &Files, notes: &mut Vec<String>) -> Result<Self, TokenizerError> {
        let model = ModelType::of(files);
        let stated = stated(files)?;
        let own_code = own_code(files, &model, stated.as_ref())?;
        let Some((file, name)) = stated else {
            let Some(name) = model.class else {
                return Ok(guessed(files, model.name, notes));
            };
            return named(files, MODEL, name.to_owned(), notes);
        };
        if own_code {
            return named(files, file, name, notes);
        }
        let base = name.strip_suffix("Fast").unwrap_or(&name);
        if base == "LlamaTokenizer" && !model.misnamed && is_byte_level(files) {
            notes.push(format!(
                "{file} says {name}, but {DEFINITION} is byte-level: it is used as it is, as transformers 5 does"
            ));
            return Ok(Self::generic("TokenizersBackend".to_owned()));
        }
        let Some(usual) = model.class else {
            return named(files, file, name, notes);
        };
        // A class that `transformers` registers for none but this one passes over what is stated.
        if usual == "TokenizersBackend" {
            return Ok(Self::generic(usual.to_owned()));
        }
        let differs = ours(base).is_none_or(|class| Some(class) != ours(usual));
        let ModelType {
            name: model,
            misnamed,
            ..
        } = model;
        let model = model.unwrap_or_default();
        if base != usual && misnamed {
            if differs {
                notes.push(format!(
                    "{file} says {name}, models of type {model} have {usual}: {usual} is used, as transformers 5 does"
                ));
            }
            return named(files, file, usual.to_owned(), notes);
        }
        let chosen = named(files, file, name, notes)?;
        if differs && chosen.class != Class::Generic {
            let name = &chosen.name;
            notes.push(format!(
                "{file} says {name}, models of type {model} have {usual}: {name} is used, as transformers 5 does"
            ));
        }
        Ok(chosen)
    }

    fn generic(name: String) -> Self {
        Self {
            class: Class::Generic,
            name,
        }
    }
}

/// The class of a name in `file`, or that a model's type in `file` has.
///
/// # Errors
/// When the class is one of `transformers` that is not known here.
fn named(
    files: &Files,
    file: &'static str,
    name: String,
    notes: &mut Vec<String>,
) -> Result<Chosen, TokenizerError> {
    let base = name.strip_suffix("Fast").unwrap_or(&name);
    if let Some(class) = ours(base) {
        return Ok(Chosen { class, name });
    }
    if SLOW.contains(&base) {
        let reason = format!(
            "the tokenizer class {name} is written in Python alone and gives no word ids, also in transformers; \
             expected a class with a tokenizer.json, such as BertTokenizer or PreTrainedTokenizerFast"
        );
        return Err(files.malformed(file, reason));
    }
    if OTHER_FAST.contains(&base) {
        let reason = format!(
            "the tokenizer class {name} rebuilds tokenizer.json in a way that is not known here; Python writes what it \
             makes of it: PreTrainedTokenizerFast(tokenizer_object=AutoTokenizer.from_pretrained(FOLDER)\
             .backend_tokenizer).save_pretrained(FOLDER)"
        );
        return Err(files.malformed(file, reason));
    }
    notes.push(format!(
        "{file} says {name}, which transformers 5 does not know: {DEFINITION} is used as it is"
    ));
    Ok(Chosen::generic(name))
}

/// Whether `tokenizer.json` says `"ByteLevel"` anywhere, as `transformers` looks for it.
fn is_byte_level(files: &Files) -> bool {
    let text = files.was_read(DEFINITION);
    text.is_some_and(|text| text.contains("\"ByteLevel\""))
}

/// Whether `auto_map` names code of the checkpoint's own, beside a class that `transformers` has:
/// then that class is taken, as it is named.
///
/// # Errors
/// When there is no such class: code of a checkpoint is not run.
fn own_code(
    files: &Files,
    model: &ModelType<'_>,
    stated: Option<&(&'static str, String)>,
) -> Result<bool, TokenizerError> {
    let code = match files.config.get("auto_map") {
        Some(Value::Object(map)) => map.get("AutoTokenizer"),
        other => other,
    };
    if code.is_none_or(Value::is_null) {
        return Ok(false);
    }
    let has_class = stated.is_some_and(|(_, name)| {
        let base = name.strip_suffix("Fast").unwrap_or(name);
        ours(base).is_some() || OTHER_FAST.contains(&base) || SLOW.contains(&base)
    });
    if has_class || model.class.is_some() || model.misnamed {
        return Ok(true);
    }
    let reason = "auto_map says that the tokenizer is code of the checkpoint, which is not run; if its tokenizer.json is \
                  complete, remove auto_map and set tokenizer_class to PreTrainedTokenizerFast";
    Err(files.malformed(CONFIG, reason.to_owned()))
}

/// The class that a file names, and the file.
fn stated(files: &Files) -> Result<Option<(&'static str, String)>, TokenizerError> {
    let of =
        |settings: &Map<String, Value>, file: &'static str| match settings.get("tokenizer_class") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) if name.is_empty() => Ok(None),
            Some(Value::String(name)) => Ok(Some((file, name.clone()))),
            Some(other) => {
                Err(files.malformed(file, format!("tokenizer_class is {other}; expected a name")))
            }
        };
    match of(&files.config, CONFIG)? {
        Some(found) => Ok(Some(found)),
        None => of(&files.model, MODEL),
    }
}

/// No file names a class, and none belongs to the type of the model.
fn guessed(files: &Files, model_type: Option<&str>, notes: &mut Vec<String>) -> Chosen {
    let (class, name, because) = if files.definition.is_some() {
        (
            Class::Generic,
            "TokenizersBackend",
            "tokenizer.json is used as it is",
        )
    } else if files.has("vocab.txt") {
        (
            Class::Bert,
            "BertTokenizer",
            "vocab.txt is taken for BertTokenizer's",
        )
    } else {
        let has_begin = fs_err::read_to_string(files.path("vocab.json"))
            .is_ok_and(|text| text.contains("\"<s>\""));
        if has_begin {
            (
                Class::Roberta,
                "RobertaTokenizer",
                "vocab.json has <s> and is taken for RobertaTokenizer's",
            )
        } else {
            (
                Class::Gpt2,
                "GPT2Tokenizer",
                "vocab.json is taken for GPT2Tokenizer's",
            )
        }
    };
    // A tokenizer.json alone is all that transformers needs too: nothing is guessed then.
    if class != Class::Generic || model_type.is_some() {
        notes.push(format!(
            "neither {CONFIG} nor {MODEL} says which tokenizer_class: {because}"
        ));
    }
    Chosen {
        class,
        name: name.to_owned(),
    }
}
