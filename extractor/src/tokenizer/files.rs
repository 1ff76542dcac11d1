//! The files a tokenizer is made of, brought into the one form of `tokenizer.json`.
//!
//! Checkpoints come with `tokenizer.json`, or with the older `vocab.txt` (word pieces) or `vocab.json` and
//! `merges.txt` (byte-level BPE) and a `tokenizer_config.json` that says how to use them. All become the
//! JSON definition that the `tokenizers` crate loads, so that there is one way in.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::TokenizerError;

/// A tokenizer as JSON, and where it comes from.
pub(super) struct Definition {
    /// The file to name in an error.
    pub(super) path: PathBuf,
    /// The definition, padding and truncation off, words given a leading space where the model wants it.
    pub(super) json: Value,
    /// SHA-256 over names and contents of all files used.
    pub(super) digest: String,
}

impl Definition {
    /// Looks for `tokenizer.json`, `vocab.txt`, `vocab.json` + `merges.txt`, in this order.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let mut files = Files {
            folder,
            read: Vec::new(),
        };
        let (name, mut json) = if let Some(text) = files.text("tokenizer.json")? {
            (
                "tokenizer.json",
                parse(&folder.join("tokenizer.json"), &text)?,
            )
        } else if let Some(vocabulary) = files.text("vocab.txt")? {
            ("vocab.txt", word_piece(&mut files, &vocabulary)?)
        } else if let (Some(vocabulary), Some(merges)) =
            (files.text("vocab.json")?, files.text("merges.txt")?)
        {
            ("vocab.json", byte_level(&mut files, &vocabulary, &merges)?)
        } else {
            return Err(missing(folder));
        };
        let path = folder.join(name);
        if !json.is_object() {
            let reason = "expected a JSON object".to_owned();
            return Err(TokenizerError::Malformed { path, reason });
        }
        for length in ["truncation", "padding"] {
            json[length] = Value::Null;
        }
        lead_words_with_space(&mut json);
        Ok(Self {
            path,
            json,
            digest: files.digest(),
        })
    }
}

fn missing(folder: &Path) -> TokenizerError {
    let sentence_piece = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];
    let remedy = if sentence_piece.iter().any(|name| folder.join(name).exists()) {
        "; its SentencePiece model can be turned into tokenizer.json with Python: \
         AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    } else {
        ""
    };
    TokenizerError::Missing {
        folder: folder.to_owned(),
        remedy,
    }
}

/// The files of a folder that were looked at, for the digest.
struct Files<'a> {
    folder: &'a Path,
    read: Vec<(&'static str, String)>,
}

impl Files<'_> {
    /// The text of a file, none when there is no such file.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, TokenizerError> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let text =
            String::from_utf8(fs_err::read(&path)?).map_err(|error| TokenizerError::Malformed {
                path,
                reason: format!("not UTF-8: {error}"),
            })?;
        self.read.push((name, text.clone()));
        Ok(Some(text))
    }

    /// The object in a JSON file, empty when there is no such file.
    fn object(&mut self, name: &'static str) -> Result<Map<String, Value>, TokenizerError> {
        let path = self.folder.join(name);
        match self
            .text(name)?
            .map(|text| parse(&path, &text))
            .transpose()?
        {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(TokenizerError::Malformed {
                path,
                reason: "expected a JSON object".to_owned(),
            }),
        }
    }

    fn digest(&self) -> String {
        let mut bytes = Vec::new();
        for (name, text) in &self.read {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        shared::files::sha256_bytes(&bytes)
    }
}

fn parse(path: &Path, text: &str) -> Result<Value, TokenizerError> {
    serde_json::from_str(text).map_err(|error| TokenizerError::Malformed {
        path: path.to_owned(),
        reason: format!("not JSON: {error}"),
    })
}

/// BERT's tokenizer from `vocab.txt`: one token a line, the line number is its id.
fn word_piece(files: &mut Files<'_>, vocabulary: &str) -> Result<Value, TokenizerError> {
    let settings = Settings::read(files)?;
    let flag = |name: &str| settings.config.get(name).and_then(Value::as_bool);
    let lines = vocabulary
        .strip_suffix('\n')
        .unwrap_or(vocabulary)
        .split('\n')
        .map(|line| line.trim_end_matches('\r'));
    let ids: Map<String, Value> = lines
        .enumerate()
        .map(|(id, token)| (token.to_owned(), json!(id)))
        .collect();
    let unknown = settings.token("unk_token", "[UNK]");
    let classify = settings.token("cls_token", "[CLS]");
    let separate = settings.token("sep_token", "[SEP]");
    let pad = settings.token("pad_token", "[PAD]");
    let mask = settings.token("mask_token", "[MASK]");
    require(files, "vocab.txt", &ids, &[&unknown, &classify, &separate])?;
    Ok(json!({
        "version": "1.0",
        "added_tokens": settings.added_tokens(&ids, &[pad, unknown.clone(), classify.clone(), separate.clone(), mask]),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars").unwrap_or(true),
            "strip_accents": flag("strip_accents"),
            "lowercase": flag("do_lower_case").unwrap_or(true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": [separate, ids[&separate]], "cls": [classify, ids[&classify]] },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }))
}

/// The tokenizer of GPT-2 and of RoBERTa from `vocab.json` and `merges.txt`.
fn byte_level(
    files: &mut Files<'_>,
    vocabulary: &str,
    merges: &str,
) -> Result<Value, TokenizerError> {
    let path = files.folder.join("vocab.json");
    let Value::Object(ids) = parse(&path, vocabulary)? else {
        return Err(TokenizerError::Malformed {
            path,
            reason: "expected a JSON object of token: id".to_owned(),
        });
    };
    let settings = Settings::read(files)?;
    let (added, post_processor) = if settings.is_gpt2(files.folder, &ids)? {
        let token = settings.token("unk_token", "<|endoftext|>");
        (vec![token], Value::Null)
    } else {
        let classify = settings.token("cls_token", "<s>");
        let separate = settings.token("sep_token", "</s>");
        require(files, "vocab.json", &ids, &[&classify, &separate])?;
        let post_processor = json!({
            "type": "RobertaProcessing",
            "sep": [separate, ids[&separate]],
            "cls": [classify, ids[&classify]],
            "trim_offsets": true,
            "add_prefix_space": true,
        });
        let others = [
            ("pad_token", "<pad>"),
            ("unk_token", "<unk>"),
            ("mask_token", "<mask>"),
        ];
        let others = others.map(|(name, token)| settings.token(name, token));
        (
            [classify, separate].into_iter().chain(others).collect(),
            post_processor,
        )
    };
    let merges: Vec<&str> = merges
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"))
        .collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": settings.added_tokens(&ids, &added),
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "post_processor": post_processor,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": ids,
            "merges": merges,
        },
    }))
}

