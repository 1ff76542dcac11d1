//! `RobertaTokenizer`, `GPT2Tokenizer`, `GPTNeoXTokenizer`, `DebertaTokenizer` and `Qwen2Tokenizer`:
//! byte-level BPE.
//!
//! Byte-level BPE tells the beginning of a word by the space before it, so a word given on its own
//! needs one too: these tokenizers are as `AutoTokenizer.from_pretrained(FOLDER,
//! add_prefix_space=True)`, whatever the files say of it. `Qwen2Tokenizer` alone cuts a word before
//! it would give the space, to each part: it is as its files say.

use serde_json::{Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{CONFIG, DEFINITION, Files};
use super::names::Class;
use super::parts::{Ends, Parts, is_defined, sequence, special, take, template};
use super::special::Special;

/// The pattern by which `Qwen2Tokenizer` cuts text: shortened endings, letters after one other
/// character, single digits, the rest after a space, lines.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// That of `Qwen3_5Tokenizer`: marks stay with their letters.
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The file that holds the vocabulary, the ids in it and the merges.
pub(super) fn vocabulary(
    files: &mut Files,
    chosen: &Chosen,
) -> Result<(&'static str, Value, Value), TokenizerError> {
    if is_defined(files, chosen, "BPE")? {
        return Ok((DEFINITION, take(files, "vocab"), take(files, "merges")));
    }
    // `Qwen3_5Tokenizer` reads no older files.
    if chosen.class == Class::Qwen35 {
        return Err(files.missing());
    }
    let (Some(ids), Some(text)) = (files.object("vocab.json")?, files.text("merges.txt")?) else {
        return Err(files.missing());
    };
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"));
    Ok(("vocab.json", Value::Object(ids), lines.collect()))
}

/// Vocabulary and merges of `tokenizer.json`, or of `vocab.json` and `merges.txt`.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    notes: &mut Vec<String>,
) -> Result<Parts, TokenizerError> {
    let (file, ids, merges) = vocabulary(files, chosen)?;
    let pre_tokenizer = match chosen.class {
        Class::Qwen2 | Class::Qwen35 => qwen(files, chosen, notes)?,
        _ => {
            if files.config.get("add_prefix_space") == Some(&Value::Bool(false)) {
                notes.push(format!(
                    "{CONFIG} says add_prefix_space: false: words are given a leading space all the same, each by \
                     itself, as transformers asks for text that is split into words"
                ));
            }
            byte_level(true, true)
        }
    };
    let composes = matches!(chosen.class, Class::GptNeoX | Class::Qwen2 | Class::Qwen35);
    Ok(Parts {
        normalizer: if composes {
            json!({ "type": "NFC" })
        } else {
            Value::Null
        },
        pre_tokenizer,
        decoder: byte_level(true, true),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": ids,
            "merges": merges,
        }),
        file,
    })
}

fn byte_level(add_prefix_space: bool, use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": true,
        "use_regex": use_regex,
    })
}

/// The pre-tokenizer of `Qwen2Tokenizer` and its like. A leading space is theirs to give: with one
/// each part of a word would get it.
fn qwen(files: &Files, chosen: &Chosen, notes: &mut Vec<String>) -> Result<Value, TokenizerError> {
    let lead = files.flag_or_null("add_prefix_space")?.unwrap_or(false);
    if !lead {
        notes.push(unled(chosen));
    }
    let pattern = if chosen.class == Class::Qwen2 {
        QWEN2
    } else {
        QWEN35
    };
    let split = json!({
        "type": "Split",
        "pattern": { "Regex": pattern },
        "behavior": "Isolated",
        "invert": false,
    });
    Ok(json!({ "type": "Sequence", "pretokenizers": [split, byte_level(lead, false)] }))
}

/// What is said where words get no leading space.
pub(super) fn unled(chosen: &Chosen) -> String {
    format!(
        "{} gives words no leading space, as in transformers 5: each is cut as at the beginning of a text",
        chosen.name
    )
}

/// What `RobertaTokenizer` puts around a sentence.
pub(super) fn around_roberta(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let ends = Ends::of(tokens, ["cls_token", "sep_token"], id)?;
    Ok(ends.of_roberta(files.flag("trim_offsets")?.unwrap_or(true), true))
}

/// What `GPT2Tokenizer` and others put around a sentence: what `tokenizer.json` says; without it,
/// `add_bos_token` and `add_eos_token`.
pub(super) fn around_gpt2(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    if let Some(definition) = &files.definition {
        return Ok(definition
            .get("post_processor")
            .cloned()
            .unwrap_or_default());
    }
    around_asked(files, tokens, id)
}

/// What `GPTNeoXTokenizer` puts around a sentence: nothing where there is a `tokenizer.json`, which
/// makes `add_bos_token` and `add_eos_token` be passed over.
pub(super) fn around_gpt_neox(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    if files.definition.is_some() {
        return Ok(Value::Null);
    }
    around_asked(files, tokens, id)
}

/// What `DebertaTokenizer` puts around a sentence.
pub(super) fn around_deberta(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    Ok(Ends::of(tokens, ["cls_token", "sep_token"], id)?.with_two_between())
}

/// What `add_bos_token` and `add_eos_token` ask for.
fn around_asked(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let asked = |flag: &str, role: &str| -> Result<Option<String>, TokenizerError> {
        let asked = files.flag(flag)?.unwrap_or(false);
        Ok(tokens.named(role).filter(|_| asked).map(str::to_owned))
    };
    let begin = asked("add_bos_token", "bos_token")?;
    let end = asked("add_eos_token", "eos_token")?;
    if begin.is_none() && end.is_none() {
        return Ok(Value::Null);
    }
    let around = |name: &str, type_id: u32| -> Vec<Value> {
        let begin = begin.as_deref().map(|token| special(token, type_id));
        let end = end.as_deref().map(|token| special(token, type_id));
        begin
            .into_iter()
            .chain([sequence(name, type_id)])
            .chain(end)
            .collect()
    };
    let mut ids = Vec::new();
    for token in [&begin, &end].into_iter().flatten() {
        ids.push((token.as_str(), id(token)?));
    }
    let single = around("A", 0);
    let pair = [single.clone(), around("B", 1)].concat();
    Ok(template(&single, &pair, &ids))
}
