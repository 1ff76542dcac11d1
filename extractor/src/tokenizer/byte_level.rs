//! `RobertaTokenizer` and `GPT2Tokenizer`: byte-level BPE.
//!
//! Byte-level BPE tells the beginning of a word by the space before it, so a word given on its own
//! needs one too: these tokenizers are as `AutoTokenizer.from_pretrained(FOLDER,
//! add_prefix_space=True)`, whatever the files say of it.

use serde_json::{Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{CONFIG, DEFINITION, Files};
use super::parts::{Parts, is_defined, sequence, special, take, template};
use super::special::Special;

/// Vocabulary and merges of `tokenizer.json`, or of `vocab.json` and `merges.txt`.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    notes: &mut Vec<String>,
) -> Result<Parts, TokenizerError> {
    let (file, ids, merges) = if is_defined(files, chosen, "BPE")? {
        (DEFINITION, take(files, "vocab"), take(files, "merges"))
    } else {
        let (Some(ids), Some(text)) = (files.object("vocab.json")?, files.text("merges.txt")?)
        else {
            return Err(files.missing());
        };
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("#version"));
        ("vocab.json", Value::Object(ids), lines.collect())
    };
    if files.config.get("add_prefix_space") == Some(&Value::Bool(false)) {
        notes.push(format!(
            "{CONFIG} says add_prefix_space: false: words are given a leading space all the same, each by itself, as \
             transformers asks for text that is split into words"
        ));
    }
    let byte_level = json!({
        "type": "ByteLevel",
        "add_prefix_space": true,
        "trim_offsets": true,
        "use_regex": true,
    });
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer: byte_level.clone(),
        decoder: byte_level,
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

/// What `RobertaTokenizer` puts around a sentence.
pub(super) fn around_roberta(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let begin = tokens.named("cls_token").unwrap_or("None");
    let end = tokens.named("sep_token").unwrap_or("None");
    Ok(json!({
        "type": "RobertaProcessing",
        "sep": [end, id(end)?],
        "cls": [begin, id(begin)?],
        "trim_offsets": files.flag("trim_offsets")?.unwrap_or(true),
        "add_prefix_space": true,
    }))
}

/// What `GPT2Tokenizer` puts around a sentence: what `tokenizer.json` says; without it,
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
