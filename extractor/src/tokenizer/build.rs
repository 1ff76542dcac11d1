//! Puts a tokenizer together: its parts, its added tokens, and what stands around a sentence.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Model as _, Normalizer as _, PostProcessorWrapper};

use super::around::Around;
use super::class::Chosen;
use super::files::{DEFINITION, Files};
use super::names::Class;
use super::special::{Special, not_there};
use super::{TokenizerError, bert, byte_level, changes, esm, generic, llama, piece, unigram};
use shared::guard::guarded;

/// A tokenizer and what is known of it.
pub(super) struct Built {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) around: Around,
    pub(super) digest: String,
    /// What was guessed, and what of the files is not used, a line each.
    pub(super) notes: Vec<String>,
    /// The file that holds the vocabulary.
    pub(super) file: &'static str,
    pub(super) files: Files,
}

/// Reads a folder as the class of tokenizer does that its files ask for.
pub(super) fn build(folder: &std::path::Path) -> Result<Built, TokenizerError> {
    let mut files = Files::in_folder(folder)?;
    let mut notes = Vec::new();
    let chosen = Chosen::of(&files, &mut notes)?;
    let tokens = Special::of(&files, chosen.class)?;
    let Definition {
        bytes,
        options,
        file,
    } = definition(&mut files, &chosen, &tokens, &mut notes)?;
    if let (Some(theirs), true) = (&files.definition, chosen.class != Class::Generic) {
        understood(&files, DEFINITION, || changes::understands(theirs))?;
    }
    let mut inner = understood(&files, file, || tokenizers::Tokenizer::from_bytes(bytes))?;
    let missing = missing(&files, &chosen, &tokens, &inner)?;
    understood(&files, file, || inner.add_tokens(missing).map(drop))?;
    if chosen.class == Class::Qwen2 {
        // The class adds them once more, by their text: properties that a file states are lost.
        understood(&files, file, || {
            inner.add_tokens(tokens.by_text()).map(drop)
        })?;
    }
    files.check_pattern(inner.get_vocab_size(true))?;
    tokens.check_ids(&files, file, |token| inner.token_to_id(token))?;
    understood(&files, file, || no_two_alike(&inner))?;
    if let Some(post_processor) = post_processor(&files, &chosen, &tokens, &inner, file)? {
        let read = || {
            Ok(serde_json::from_value::<Option<PostProcessorWrapper>>(
                post_processor,
            )?)
        };
        let read = understood(&files, file, read)?;
        inner.with_post_processor(read);
    }
    if files.flag("split_special_tokens")?.unwrap_or(false) {
        inner.set_encode_special_tokens(true);
    }
    let around = understood(&files, file, || Around::of(inner.get_post_processor()))?;
    let differ = understood(&files, file, || {
        Ok(changes::against_definition(
            &files, &chosen, &inner, &around, &options,
        ))
    })?;
    // The vocabulary of `EsmTokenizer` is never in tokenizer.json.
    let is_defined = files.definition.is_some() && chosen.class != Class::Esm;
    let counted_alone = is_defined && differ.is_empty();
    let more = if differ.is_empty() && !newly_read(&files, &chosen, &tokens, &around) {
        ""
    } else {
        chosen.name.as_str()
    };
    let digest = files.digest(|name| !counted_alone || name == DEFINITION, more);
    notes.extend(changes::notes(&files, &chosen, &around, &differ));
    Ok(Built {
        inner,
        around,
        digest,
        notes,
        file,
        files,
    })
}

/// The tokens that have to be added.
fn missing(
    files: &Files,
    chosen: &Chosen,
    tokens: &Special,
    inner: &tokenizers::Tokenizer,
) -> Result<Vec<AddedToken>, TokenizerError> {
    if chosen.class == Class::Esm {
        let vocabulary: Vec<String> = inner.get_vocab(false).into_keys().collect();
        return esm::added(files, tokens, &vocabulary);
    }
    let there = inner.get_added_tokens_decoder();
    let there: Vec<String> = there.into_values().map(|token| token.content).collect();
    Ok(tokens.to_add(&there))
}

/// A tokenizer as JSON.
struct Definition {
    bytes: Vec<u8>,
    /// The settings of its model.
    options: Map<String, Value>,
    /// The file that holds the vocabulary.
    file: &'static str,
}

impl Definition {
    fn new(json: &Value, file: &'static str) -> Self {
        Self {
            bytes: json.to_string().into_bytes(),
            options: changes::options(json),
            file,
        }
    }
}

