//! Models of zeros, large enough for a GPU's kernels, from the checkpoints of the tests: those are so
//! small that kernels for attention would not be chosen (heads 4 wide), and know fewer tokens than
//! the tests' tokenizers give. All sizes but the numbers of heads, layers and token types grow.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Result, ensure};
use fs_err as fs;
use fs_err::File;
use serde_json::{Map, Value, json};

use crate::tensors::Header;

/// Heads of 4 numbers get 64.
const FACTOR: u64 = 16;
/// As many as the largest of the tests' tokenizers that are used has, and tokens that a class adds.
const VOCABULARY: u64 = 432;
const POSITIONS: u64 = 64;
/// Rows of OPT's position table that stand for no position.
const OPT_UNUSED: u64 = 2;
/// Sizes in configurations that grow.
const SIZES: [&str; 14] = [
    "hidden_size",
    "intermediate_size",
    "embedding_size",
    "head_dim",
    "dim",
    "hidden_dim",
    "n_embd",
    "n_inner",
    "ffn_dim",
    "word_embed_proj_dim",
    "d_model",
    "d_kv",
    "d_ff",
    "attention_head_size",
];
/// What names of word tables have in them.
const WORDS: [&str; 7] = [
    "word_embeddings",
    "wte",
    "embed_tokens",
    "tok_embeddings",
    "lm_head",
    "embed_in",
    "shared.weight",
];
/// Headers of checkpoints of the tests are no longer.
const LONGEST: u64 = 1 << 20;

/// Writes the model to `out`, with a tokenizer out of `fixtures`.
pub(super) fn write(checkpoint: &Path, fixtures: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out)?;
    let config = fs::read(checkpoint.join("config.json"))?;
    let mut config: Map<String, Value> = serde_json::from_slice(&config)?;
    // Models of this type have byte-level BPE whatever their files say.
    let tokenizer = fixtures.join(if config.get("model_type") == Some(&json!("qwen2")) {
        "toy-roberta"
    } else {
        "toy-bert"
    });
    for name in SIZES {
        if let Some(size) = config.get(name).and_then(Value::as_u64) {
            config.insert(name.to_owned(), json!(size * FACTOR));
        }
    }
    config.insert("vocab_size".to_owned(), json!(VOCABULARY));
    let positions = if config.contains_key("n_positions") {
        "n_positions"
    } else {
        "max_position_embeddings"
    };
    config.insert(positions.to_owned(), json!(POSITIONS));
    fs::write(out.join("config.json"), serde_json::to_vec(&config)?)?;
    tensors(
        &checkpoint.join("model.safetensors"),
        &out.join("model.safetensors"),
    )?;
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(tokenizer.join(name), out.join(name))?;
    }
    Ok(())
}

/// The header with larger shapes, and a hole in place of the numbers.
fn tensors(from: &Path, to: &Path) -> Result<()> {
    let mut file = File::open(from)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    ensure!(
        length <= LONGEST,
        "{}: its header is too long",
        from.display()
    );
    let mut header = vec![0; usize::try_from(length)?];
    file.read_exact(&mut header)?;
    let mut tensors: Map<String, Value> = serde_json::from_slice(&header)?;
    tensors.remove("__metadata__");
    let mut entries = Vec::new();
    for (name, tensor) in tensors {
        let shape: Vec<u64> = serde_json::from_value(tensor["shape"].clone())?;
        let dtype = tensor["dtype"].as_str().unwrap_or_default().to_owned();
        let bytes = if dtype == "F32" { 4 } else { 2 };
        let shape = enlarged(&name, &shape);
        entries.push((name, dtype, bytes, shape));
    }
    let header = Header::new(entries.into_iter());
    let mut file = File::create(to)?;
    file.write_all(&header.bytes)?;
    file.set_len(header.file_bytes())?;
    Ok(())
}

fn enlarged(name: &str, shape: &[u64]) -> Vec<u64> {
    // Buckets of distances by heads.
    if name.contains("relative_attention_bias") {
        return shape.to_vec();
    }
    let mut larger: Vec<u64> = shape.iter().map(|size| size * FACTOR).collect();
    let has = |part: &&str| name.contains(part);
    if let (Some(rows), Some(before)) = (larger.first_mut(), shape.first()) {
        if name.contains("token_type") {
            *rows = *before;
        } else if ["position_embeddings", "wpe", "encoder.embed_positions"]
            .iter()
            .any(has)
        {
            *rows = POSITIONS;
        } else if name.contains("embed_positions") {
            *rows = POSITIONS + OPT_UNUSED;
        } else if WORDS.iter().any(has) {
            *rows = VOCABULARY;
        } else if name.contains("rel_embeddings") {
            *rows = *before;
        }
    }
    // A convolution sees as many tokens at a time as before.
    if let ([_, _, kernel], [_, _, before]) = (larger.as_mut_slice(), shape) {
        *kernel = *before;
    }
    larger
}

#[cfg(test)]
mod tests {
    use super::enlarged;

    #[test]
    fn tables_have_the_rows_that_their_tokens_and_positions_need() {
        let cases: [(&str, &[u64], &[u64]); 10] = [
            ("transformer.shared.weight", &[40, 12], &[432, 192]),
            ("encoder.relative_attention_bias.weight", &[32, 3], &[32, 3]),
            (
                "bert.embeddings.word_embeddings.weight",
                &[40, 12],
                &[432, 192],
            ),
            ("model.embed_tokens.weight", &[40, 12], &[432, 192]),
            ("wpe.weight", &[16, 12], &[64, 192]),
            ("decoder.embed_positions.weight", &[18, 12], &[66, 192]),
            (
                "embeddings.token_type_embeddings.weight",
                &[2, 12],
                &[2, 192],
            ),
            ("encoder.rel_embeddings.weight", &[16, 12], &[16, 192]),
            (
                "deberta.encoder.conv.conv.weight",
                &[12, 4, 5],
                &[192, 64, 5],
            ),
            ("layers.0.mlp.gate_up_proj.weight", &[40, 12], &[640, 192]),
        ];
        for (name, shape, larger) in cases {
            assert_eq!(enlarged(name, shape), larger, "{name}");
        }
    }
}
