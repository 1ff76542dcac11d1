//! The files of a checkpoint that say how its tokenizer cuts text.
//!
//! A vocabulary alone does not tell: `tokenizer_config.json`, `special_tokens_map.json`,
//! `added_tokens.json` and the class named in `config.json` change the ids. All are read here,
//! once, so that the others decide on one view of the folder and the digest covers what was used.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::TokenizerError;

pub(super) const DEFINITION: &str = "tokenizer.json";
pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED: &str = "added_tokens.json";
pub(super) const MODEL: &str = "config.json";

/// The order in which files enter the digest.
const ORDER: [&str; 7] = [
    DEFINITION,
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    CONFIG,
    SPECIAL_MAP,
    ADDED,
];

/// The files of one folder.
pub(super) struct Files {
    folder: PathBuf,
    read: Vec<(&'static str, String)>,
    /// `tokenizer.json`, padding and truncation taken out, if there is one.
    pub(super) definition: Option<Value>,
    /// The padding that was in `tokenizer.json`.
    pub(super) padding: Value,
    /// `tokenizer_config.json`, empty when there is none; so are the next three.
    pub(super) config: Map<String, Value>,
    /// `special_tokens_map.json`.
    pub(super) special: Map<String, Value>,
    /// `added_tokens.json`.
    pub(super) added: Map<String, Value>,
    /// `config.json`, of the model.
    pub(super) model: Map<String, Value>,
}

impl Files {
    /// Reads all but the older vocabulary files, which are read when a class asks for them.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let mut files = Self {
            folder: folder.to_owned(),
            read: Vec::new(),
            definition: None,
            padding: Value::Null,
            config: Map::new(),
            special: Map::new(),
            added: Map::new(),
            model: Map::new(),
        };
        if let Some(mut definition) = files.object(DEFINITION)? {
            files.padding = definition
                .insert("padding".to_owned(), Value::Null)
                .unwrap_or_default();
            definition.insert("truncation".to_owned(), Value::Null);
            files.definition = Some(Value::Object(definition));
        }
        files.config = files.object(CONFIG)?.unwrap_or_default();
        files.check_versions()?;
        files.special = files.object(SPECIAL_MAP)?.unwrap_or_default();
        files.added = files.object(ADDED)?.unwrap_or_default();
        files.model = files.object(MODEL)?.unwrap_or_default();
        Ok(files)
    }

    /// Settings that point `transformers` to something else than the files that are read here.
    fn check_versions(&self) -> Result<(), TokenizerError> {
        let listed = self
            .config
            .get("fast_tokenizer_files")
            .and_then(Value::as_array);
        let mut names = listed.into_iter().flatten().filter_map(Value::as_str);
        if let Some(other) = names.find(|name| *name != DEFINITION && self.has(name)) {
            let reason = format!(
                "fast_tokenizer_files names {other}, which versions of transformers may read instead of {DEFINITION}; \
                 expected {DEFINITION} alone"
            );
            return Err(self.malformed(CONFIG, reason));
        }
        if let Some(Value::Array(inputs)) = self.config.get("init_inputs")
            && !inputs.is_empty()
        {
            let reason = "init_inputs has arguments without names; expected none".to_owned();
            return Err(self.malformed(CONFIG, reason));
        }
        Ok(())
    }

    /// That `transformers` does not put another pattern in the place of the one in
    /// `tokenizer.json`: it does for large vocabularies of older checkpoints of Mistral if
    /// `fix_mistral_regex` is set.
    pub(super) fn check_pattern(&self, size: usize) -> Result<(), TokenizerError> {
        const TYPES: [&str; 5] = ["mistral", "mistral3", "voxtral", "ministral", "pixtral"];
        let text = |name: &str| self.model.get(name).and_then(Value::as_str);
        let version = text("transformers_version").and_then(|version| version.split('.').next());
        let is_new = version.is_some_and(|major| major.parse().is_ok_and(|major: u32| major >= 5));
        let is_mistral = text("model_type").is_none_or(|name| TYPES.contains(&name));
        let asked = self.config.get("fix_mistral_regex") == Some(&Value::Bool(true));
        if !asked || is_new || !is_mistral || !self.has(MODEL) || size <= 100_000 {
            return Ok(());
        }
        let reason = "fix_mistral_regex is true, with which transformers replaces the pattern in tokenizer.json; Python \
                      writes the file with it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER), and \
                      fix_mistral_regex has to be removed then";
        Err(self.malformed(CONFIG, reason.to_owned()))
    }

    /// A file's path.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether a file is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The text of a file, none when there is no such file.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, TokenizerError> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(None);
        }
        let text = String::from_utf8(fs_err::read(&path)?)
            .map_err(|error| self.malformed(name, format!("not UTF-8: {error}")))?;
        self.read.push((name, text.clone()));
        Ok(Some(text))
    }

    /// The text of a file that has been read.
    pub(super) fn was_read(&self, name: &str) -> Option<&str> {
        let found = self.read.iter().find(|(read, _)| *read == name);
        found.map(|(_, text)| text.as_str())
    }

    /// The object in a JSON file, none when there is no such file.
    pub(super) fn object(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Map<String, Value>>, TokenizerError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(self.malformed(name, "expected a JSON object".to_owned())),
            Err(error) => Err(self.malformed(name, format!("not JSON: {error}"))),
        }
    }

    /// A setting of `tokenizer_config.json` that is true or false, none when it is not stated.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, TokenizerError> {
        match self.config.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => {
                Err(self.malformed(CONFIG, format!("{name} is {other}; expected true or false")))
            }
        }
    }

    /// The same, `null` being as good as nothing.
    pub(super) fn flag_or_null(&self, name: &str) -> Result<Option<bool>, TokenizerError> {
        match self.config.get(name) {
            Some(Value::Null) => Ok(None),
            _ => self.flag(name),
        }
    }

    /// An error about a file of the folder.
    pub(super) fn malformed(&self, name: &str, reason: String) -> TokenizerError {
        TokenizerError::Malformed {
            path: self.path(name),
            reason,
        }
    }

    /// No file holds the vocabulary that the class reads.
    pub(super) fn missing(&self) -> TokenizerError {
        let sentence_piece = [
            "sentencepiece.bpe.model",
            "spiece.model",
            "spm.model",
            "tokenizer.model",
        ];
        let remedy = if sentence_piece.iter().any(|name| self.has(name)) {
            "; its SentencePiece model can be turned into tokenizer.json with Python: \
             AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        } else {
            ""
        };
        TokenizerError::Missing {
            folder: self.folder.clone(),
            remedy,
        }
    }

    /// SHA-256 over the names and contents of the files `counted`, and over `more` where it is not
    /// empty.
    pub(super) fn digest(&self, counted: impl Fn(&str) -> bool, more: &str) -> String {
        let mut bytes = Vec::new();
        let mut entry = |name: &str, text: &str| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        for wanted in ORDER.into_iter().filter(|name| counted(name)) {
            for (name, text) in self.read.iter().filter(|(name, _)| *name == wanted) {
                entry(name, text);
            }
        }
        if !more.is_empty() {
            entry("", more);
        }
        shared::files::sha256_bytes(&bytes)
    }
}
