//! What the activations of a store depend on, so that a stale or foreign store is never taken for the right one.
//!
//! The manifest is the attribute `activation_cache` of the root group and is written before anything else.
//! Two manifests are compared field by field, and its digest is the identity of the store.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::datasets::SplitName;
use shared::tasks::Task;
use shared::tasks::schemes::Scheme;

use crate::{Codec, StoreDtype};

/// Version of the format this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The encoder whose hidden states these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Hub id, or the name of the folder it was loaded from.
    pub id: String,
    /// Resolved revision (a commit) on the hub; none for a local folder.
    pub revision: Option<String>,
    /// SHA-256 over the weights.
    pub weights_digest: String,
    /// Model family, `bert`, `roberta`, `gpt2`, ...
    pub family: String,
    /// Hidden states that the model has: its layers + 1, layer 0 being the embeddings.
    pub layers_in_model: usize,
    /// Seed of the weights where they are random numbers and not the trained ones. A field of the manifest only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_seed: Option<u64>,
}

impl ModelIdentity {
    /// The name that tells the encoder apart: its id, and `-random` with the seed where its weights are random.
    #[must_use]
    pub fn name(&self) -> String {
        model_name(&self.id, self.random_seed)
    }
}

/// As [`ModelIdentity::name`], of an id and a seed.
#[must_use]
pub fn model_name(id: &str, random_seed: Option<u64>) -> String {
    random_seed.map_or_else(|| id.to_owned(), |seed| format!("{id}-random{seed}"))
}

/// The text that was fed to the encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetIdentity {
    /// Hub id, or the name of the folder or file it was loaded from.
    pub id: String,
    /// `shared::datasets::Dataset::digest`: words, labels and their order.
    pub digest: String,
    /// Task of the labels the data set came with.
    pub task: Task,
    /// Label scheme after loading; none where labels are not spans.
    pub scheme: Option<Scheme>,
    /// Whether sentences are pairs of texts. A field of the manifest only then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pairs: bool,
}

/// Size of one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSize {
    /// Sentences of the data set.
    pub sentences: u64,
    /// Sequences fed to the encoder: sentences, or windows of sentences that were too long.
    pub sequences: u64,
    /// Sub-words, special tokens included: rows of `hidden_states`.
    pub tokens: u64,
    /// Words of the data set.
    pub words: u64,
}

/// What happens to a sentence that is longer than the encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LongPolicy {
    /// Cut into windows between words; every word is kept.
    Split,
    /// Words past the limit are left out.
    Truncate,
    /// The extraction stops and names the sentence.
    Error,
}

/// Everything the bytes of a store depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format, [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The encoder.
    pub model: ModelIdentity,
    /// SHA-256 over the tokenizer.
    pub tokenizer_digest: String,
    /// The data set.
    pub dataset: DatasetIdentity,
    /// Size of each split.
    pub splits: BTreeMap<SplitName, SplitSize>,
    /// Longest sequence fed to the encoder, in sub-words, special tokens included.
    pub max_length: usize,
    /// What was done with longer sentences.
    pub long: LongPolicy,
    /// Sentences that were longer and met that fate, over all splits.
    pub long_sentences: u64,
    /// Numbers of the kept layers, in stored order; 0 is the embedding output.
    pub layers: Vec<usize>,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Number format the encoder computed in.
    pub compute_dtype: String,
    /// Most tokens in a batch of the encoder, padding included: rounding depends on a batch's shape.
    pub max_batch_tokens: usize,
    /// Number format on disk.
    pub store_dtype: StoreDtype,
    /// Compression of the inner chunks.
    pub codec: Codec,
    /// Execution provider the encoder ran on.
    pub provider: String,
    /// Most tokens in an inner chunk of `hidden_states`.
    pub chunk_tokens: u64,
    /// Most tokens in a file of `hidden_states`; a multiple of `chunk_tokens`.
    pub file_tokens: u64,
    /// Files in a part, the unit of work and of resuming.
    pub part_files: u64,
    /// Versions of the programs and libraries that wrote the store.
    pub versions: BTreeMap<String, String>,
    /// The store that this one was converted from. A field of the manifest only where an extraction
    /// would not have given the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted_from: Option<ConvertedFrom>,
}

