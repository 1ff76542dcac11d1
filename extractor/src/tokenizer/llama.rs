//! `LlamaTokenizer` and `GemmaTokenizer`: BPE of `SentencePiece`, which falls back to bytes.
//!
//! Of `tokenizer.json` they take vocabulary, merges and what stands around a sentence; how spaces
//! become part of a word is the class's own: `LlamaTokenizer` puts one before each word unless
//! `add_prefix_space` is false, `GemmaTokenizer` none.

use serde_json::{Value, json};

use super::TokenizerError;
use super::byte_level::unled;
use super::class::Chosen;
use super::files::{DEFINITION, Files};
use super::names::Class;
use super::parts::{Parts, is_defined, take};
use super::special::{Special, not_there};
use super::unigram::metaspace;

/// Vocabulary and merges of `tokenizer.json`.
pub(super) fn parts(
    files: &mut Files,
    chosen: &Chosen,
    tokens: &Special,
    notes: &mut Vec<String>,
) -> Result<Parts, TokenizerError> {
    if !is_defined(files, chosen, "BPE")? {
        return Err(files.missing());
    }
    let (ids, merges) = (take(files, "vocab"), take(files, "merges"));
    let is_llama = chosen.class == Class::Llama;
    let lead = is_llama && files.flag_or_null("add_prefix_space")?.unwrap_or(true);
    if !lead {
        notes.push(unled(chosen));
    }
    let unknown = if is_llama {
        None
    } else {
        let unknown = tokens.named("unk_token").unwrap_or("None");
        let size = ids.as_object().map_or(0, serde_json::Map::len);
        if ids.get(unknown).is_none() {
            return Err(files.malformed(DEFINITION, not_there(unknown, size)));
        }
        Some(unknown)
    };
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if lead {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let (normalizer, pre_tokenizer) = if is_llama {
        // `legacy` puts a space also behind a special token within a word.
        let legacy = files.flag_or_null("legacy")?.unwrap_or(false);
        let scheme = match (lead, legacy) {
            (false, _) => "never",
            (true, true) => "always",
            (true, false) => "first",
        };
        (Value::Null, metaspace(scheme, false))
    } else {
        let pattern = json!({ "String": " " });
        (
            json!({ "type": "Replace", "pattern": pattern, "content": "▁" }),
            json!({ "type": "Split", "pattern": pattern, "behavior": "MergedWithPrevious", "invert": false }),
        )
    };
    Ok(Parts {
        normalizer,
        pre_tokenizer,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "vocab": ids,
            "merges": merges,
        }),
        file: DEFINITION,
    })
}