/// The tokenizer that the class makes, before tokens are added to it.
fn definition(
    files: &mut Files,
    chosen: &Chosen,
    tokens: &Special,
    notes: &mut Vec<String>,
) -> Result<Definition, TokenizerError> {
    let parts = match chosen.class {
        Class::Generic => {
            let definition = generic::definition(files, chosen, notes)?;
            return Ok(Definition::new(definition, DEFINITION));
        }
        Class::Esm => esm::parts(files, tokens)?,
        Class::Bert | Class::Mpnet => bert::parts(files, chosen, tokens)?,
        Class::Roberta
        | Class::Gpt2
        | Class::GptNeoX
        | Class::Qwen2
        | Class::Qwen35
        | Class::Deberta => byte_level::parts(files, chosen, notes)?,
        Class::Llama | Class::Gemma => llama::parts(files, chosen, tokens, notes)?,
        Class::XlmRoberta | Class::Camembert => unigram::parts(files, chosen, tokens)?,
        Class::DebertaV2 | Class::Albert | Class::T5 => piece::parts(files, chosen, tokens)?,
    };
    let file = parts.file;
    Ok(Definition::new(&parts.definition(), file))
}

/// What the class puts around a sentence, none where `tokenizer.json` says it and is used as it is.
fn post_processor(
    files: &Files,
    chosen: &Chosen,
    tokens: &Special,
    inner: &tokenizers::Tokenizer,
    file: &'static str,
) -> Result<Option<Value>, TokenizerError> {
    let id = |token: &str| {
        let id = inner
            .token_to_id(token)
            .filter(|_| tokens.declares(token) || inner.get_model().token_to_id(token).is_some());
        id.ok_or_else(|| files.malformed(file, not_there(token, inner.get_vocab_size(false))))
    };
    Ok(match chosen.class {
        Class::Generic => None,
        Class::Bert | Class::DebertaV2 => Some(bert::around(tokens, id)?),
        Class::Esm => Some(esm::around(tokens, id)?),
        Class::Mpnet => Some(bert::around_mpnet(tokens, id)?),
        Class::Roberta => Some(byte_level::around_roberta(files, tokens, id)?),
        Class::Gpt2 | Class::Qwen2 | Class::Qwen35 | Class::Llama | Class::Gemma => {
            Some(byte_level::around_gpt2(files, tokens, id)?)
        }
        Class::GptNeoX => Some(byte_level::around_gpt_neox(files, tokens, id)?),
        Class::Deberta => Some(byte_level::around_deberta(tokens, id)?),
        Class::XlmRoberta | Class::Camembert => Some(unigram::around(tokens, id)?),
        Class::Albert => Some(piece::around_albert(files, tokens, id)?),
        Class::T5 => Some(piece::around_t5(tokens, id)?),
    })
}

/// Two added tokens that are normalized to the same text: it is left to chance, in `transformers`
/// too, which is found.
fn no_two_alike(inner: &tokenizers::Tokenizer) -> tokenizers::Result<()> {
    let mut seen = BTreeMap::new();
    let Some(normalizer) = inner.get_normalizer() else {
        return Ok(());
    };
    let tokens = inner.get_added_tokens_decoder();
    for token in tokens.into_values().filter(|token| token.normalized) {
        let mut text = tokenizers::NormalizedString::from(token.content.as_str());
        normalizer.normalize(&mut text)?;
        if let Some(other) = seen.insert(text.get().to_owned(), token.content.clone()) {
            let (one, other) = (
                token.content.as_str().min(&other),
                token.content.as_str().max(&other),
            );
            return Err(format!(
                "the added tokens {one:?} and {other:?} are the same text once it is normalized, so that either may be found"
            )
            .into());
        }
    }
    Ok(())
}

/// Whether the older vocabulary files are used with settings that the program did not read at
/// first: the digest of stores made then must not stand for other ids.
fn newly_read(files: &Files, chosen: &Chosen, tokens: &Special, around: &Around) -> bool {
    let at_ends = |text: &str| {
        text.lines()
            .any(|line| line.trim_end().len() < line.trim_end_matches('\r').len())
    };
    chosen.class == Class::Esm
        || files.definition.is_none()
            && (chosen.class.is_later()
                || tokens.has_more()
                || (chosen.class == Class::Gpt2 && *around != Around::default())
                || files.was_read("vocab.txt").is_some_and(at_ends))
}

/// What `read` gives; its errors, and the panics of the tokenizers crate, as errors about a file.
fn understood<T>(
    files: &Files,
    file: &str,
    read: impl FnOnce() -> tokenizers::Result<T>,
) -> Result<T, TokenizerError> {
    let malformed = |reason: String| {
        files.malformed(file, format!("no tokenizer that is understood: {reason}"))
    };
    guarded(read)
        .map_err(malformed)?
        .map_err(|error| malformed(error.to_string()))
}