/// The store that the values of another one were taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvertedFrom {
    /// Its identity.
    pub identity: String,
    /// Its number format.
    pub store_dtype: StoreDtype,
}

/// One field in which two manifests differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Dotted name, `model.weights_digest`.
    pub field: String,
    /// Value in the store.
    pub stored: String,
    /// Value that was asked for.
    pub wanted: String,
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: stored {}, wanted {}",
            self.field, self.stored, self.wanted
        )
    }
}

impl Manifest {
    /// Bytes of one row of `hidden_states`, all layers of one token.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.layers.len() * self.store_dtype.vector_bytes(self.hidden)
    }

    /// The fields in which a wanted manifest differs from this stored one, in the order of the fields.
    #[must_use]
    pub fn differences(&self, wanted: &Self) -> Vec<FieldDifference> {
        let mut differences = Vec::new();
        compare(
            "",
            Some(&self.to_value()),
            Some(&wanted.to_value()),
            &mut differences,
        );
        differences
    }

    /// Identity: SHA-256 (hexadecimal) of the canonical JSON, see [`identity_of`].
    #[must_use]
    pub fn identity(&self) -> String {
        identity_of(&self.to_value())
    }

    /// The JSON object that becomes the attribute `activation_cache`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Strings, integers and maps with string keys: nothing that JSON could refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// SHA-256 (hexadecimal) of a JSON value written without white space and with the keys of every object sorted
/// bytewise; Python: `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
#[must_use]
pub fn identity_of(manifest: &Value) -> String {
    shared::files::sha256_bytes(sorted(manifest).to_string().as_bytes())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let by_key: BTreeMap<_, _> = fields
                .iter()
                .map(|(key, field)| (key.clone(), sorted(field)))
                .collect();
            Value::Object(by_key.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn compare(
    field: &str,
    stored: Option<&Value>,
    wanted: Option<&Value>,
    differences: &mut Vec<FieldDifference>,
) {
    if let (Some(Value::Object(stored)), Some(Value::Object(wanted))) = (stored, wanted) {
        let only_wanted = wanted.keys().filter(|key| !stored.contains_key(*key));
        for key in stored.keys().chain(only_wanted) {
            let name = if field.is_empty() {
                key.clone()
            } else {
                format!("{field}.{key}")
            };
            compare(&name, stored.get(key), wanted.get(key), differences);
        }
    } else if stored != wanted {
        let text =
            |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        differences.push(FieldDifference {
            field: field.to_owned(),
            stored: text(stored),
            wanted: text(wanted),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_identity_depends_on_the_content_and_not_on_the_order() {
        let value = json!({"b": [1, {"y": "ü", "x": null}], "a": 2});
        // Python: hashlib.sha256('{"a":2,"b":[1,{"x":null,"y":"ü"}]}'.encode()).hexdigest()
        let expected =
            shared::files::sha256_bytes("{\"a\":2,\"b\":[1,{\"x\":null,\"y\":\"ü\"}]}".as_bytes());
        assert_eq!(identity_of(&value), expected);
        assert_ne!(
            identity_of(&json!({"a": 2, "b": [1, {"x": null, "y": "u"}]})),
            expected
        );
    }

    #[test]
    fn a_seed_is_part_of_the_identity_only_where_weights_are_random() {
        let trained = json!({
            "id": "org/tiny", "revision": null, "weights_digest": "00", "family": "bert", "layers_in_model": 3,
        });
        let mut model: ModelIdentity = serde_json::from_value(trained.clone()).unwrap();
        assert_eq!(serde_json::to_value(&model).unwrap(), trained);
        assert_eq!(model.name(), "org/tiny");
        model.random_seed = Some(7);
        assert_eq!(serde_json::to_value(&model).unwrap()["random_seed"], 7);
        assert_eq!(model.name(), "org/tiny-random7");
    }

    #[test]
    fn differences_reach_into_objects_and_name_what_is_missing() {
        let mut differences = Vec::new();
        let (stored, wanted) = (
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": 3}, "d": []}),
        );
        compare("", Some(&stored), Some(&wanted), &mut differences);
        let lines: Vec<_> = differences.iter().map(FieldDifference::to_string).collect();
        assert_eq!(
            lines,
            [
                "a.b: stored 1, wanted 3",
                "a.c: stored 2, wanted nothing",
                "d: stored nothing, wanted []"
            ]
        );
    }
}
