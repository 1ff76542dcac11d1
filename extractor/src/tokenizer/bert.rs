//! `BertTokenizer` and `MPNetTokenizer`: word pieces of text that is normalized by settings, not by `tokenizer.json`.

use serde_json::{Map, Value, json};

use super::TokenizerError;
use super::class::Chosen;
use super::files::{DEFINITION, Files};
use super::parts::{Ends, Parts, is_defined, take};
use super::special::{Special, not_there};

const VOCABULARY: &str = "vocab.txt";

/// Word pieces out of `tokenizer.json` or `vocab.txt`, and the normalizer of
/// `tokenizer_config.json`.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    tokens: &Special,
) -> Result<Parts, TokenizerError> {
    let (file, ids) = if is_defined(files, chosen, "WordPiece")? {
        let Value::Object(ids) = take(files, "vocab") else {
            let reason = "no tokenizer that is understood: expected a vocabulary of token: id";
            return Err(files.malformed(DEFINITION, reason.to_owned()));
        };
        (DEFINITION, ids)
    } else {
        let text = files.text(VOCABULARY)?;
        (VOCABULARY, lines(&text.ok_or_else(|| files.missing())?))
    };
    let unknown = tokens.named("unk_token").unwrap_or("None");
    if !ids.contains_key(unknown) {
        return Err(files.malformed(file, not_there(unknown, ids.len())));
    }
    Ok(Parts {
        normalizer: json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": files.flag("tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": files.flag_or_null("strip_accents")?,
            "lowercase": files.flag("do_lower_case")?.unwrap_or(true),
        }),
        pre_tokenizer: json!({ "type": "BertPreTokenizer" }),
        decoder: json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        model: json!({
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        }),
        file,
    })
}

/// `vocab.txt`: one token a line, the line number is its id.
fn lines(text: &str) -> Map<String, Value> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let tokens = text.split('\n').map(str::trim_end);
    tokens
        .enumerate()
        .map(|(id, token)| (token.to_owned(), json!(id)))
        .collect()
}

/// `[CLS]` before and `[SEP]` after a sentence.
pub(super) fn around(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    Ok(Ends::of(tokens, ["cls_token", "sep_token"], id)?.with_types())
}

/// What `MPNetTokenizer` puts around a sentence.
pub(super) fn around_mpnet(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    Ok(Ends::of(tokens, ["cls_token", "sep_token"], id)?.of_roberta(true, false))
}
