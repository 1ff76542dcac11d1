//! Models: configuration, weights, tokenizer; and the settings of a trained head.

use std::hint::black_box;
use std::path::PathBuf;

use extractor::checkpoint::{Checkpoint, Index};
use extractor::family::{Config, EncoderSpec};
use extractor::head::Run;
use extractor::tokenizer::Tokenizer;

use crate::bytes::{files, way};
use crate::place::{file, folder, no_file};

pub(crate) fn config(input: &[u8]) {
    let path = file("config.json", input);
    if let Ok(spec) = Config::read(&path).and_then(|config| EncoderSpec::from_config(&config)) {
        black_box((spec.states(), spec.max_positions()));
    }
}

/// Every tensor that the header names is copied out, in the shape that it says.
pub(crate) fn safetensors(input: &[u8]) {
    let path = file("model.safetensors", input);
    let Ok(checkpoint) = Checkpoint::open(&[path]) else {
        return;
    };
    for (name, shape) in tensors(input).unwrap_or_default() {
        if let Ok(tensor) = checkpoint.tensor(&["", "bert."], &name, &shape) {
            let mut values = vec![0_f32; tensor.len()];
            tensor.copy_to(&mut values);
            black_box(values);
        }
    }
}

/// Names and shapes in a header, read once more.
fn tensors(input: &[u8]) -> Option<Vec<(String, Vec<usize>)>> {
    let length = usize::try_from(u64::from_le_bytes(*input.first_chunk()?)).ok()?;
    let header = input.get(8..length.checked_add(8)?)?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let shape =
        |value: &serde_json::Value| serde_json::from_value(value.get("shape")?.clone()).ok();
    Some(
        header
            .into_iter()
            .filter_map(|(name, value)| Some((name, shape(&value)?)))
            .collect(),
    )
}

pub(crate) fn index(input: &[u8]) {
    file("a.safetensors", b"");
    let path = file("model.safetensors.index.json", input);
    if let Ok(index) = Index::read(&path) {
        assert_eq!(index.files, [folder().join("a.safetensors")]);
    }
}

/// `tokenizer.json`, or the older files, each with settings beside it or not.
pub(crate) fn tokenizer(input: &[u8]) {
    const ALL: [&str; 5] = [
        "tokenizer.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
    ];
    let (way, input) = way(input, 3);
    let names: &[&str] = match way {
        0 => &["tokenizer.json", "tokenizer_config.json"],
        1 => &["vocab.txt", "tokenizer_config.json"],
        _ => &["vocab.json", "merges.txt", "tokenizer_config.json"],
    };
    ALL.iter().for_each(|name| no_file(name));
    file("config.json", br#"{"model_type": "gpt2"}"#);
    for (name, bytes) in names.iter().zip(files(input)) {
        file(name, bytes);
    }
    let Ok(tokenizer) = Tokenizer::in_folder(folder()) else {
        return;
    };
    let words = [
        "Hello",
        "wörld",
        "",
        "two words",
        "\u{2603}",
        "a",
        "\u{200b}",
    ];
    if let Ok(encoded) = tokenizer.encode(&words) {
        assert_eq!(encoded.ids.len(), encoded.word_ids.len());
        assert!(
            encoded
                .word_ids
                .iter()
                .all(|&word| (word as usize) < words.len())
        );
    }
    for length in [8, usize::MAX] {
        let Ok(pair) = tokenizer.encode_pair(&words, 3, length) else {
            continue;
        };
        assert_eq!(pair.ids.len(), pair.word_ids.len());
        assert!(pair.second <= pair.ids.len());
        let special = tokenizer.special_tokens_of_pair().unwrap_or(0);
        assert!(
            pair.ids.len() <= length.max(special),
            "a pair that is too long"
        );
    }
    black_box((
        tokenizer.vocabulary(),
        tokenizer.special_tokens(),
        tokenizer.to_json().is_ok(),
    ));
}

/// A run folder without parameters: its settings are what is parsed.
pub(crate) fn run(input: &[u8]) {
    file("config.json", input);
    let weights: PathBuf = folder().join("adapter.safetensors");
    if !weights.is_file() {
        file("adapter.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    }
    if let Ok(run) = Run::open(folder()) {
        black_box((
            run.head.layers_read().ok(),
            run.head.features(),
            run.store.row_bytes(),
        ));
    }
}
