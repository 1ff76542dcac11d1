//! `PreTrainedTokenizerFast`: `tokenizer.json` as it is, whatever `tokenizer_config.json` says
//! beside tokens.

use serde_json::Value;

use super::TokenizerError;
use super::class::Chosen;
use super::files::{CONFIG, DEFINITION, Files};

/// The definition, added tokens and post-processor in it.
///
/// # Errors
/// When there is no `tokenizer.json`: the class reads nothing else.
pub(super) fn definition<'a>(
    files: &'a Files,
    chosen: &Chosen,
    notes: &mut Vec<String>,
) -> Result<&'a Value, TokenizerError> {
    let Some(definition) = &files.definition else {
        if files.has("vocab.txt") || files.has("vocab.json") {
            let reason = format!(
                "the tokenizer class {} reads {DEFINITION} alone, which is not in the folder; for the vocabulary beside it \
                 set tokenizer_class to BertTokenizer (vocab.txt), RobertaTokenizer or GPT2Tokenizer (vocab.json)",
                chosen.name
            );
            return Err(files.malformed(CONFIG, reason));
        }
        return Err(files.missing());
    };
    notes.extend(not_obeyed(files, definition, chosen));
    Ok(definition)
}

/// Settings that the class passes over, where they say something else than `tokenizer.json`.
fn not_obeyed(files: &Files, definition: &Value, chosen: &Chosen) -> Vec<String> {
    let normalizer = definition.get("normalizer").unwrap_or(&Value::Null);
    let pre_tokenizer = definition.get("pre_tokenizer").unwrap_or(&Value::Null);
    let bare = unled(pre_tokenizer);
    let adds_none = definition
        .get("post_processor")
        .is_none_or(|post| post["type"] != "TemplateProcessing");
    let part = |name: &str| normalizer.get(name).and_then(Value::as_bool);
    let settings = [
        (
            "do_lower_case",
            Some(lower_cases(normalizer)),
            "in its normalizer",
        ),
        ("strip_accents", part("strip_accents"), "in its normalizer"),
        (
            "tokenize_chinese_chars",
            part("handle_chinese_chars"),
            "in its normalizer",
        ),
        ("add_prefix_space", Some(!bare), "in its pre_tokenizer"),
        ("add_bos_token", Some(!adds_none), "in its post_processor"),
        ("add_eos_token", Some(!adds_none), "in its post_processor"),
    ];
    let mut notes = Vec::new();
    for (setting, done, place) in settings {
        let Some(stated) = files.config.get(setting).and_then(Value::as_bool) else {
            continue;
        };
        // What adds one token need not add the other, and that no space is asked for is said below.
        let no_matter =
            !stated && ["add_bos_token", "add_eos_token", "add_prefix_space"].contains(&setting);
        if done == Some(stated) || no_matter {
            continue;
        }
        notes.push(format!(
            "{CONFIG} says {setting}: {stated}, which {} does not obey: {DEFINITION} says otherwise {place} and is used as \
             it is, as transformers 5 does",
            chosen.name
        ));
    }
    if bare {
        notes.push(format!(
            "{DEFINITION} gives words no leading space, and {} changes nothing in it: words get none, as in transformers 5; \
             \"add_prefix_space\": true in its pre_tokenizer gives them one",
            chosen.name
        ));
    }
    notes
}

/// Whether a normalizer, or one in a sequence, makes letters small.
fn lower_cases(normalizer: &Value) -> bool {
    let all = normalizer.get("normalizers").and_then(Value::as_array);
    let one = |one: &Value| one["type"] == "Lowercase" || one["lowercase"] == true;
    all.map_or_else(|| one(normalizer), |all| all.iter().any(one))
}

/// Whether a byte-level pre-tokenizer gives words no leading space.
fn unled(pre_tokenizer: &Value) -> bool {
    let all = pre_tokenizer.get("pretokenizers").and_then(Value::as_array);
    let one = |one: &Value| one["type"] == "ByteLevel" && one["add_prefix_space"] == false;
    all.map_or_else(|| one(pre_tokenizer), |all| all.iter().any(one))
}
