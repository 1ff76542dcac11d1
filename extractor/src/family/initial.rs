//! What an encoder has before it is trained: how many weights, and how they are drawn.

use super::config::Config;
use super::error::FamilyError;
use super::spec::{EncoderSpec, FeedForward, Norm, PositionEncoding};
use super::window::Blocks;
use crate::checkpoint::RandomWeights;

/// Standard deviation where a configuration says none.
const DEVIATION: f64 = 0.02;

impl EncoderSpec {
    /// Number of weights of the embeddings and the first `layers` layers, norms apart; weights that
    /// layers share are counted once.
    #[must_use]
    pub fn weights(&self, layers: usize) -> u64 {
        let (embedding, attention) = (&self.embedding, &self.attention);
        let position_rows = if let PositionEncoding::Table { rows, .. } = &self.position {
            *rows
        } else {
            0
        };
        let projection = embedding.projection.map_or(0, |_| self.hidden);
        let tables = (embedding.vocabulary + position_rows + projection) * embedding.size;
        let (inner, [bias, output_bias]) = match self.feed_forward {
            FeedForward::Plain { inner, bias, .. } => (inner, [bias, bias]),
            FeedForward::Gated {
                inner,
                bias,
                output_bias,
                ..
            } => (inner, [bias, output_bias]),
        };
        let matrices = self.hidden
            * (attention.sizes().iter().sum::<usize>()
                + attention.size()
                + self.intermediate()
                + inner);
        let biases = usize::from(attention.bias) * attention.sizes().iter().sum::<usize>()
            + usize::from(attention.output_bias) * self.hidden
            + usize::from(bias) * self.intermediate()
            + usize::from(output_bias) * self.hidden;
        let layers = layers.min(self.layers);
        let distinct = self
            .names
            .groups
            .map_or(layers, |groups| groups.distinct(layers));
        tables as u64 + distinct as u64 * (matrices + biases) as u64
    }

    /// Which kinds of the first `layers` layers hide some tokens from others by a bias of scores:
    /// those without a window where scores are capped, and those with one.
    #[must_use]
    pub fn biases(&self, layers: usize) -> [bool; 2] {
        let [full, windowed] = self.layers_by_kind(layers);
        let full = self.attention.soft_cap.is_some() && !full.is_empty();
        [full, !windowed.is_empty()]
    }

    /// The blocks in which the windows of the first `layers` layers are computed, if there are any.
    #[must_use]
    pub fn blocks(&self, layers: usize) -> Option<Blocks> {
        let [_, has_window] = self.biases(layers);
        let window = self.attention.window.as_ref().filter(|_| has_window);
        window.map(|window| window.blocks(self.attention.causal))
    }

    /// The numbers of the first `layers` layers: those that see the whole sequence, and those that
    /// have a window.
    #[must_use]
    pub fn layers_by_kind(&self, layers: usize) -> [Vec<usize>; 2] {
        let window = self.attention.window.as_ref();
        let (windowed, full) = (0..layers.min(self.layers))
            .partition(|&layer| window.is_some_and(|window| window.is_in(layer)));
        [full, windowed]
    }

