//! `AlbertTokenizer`, `DebertaV2Tokenizer` and `T5Tokenizer`: unigram models whose classes normalize
//! by settings of their own.
//!
//! Of `tokenizer.json` they take the pieces with their scores, `AlbertTokenizer` and `T5Tokenizer`
//! also `SentencePiece`'s character map; other normalizers and the settings of its Metaspace are
//! replaced.

use serde_json::{Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{CONFIG, DEFINITION, Files};
use super::names::Class;
use super::parts::{Ends, Parts, sequence, special, template};
use super::special::{Special, not_there};
use super::unigram::{character_map, lead, metaspace, pieces};

/// What the three make of the pieces.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    tokens: &Special,
) -> Result<Parts, TokenizerError> {
    let pieces = pieces(files, chosen)?;
    let (normalizer, pre_tokenizers, unknown) = match chosen.class {
        Class::DebertaV2 => {
            let unknown = deberta_unknown(files, tokens, &pieces)?;
            (
                deberta_normalizer(files)?,
                deberta_pre_tokenizers(files)?,
                unknown,
            )
        }
        Class::Albert => {
            let scheme = if lead(files)? { "always" } else { "never" };
            let pre_tokenizers = vec![
                json!({ "type": "WhitespaceSplit" }),
                metaspace(scheme, true),
            ];
            // The ids around a sentence are those of pieces, before tokens are added.
            for role in ["cls_token", "sep_token"] {
                piece(files, &pieces, tokens.named(role).unwrap_or("None"))?;
            }
            (albert_normalizer(files)?, pre_tokenizers, 1)
        }
        _ => {
            let pre_tokenizers = vec![
                json!({ "type": "WhitespaceSplit" }),
                metaspace("always", true),
            ];
            (character_map(files), pre_tokenizers, 2)
        }
    };
    Ok(Parts {
        normalizer,
        decoder: pre_tokenizers.last().cloned().unwrap_or_default(),
        pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": pre_tokenizers }),
        model: json!({ "type": "Unigram", "unk_id": unknown, "vocab": pieces, "byte_fallback": false }),
        file: DEFINITION,
    })
}

/// The id of a piece.
fn piece(files: &Files, pieces: &[Value], token: &str) -> Result<usize, TokenizerError> {
    let found = pieces
        .iter()
        .rposition(|piece| piece.get(0).and_then(Value::as_str) == Some(token));
    found.ok_or_else(|| files.malformed(DEFINITION, not_there(token, pieces.len())))
}

/// The unknown token where it is a piece with the score 0, else `unk_id`, which is 1.
fn deberta_unknown(
    files: &Files,
    tokens: &Special,
    pieces: &[Value],
) -> Result<u64, TokenizerError> {
    let unknown = tokens.named("unk_token").unwrap_or("None");
    let found = pieces.iter().position(|piece| {
        piece.get(0).and_then(Value::as_str) == Some(unknown)
            && piece.get(1).and_then(Value::as_f64) == Some(0.0)
    });
    if let Some(found) = found {
        return Ok(found as u64);
    }
    let stated = files.config.get("unk_id");
    let id = stated.map_or(Some(1), Value::as_u64);
    let id = id.filter(|&id| id < pieces.len() as u64);
    id.ok_or_else(|| {
        let stated = stated.cloned().unwrap_or(json!(1));
        let reason = format!(
            "unk_id is {stated}; expected the number of one of the {} pieces",
            pieces.len()
        );
        files.malformed(CONFIG, reason)
    })
}

fn deberta_normalizer(files: &Files) -> Result<Value, TokenizerError> {
    let mut all = Vec::new();
    if files.flag_or_null("do_lower_case")?.unwrap_or(false) {
        all.push(json!({ "type": "Lowercase" }));
    }
    let space = json!({ "Regex": r"\s{2,}|[\n\r\t]" });
    all.push(json!({ "type": "Replace", "pattern": space, "content": " " }));
    all.push(json!({ "type": "NFC" }));
    all.push(json!({ "type": "Strip", "strip_left": false, "strip_right": true }));
    Ok(json!({ "type": "Sequence", "normalizers": all }))
}

fn deberta_pre_tokenizers(files: &Files) -> Result<Vec<Value>, TokenizerError> {
    let mut all = Vec::new();
    if files.flag_or_null("split_by_punct")?.unwrap_or(false) {
        all.push(json!({ "type": "Punctuation", "behavior": "Isolated" }));
    }
    all.push(metaspace(
        if lead(files)? { "always" } else { "first" },
        true,
    ));
    Ok(all)
}

fn albert_normalizer(files: &Files) -> Result<Value, TokenizerError> {
    let quote =
        |mark: &str| json!({ "type": "Replace", "pattern": { "String": mark }, "content": "\"" });
    let mut all = vec![quote("``"), quote("''")];
    if !files.flag_or_null("keep_accents")?.unwrap_or(false) {
        all.push(json!({ "type": "NFKD" }));
        all.push(json!({ "type": "StripAccents" }));
    }
    let lower = match files.config.get("do_lower_case") {
        Some(Value::Null) => false,
        _ => files.flag("do_lower_case")?.unwrap_or(true),
    };
    if lower {
        all.push(json!({ "type": "Lowercase" }));
    }
    let map = character_map(files);
    if !map.is_null() {
        all.push(map);
    }
    Ok(json!({ "type": "Sequence", "normalizers": all }))
}

/// What `AlbertTokenizer` puts around a sentence: what `tokenizer.json` says, else the tokens that
/// are called `[CLS]` and `[SEP]` whatever their texts are.
pub(super) fn around_albert(
    files: &Files,
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let stated = files
        .definition
        .as_ref()
        .and_then(|json| json.get("post_processor"));
    if let Some(stated) = stated.filter(|stated| !stated.is_null()) {
        return Ok(stated.clone());
    }
    let ends = Ends::of(tokens, ["cls_token", "sep_token"], id)?;
    Ok(ends.called("[CLS]", "[SEP]").with_types())
}

/// What `T5Tokenizer` puts around a sentence: the token that ends text, called `</s>` whatever its
/// text is.
pub(super) fn around_t5(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let end = id(tokens.named("eos_token").unwrap_or("None"))?;
    let single = vec![sequence("A", 0), special("</s>", 0)];
    let pair = [single.clone(), vec![sequence("B", 0), special("</s>", 0)]].concat();
    Ok(template(&single, &pair, &[("</s>", end)]))
}
