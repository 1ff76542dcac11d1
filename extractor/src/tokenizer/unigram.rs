//! `XLMRobertaTokenizer` and `CamembertTokenizer`: unigram models of `SentencePiece`.
//!
//! Of `tokenizer.json` they take the pieces with their scores and `SentencePiece`'s character map.
//! Other normalizers and the settings of its Metaspace (`add_prefix_space`, `add_dummy_prefix`,
//! `prepend_scheme`) are replaced by `add_prefix_space` of `tokenizer_config.json`, which is true
//! where nothing is said.

use serde_json::{Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{DEFINITION, Files};
use super::names::Class;
use super::parts::{Ends, Parts, is_defined, take};
use super::special::Special;

/// The index of `<unk>` in every vocabulary of XLM-RoBERTa.
const XLM_ROBERTA_UNKNOWN: usize = 3;

/// The pieces of `tokenizer.json`, with their scores.
pub(super) fn pieces(files: &mut Files, chosen: &Chosen) -> Result<Vec<Value>, TokenizerError> {
    if !is_defined(files, chosen, "Unigram")? {
        return Err(files.missing());
    }
    let Value::Array(pieces) = take(files, "vocab") else {
        let reason = "no tokenizer that is understood: expected a list of pieces and their scores";
        return Err(files.malformed(DEFINITION, reason.to_owned()));
    };
    Ok(pieces)
}

/// Pieces and character map of `tokenizer.json`.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    tokens: &Special,
) -> Result<Parts, TokenizerError> {
    let pieces = pieces(files, chosen)?;
    let unknown = if chosen.class == Class::XlmRoberta {
        XLM_ROBERTA_UNKNOWN
    } else {
        let unknown = tokens.named("unk_token").unwrap_or("None");
        let found = pieces
            .iter()
            .position(|piece| piece.get(0).and_then(Value::as_str) == Some(unknown));
        found.unwrap_or(0)
    };
    let metaspace = metaspace(if lead(files)? { "always" } else { "never" }, true);
    Ok(Parts {
        normalizer: character_map(files),
        pre_tokenizer: json!({
            "type": "Sequence",
            "pretokenizers": [{ "type": "WhitespaceSplit" }, metaspace.clone()],
        }),
        decoder: metaspace,
        model: json!({ "type": "Unigram", "unk_id": unknown, "vocab": pieces, "byte_fallback": false }),
        file: DEFINITION,
    })
}

/// Whether words are given a leading space; `null` is false.
pub(super) fn lead(files: &Files) -> Result<bool, TokenizerError> {
    Ok(match files.config.get("add_prefix_space") {
        Some(Value::Null) => false,
        _ => files.flag("add_prefix_space")?.unwrap_or(true),
    })
}

/// `SentencePiece`'s mark for spaces: put before the words that `scheme` says.
pub(super) fn metaspace(scheme: &str, split: bool) -> Value {
    json!({
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": scheme,
        "split": split,
    })
}

/// `SentencePiece`'s character map, alone: the first in the normalizer of `tokenizer.json`, or in a
/// sequence of them.
pub(super) fn character_map(files: &Files) -> Value {
    let normalizer = files
        .definition
        .as_ref()
        .and_then(|json| json.get("normalizer"));
    let Some(normalizer) = normalizer else {
        return Value::Null;
    };
    let sequence = normalizer.get("normalizers").and_then(Value::as_array);
    let all = match sequence {
        Some(all) if normalizer["type"] == "Sequence" => all.as_slice(),
        _ => std::slice::from_ref(normalizer),
    };
    let map = all.iter().find(|one| one["type"] == "Precompiled");
    map.and_then(|map| map.get("precompiled_charsmap")).map_or(
        Value::Null,
        |map| json!({ "type": "Precompiled", "precompiled_charsmap": map }),
    )
}

/// What stands around a sentence: the tokens that begin and end text, not those in the roles of
/// `cls` and `sep`.
pub(super) fn around(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    Ok(Ends::of(tokens, ["bos_token", "eos_token"], id)?.with_two_between())
}
