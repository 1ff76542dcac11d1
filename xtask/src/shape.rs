//! Checkpoints of any shape, written where one is wanted: what costs time, memory or operations
//! does not depend on the numbers in the weights, so none has to be fetched.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use serde_json::{Value, json};

use crate::tensors::Header;

/// What an encoder's weights and its work depend on.
pub(crate) struct Shape {
    pub(crate) gpt2: bool,
    pub(crate) vocabulary: usize,
    pub(crate) positions: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
}

/// The numbers in the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weights {
    /// As a training begins with.
    Random,
    /// Zeros, which take no room on most file systems: for a GPU that computes nothing.
    Zeros,
}

impl Shape {
    /// `config.json`.
    pub(crate) fn config(&self) -> Value {
        if self.gpt2 {
            return json!({
                "model_type": "gpt2", "vocab_size": self.vocabulary, "n_positions": self.positions, "n_embd": self.hidden,
                "n_layer": self.layers, "n_head": self.heads, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
            });
        }
        json!({
            "model_type": "bert", "vocab_size": self.vocabulary, "max_position_embeddings": self.positions,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        })
    }

    /// Names and shapes of all tensors, as the published checkpoints have them.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden;
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
        let (tables, last) = if self.gpt2 {
            (["wte", "wpe"], "ln_f")
        } else {
            add(
                "embeddings.token_type_embeddings.weight".to_owned(),
                &[2, hidden],
            );
            let tables = [
                "embeddings.word_embeddings",
                "embeddings.position_embeddings",
            ];
            (tables, "embeddings.LayerNorm")
        };
        for (table, rows) in tables.into_iter().zip([self.vocabulary, self.positions]) {
            add(format!("{table}.weight"), &[rows, hidden]);
        }
        // Inputs and outputs of the linear layers; none for a norm.
        let parts: &[(&str, Option<[usize; 2]>)] = if self.gpt2 {
            &[
                ("ln_1", None),
                ("attn.c_attn", Some([hidden, 3 * hidden])),
                ("attn.c_proj", Some([hidden, hidden])),
                ("ln_2", None),
                ("mlp.c_fc", Some([hidden, 4 * hidden])),
                ("mlp.c_proj", Some([4 * hidden, hidden])),
            ]
        } else {
            &[
                ("attention.self.query", Some([hidden, hidden])),
                ("attention.self.key", Some([hidden, hidden])),
                ("attention.self.value", Some([hidden, hidden])),
                ("attention.output.dense", Some([hidden, hidden])),
                ("attention.output.LayerNorm", None),
                ("intermediate.dense", Some([hidden, 4 * hidden])),
                ("output.dense", Some([4 * hidden, hidden])),
                ("output.LayerNorm", None),
            ]
        };
        let layers = if self.gpt2 { "h" } else { "encoder.layer" };
        for layer in 0..self.layers {
            for (part, linear) in parts {
                let name = format!("{layers}.{layer}.{part}");
                let [inputs, outputs] = linear.unwrap_or([0, hidden]);
                match linear {
                    None => add(format!("{name}.weight"), &[hidden]),
                    // GPT-2 keeps its matrices the other way round.
                    Some(_) if self.gpt2 => add(format!("{name}.weight"), &[inputs, outputs]),
                    Some(_) => add(format!("{name}.weight"), &[outputs, inputs]),
                }
                add(format!("{name}.bias"), &[outputs]);
            }
        }
        add(format!("{last}.weight"), &[hidden]);
        add(format!("{last}.bias"), &[hidden]);
        tensors
    }

    /// Writes a safetensors file in float32; its size in bytes.
    pub(crate) fn write(&self, path: &Path, weights: Weights) -> Result<u64> {
        let tensors = self.tensors();
        let entries = tensors.iter().map(|(name, shape)| {
            let shape = shape.iter().map(|&size| size as u64).collect();
            (name.clone(), "F32".to_owned(), 4, shape)
        });
        let header = Header::new(entries);
        let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
        file.write_all(&header.bytes)?;
        let bytes = header.file_bytes();
        if weights == Weights::Zeros {
            file.into_inner()?.set_len(bytes)?;
            return Ok(bytes);
        }
        let mut state = 1;
        for (name, shape) in &tensors {
            let centre = if name.ends_with("orm.weight") || name.contains("ln_") {
                1.0
            } else {
                0.0
            };
            for _ in 0..shape.iter().product::<usize>() {
                file.write_all(&(centre + random(&mut state)).to_le_bytes())?;
            }
        }
        file.into_inner()?.sync_all()?;
        Ok(bytes)
    }
}

/// An even number within 0.035 of zero, of the variance that these models begin with (xorshift,
/// Marsaglia 2003).
fn random(state: &mut u32) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a random number has no exact value"
    )]
    let unit = *state as f32 / u32::MAX as f32;
    (unit - 0.5) * 0.07
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_zeros_are_as_many_as_random_ones() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape {
            gpt2: false,
            vocabulary: 7,
            positions: 5,
            hidden: 4,
            layers: 1,
            heads: 2,
        };
        let written = [Weights::Random, Weights::Zeros].map(|weights| {
            let path = folder.path().join("model.safetensors");
            let bytes = shape.write(&path, weights).unwrap();
            let file = fs::read(&path).unwrap();
            assert_eq!(file.len() as u64, bytes);
            let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap());
            let (header, numbers) = file.split_at(usize::try_from(header).unwrap());
            (header.to_vec(), numbers.iter().any(|byte| *byte != 0))
        });
        assert_eq!(written[0].0, written[1].0);
        assert!(written[0].1 && !written[1].1);
    }
}
