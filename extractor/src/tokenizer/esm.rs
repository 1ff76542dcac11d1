//! `EsmTokenizer`: amino acids, each letter of a word a token.
//!
//! `transformers` has it in Python alone: all tokens of `vocab.txt` are looked for in a word, the
//! longest at the first place first, and what lies between is unknown. Here they are added tokens,
//! which are found in the same way, so that words and offsets are known too.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::TokenizerError;
use super::files::{CONFIG, Files};
use super::parts::{Parts, sequence, special, template};
use super::special::{Special, not_there};

const VOCABULARY: &str = "vocab.txt";

/// A vocabulary of whole tokens, and white space that is left out.
pub(super) fn parts(files: &mut Files, tokens: &Special) -> Result<Parts, TokenizerError> {
    let Some(text) = files.text(VOCABULARY)? else {
        return Err(files.missing());
    };
    let ids = lines(&text);
    let unknown = tokens.named("unk_token").unwrap_or("None");
    if !ids.contains_key(unknown) {
        return Err(files.malformed(VOCABULARY, not_there(unknown, ids.len())));
    }
    if files.flag("split_special_tokens")?.unwrap_or(false) {
        let reason = "split_special_tokens is true, with which EsmTokenizer knows no letters; expected false";
        return Err(files.malformed(CONFIG, reason.to_owned()));
    }
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer: json!({
            "type": "Split",
            "pattern": { "Regex": r"[\s\x1c-\x1f]+" },
            "behavior": "Removed",
            "invert": false,
        }),
        decoder: Value::Null,
        model: json!({ "type": "WordLevel", "vocab": ids, "unk_token": unknown }),
        file: VOCABULARY,
    })
}

/// White space to Python.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

/// `vocab.txt`: one token a line, the line number is its id; lines end where Python ends them.
fn lines(text: &str) -> Map<String, Value> {
    let ends = |letter: char| {
        matches!(
            letter,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let text = text.replace("\r\n", "\n");
    let tokens = text.split_terminator(ends);
    tokens
        .enumerate()
        .map(|(id, token)| (token.trim_matches(is_space).to_owned(), json!(id)))
        .collect()
}

/// All tokens that are looked for: those that files add, special ones, and those of the vocabulary.
///
/// # Errors
/// When they could be found in other ways in Python: where one begins within another, has white
/// space, or counts as a whole word alone.
pub(super) fn added(
    files: &Files,
    tokens: &Special,
    vocabulary: &[String],
) -> Result<Vec<AddedToken>, TokenizerError> {
    if let Some(token) = tokens.single_word() {
        let reason = format!("{token:?} is single_word, which is not supported for EsmTokenizer");
        return Err(files.malformed(CONFIG, reason));
    }
    let plain = |content: &str, special: bool| AddedToken::from(content, special).normalized(false);
    let mut all: Vec<AddedToken> = Vec::new();
    for content in tokens.added_texts() {
        all.push(plain(&content, true));
    }
    let first_ones: HashSet<String> = all.iter().map(|token| token.content.clone()).collect();
    for content in vocabulary {
        if !content.is_empty() && !first_ones.contains(content) {
            all.push(plain(content, false));
        }
    }
    let first: HashSet<char> = all
        .iter()
        .filter_map(|token| token.content.chars().next())
        .collect();
    for token in &all {
        if token.content.contains(is_space) {
            let reason = format!(
                "the token {:?} has white space in it; expected none for EsmTokenizer",
                token.content
            );
            return Err(files.malformed(VOCABULARY, reason));
        }
        if token
            .content
            .chars()
            .skip(1)
            .any(|letter| first.contains(&letter))
        {
            let reason = format!(
                "another token can begin within the token {:?}: EsmTokenizer then finds tokens that are none",
                token.content
            );
            return Err(files.malformed(VOCABULARY, reason));
        }
    }
    Ok(all)
}

/// The token in the role of `cls` before a sentence, that which ends text behind it, if there is
/// one.
pub(super) fn around(
    tokens: &Special,
    id: impl Fn(&str) -> Result<u32, TokenizerError>,
) -> Result<Value, TokenizerError> {
    let begin = tokens.named("cls_token").unwrap_or("None");
    let mut ids = vec![(begin, id(begin)?)];
    let mut single = vec![special(begin, 0), sequence("A", 0)];
    let mut pair = vec![sequence("B", 0)];
    if let Some(end) = tokens.named("eos_token") {
        ids.push((end, id(end)?));
        single.push(special(end, 0));
        pair.push(special(end, 0));
    }
    let pair = [single.clone(), pair].concat();
    Ok(template(&single, &pair, &ids))
}