    /// How the weights of an encoder of this configuration are drawn with a seed.
    ///
    /// # Errors
    /// When `initializer_range` is no positive number.
    pub fn random_weights(&self, config: &Config, seed: u64) -> Result<RandomWeights, FamilyError> {
        Ok(RandomWeights {
            seed,
            deviation: config.number_or("initializer_range", DEVIATION)?,
            norm: match self.norm {
                Norm::Rms { one_more: true, .. } => 0.0,
                Norm::Rms { .. } | Norm::Layer { .. } | Norm::Plain { .. } => 1.0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The specification of this configuration.
    fn spec(config: &str) -> (EncoderSpec, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs_err::write(&path, config).unwrap();
        let config = Config::read(Path::new(&path)).unwrap();
        (EncoderSpec::from_config(&config).unwrap(), config)
    }

    #[test]
    fn weights_of_known_encoders_are_counted() {
        let bert = r#"{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "vocab_size": 28996, "max_position_embeddings": 512, "type_vocab_size": 2}"#;
        // 107,719,680 of bert-base-cased, without the pooler, 25 norms of 1,536, and 2 token types.
        let (bert, config) = spec(bert);
        assert_eq!(bert.weights(12), 107_719_680 - 25 * 1536 - 2 * 768);
        assert_eq!(bert.weights(0), (28_996 + 512) * 768);
        assert_eq!(bert.weights(99), bert.weights(12));
        let weights = bert.random_weights(&config, 5).unwrap();
        assert!((weights.deviation - 0.02).abs() < 1e-12 && weights.norm > 0.5);

        let qwen = r#"{"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
            "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
            "max_position_embeddings": 40960, "initializer_range": 0.5}"#;
        let (qwen, config) = spec(qwen);
        // 596,049,920 of Qwen3-0.6B-Base, without norms: 2 of 1,024 and 2 of 128 in a layer, one at the end.
        assert_eq!(qwen.weights(28), 596_049_920 - 28 * 2 * (1024 + 128) - 1024);
        let weights = qwen.random_weights(&config, 5).unwrap();
        assert!((weights.deviation - 0.5).abs() < 1e-12);
    }

    #[test]
    fn weights_that_layers_share_are_counted_once() {
        let albert = |groups: usize| {
            let albert = format!(
                r#"{{"model_type": "albert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "embedding_size": 128, "intermediate_size": 3072, "vocab_size": 30000, "num_hidden_groups": {groups},
                "inner_group_num": 1, "max_position_embeddings": 512, "type_vocab_size": 2}}"#
            );
            spec(&albert).0
        };
        let layer = 4 * 768 * 769 + 2 * 768 * 3072 + 3072 + 768;
        let tables = (30_000 + 512 + 768) * 128;
        for (groups, layers, distinct) in [(1, 12, 1), (1, 0, 0), (3, 12, 3), (3, 5, 2)] {
            let weights = albert(groups).weights(layers);
            assert_eq!(weights, tables + distinct * layer, "{groups}: {layers}");
        }
    }

    #[test]
    fn layers_of_each_kind_are_found_and_their_biases_counted() {
        let gemma = r#"{"model_type": "gemma2", "hidden_size": 16, "num_hidden_layers": 5, "num_attention_heads": 4,
            "num_key_value_heads": 4, "head_dim": 4, "intermediate_size": 32, "vocab_size": 64, "sliding_window": 8,
            "max_position_embeddings": 64"#;
        let (capped, _) = spec(&format!("{gemma}}}"));
        assert_eq!(capped.layers_by_kind(5), [vec![1, 3], vec![0, 2, 4]]);
        assert_eq!(
            [0, 1, 2, 9].map(|layers| capped.biases(layers)),
            [[false, false], [false, true], [true, true], [true, true]]
        );
        let (uncapped, _) = spec(&format!("{gemma}, \"attn_logit_softcapping\": null}}"));
        assert_eq!(
            [0, 1, 2, 9].map(|layers| uncapped.biases(layers)),
            [[false, false], [false, true], [false, true], [false, true]]
        );
        let blocks = Blocks {
            queries: 16,
            before: 7,
            after: 0,
        };
        assert_eq!(
            [0, 1].map(|layers| capped.blocks(layers)),
            [None, Some(blocks)]
        );
        assert_eq!(
            [32, 33].map(|width| blocks.in_width(width)),
            [[32, 32], [16, 32]]
        );
    }

    #[test]
    fn norms_that_are_stored_as_what_they_have_more_than_one_begin_at_zero() {
        let gemma = r#"{"model_type": "gemma", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 4, "head_dim": 4, "intermediate_size": 32, "vocab_size": 64,
            "max_position_embeddings": 64, "hidden_act": "gelu_pytorch_tanh"}"#;
        let (gemma, config) = spec(gemma);
        assert_eq!(gemma.random_weights(&config, 1).unwrap().norm.to_bits(), 0);
    }
}