fn require(
    files: &Files<'_>,
    name: &str,
    ids: &Map<String, Value>,
    tokens: &[&String],
) -> Result<(), TokenizerError> {
    match tokens.iter().find(|token| !ids.contains_key(**token)) {
        None => Ok(()),
        Some(token) => Err(TokenizerError::Malformed {
            path: files.folder.join(name),
            reason: format!(
                "the special token {token} is not in the vocabulary of {} tokens",
                ids.len()
            ),
        }),
    }
}

/// What stands beside the vocabulary: `tokenizer_config.json` and `special_tokens_map.json`.
struct Settings {
    config: Map<String, Value>,
    special: Map<String, Value>,
    added: Map<String, Value>,
}

impl Settings {
    fn read(files: &mut Files<'_>) -> Result<Self, TokenizerError> {
        Ok(Self {
            config: files.object("tokenizer_config.json")?,
            special: files.object("special_tokens_map.json")?,
            added: files.object("added_tokens.json")?,
        })
    }

    /// A special token's text: a string or an object with `content`.
    fn token(&self, name: &str, default: &str) -> String {
        let stated = [&self.config, &self.special]
            .into_iter()
            .find_map(|settings| {
                let value = settings.get(name)?;
                value.as_str().or_else(|| value.get("content")?.as_str())
            });
        stated.unwrap_or(default).to_owned()
    }

    /// Special tokens of the vocabulary, then those that the checkpoint adds to it.
    fn added_tokens(&self, ids: &Map<String, Value>, special: &[String]) -> Vec<Value> {
        let mut tokens = std::collections::BTreeMap::new();
        for token in special {
            if let Some(id) = ids.get(token).and_then(Value::as_u64) {
                tokens.insert(id, added_token(id, token, true, None));
            }
        }
        for (token, id) in &self.added {
            if let Some(id) = id.as_u64() {
                tokens.insert(id, added_token(id, token, false, None));
            }
        }
        let stated = self
            .config
            .get("added_tokens_decoder")
            .and_then(Value::as_object);
        for (id, token) in stated.into_iter().flatten() {
            if let (Ok(id), Some(content)) = (id.parse(), token["content"].as_str()) {
                let special = token["special"].as_bool().unwrap_or(false);
                tokens.insert(id, added_token(id, content, special, Some(token)));
            }
        }
        tokens.into_values().collect()
    }

    /// GPT-2 adds no special tokens, RoBERTa does; both come as the same two files.
    fn is_gpt2(&self, folder: &Path, ids: &Map<String, Value>) -> Result<bool, TokenizerError> {
        if let Some(class) = self.config.get("tokenizer_class").and_then(Value::as_str) {
            return Ok(class.starts_with("GPT2"));
        }
        let mut config = Files {
            folder,
            read: Vec::new(),
        };
        let model_type = config
            .object("config.json")?
            .get("model_type")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(model_type.map_or_else(|| !ids.contains_key("<s>"), |name| name == "gpt2"))
    }
}

fn added_token(id: u64, content: &str, special: bool, stated: Option<&Value>) -> Value {
    let flag = |name: &str, default: bool| {
        stated
            .and_then(|token| token[name].as_bool())
            .unwrap_or(default)
    };
    json!({
        "id": id,
        "content": content,
        "special": special,
        "single_word": flag("single_word", false),
        "lstrip": flag("lstrip", false),
        "rstrip": flag("rstrip", false),
        "normalized": flag("normalized", !special),
    })
}

/// Byte-level BPE tells a word's begin by the space before it, so a word given on its own needs one too
/// (`add_prefix_space=True` in `transformers`).
fn lead_words_with_space(json: &mut Value) {
    let first = if json["pre_tokenizer"]["type"] == "Sequence" {
        "/pre_tokenizer/pretokenizers/0"
    } else {
        "/pre_tokenizer"
    };
    let Some(first) = json.pointer_mut(first) else {
        return;
    };
    if first["type"] != "ByteLevel" {
        return;
    }
    first["add_prefix_space"] = json!(true);
    if json["post_processor"]["type"] == "RobertaProcessing" {
        json["post_processor"]["add_prefix_space"] = json!(true);
    }
}
