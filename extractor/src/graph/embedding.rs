//! The embedding block: from token ids to hidden state 0, `[rows, width, hidden]`.

use ort::editor::ONNX_DOMAIN;

use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::{INPUT_IDS, TOKEN_TYPES};
use super::layer::Stream;
use super::weights::Source;
use crate::checkpoint::{CheckpointError, Tensor};
use crate::family::{PositionEncoding, Projected};

impl<'a> EncoderGraph<'a> {
    /// Adds words, positions and token types up, and normalises the sum and projects it to the
    /// hidden size in the order of the encoder, where it does.
    pub(super) fn embeddings(&mut self) -> Result<Stream, GraphError> {
        let embedding = self.spec.embedding;
        let shape = [embedding.vocabulary, embedding.size];
        let mut words = self.word_table(&shape)?;
        let token_type = self.token_type()?;
        let table = match &self.spec.position {
            PositionEncoding::Table { table, rows, .. } => Some((*table, *rows)),
            PositionEncoding::Rotary { .. } | PositionEncoding::None { .. } => None,
        };
        let Some(table) = table else {
            if let Some(types) = token_type {
                words = words.plus_first_row(types);
            }
            let words = self.scaled_words(&words)?;
            let words = self.with_told_types(words)?;
            return self.normed_and_projected(words);
        };
        let words = self.scaled_words(&words)?;
        let words = self.with_told_types(words)?;
        let words = self.projected(Projected::Words, words)?;
        let positions = self.positions(table, token_type)?;
        let summands = [words.as_str(), &positions];
        match embedding.norm {
            None if embedding.projection.is_none() || embedding.projects(Projected::Words) => {
                self.first_stream_of_sum(summands)
            }
            Some(norm) if !embedding.projects(Projected::Sum) => {
                let norm = self.norm_weights(norm, embedding.size)?;
                let both = self.add_and_norm("embeddings.norm", summands, None, &norm, false)?;
                let output = self.projected(Projected::Normalised, both.norm)?;
                self.first_stream(output)
            }
            _ => {
                let sum = self.builder.add("embeddings", summands)?;
                self.normed_and_projected(sum)
            }
        }
    }

    /// The word table, under the first of its names that the checkpoint has.
    fn word_table(&self, shape: &[usize]) -> Result<Source<'a>, GraphError> {
        let embedding = self.spec.embedding;
        let found = self.tensor(&format!("{}.weight", embedding.words), shape);
        match (found, embedding.words_also) {
            (Err(GraphError::Checkpoint(CheckpointError::Missing { .. })), Some(name)) => {
                self.tensor(&format!("{name}.weight"), shape)
            }
            (found, _) => found,
        }
    }

    /// The word embeddings, `[rows, width, size]`, multiplied where the encoder does that.
    fn scaled_words(&mut self, words: &Source<'_>) -> Result<String, GraphError> {
        let mut words = self.builder.gather("embeddings.words", words, INPUT_IDS)?;
        if let Some(mask) = self.spec.embedding.dropped_mask {
            words = self.without_masks(&words, mask)?;
        }
        let Some(scale) = self.spec.embedding.scale else {
            return Ok(words);
        };
        let scale = self.builder.number("embeddings.scale".to_owned(), scale)?;
        let operator = (ONNX_DOMAIN, "Mul");
        let inputs = [words.as_str(), &scale];
        self.builder
            .node(operator, "embeddings.scaled", &inputs, vec![])
    }

    /// Norm and projection of summed embeddings, `[rows, width, size]`, in the order of the encoder.
    fn normed_and_projected(&mut self, sum: String) -> Result<Stream, GraphError> {
        let embedding = self.spec.embedding;
        let mut value = self.projected(Projected::Sum, sum)?;
        if let Some(norm) = embedding.norm {
            let is_projected = embedding.projects(Projected::Sum);
            let size = if is_projected {
                self.spec.hidden
            } else {
                embedding.size
            };
            let norm = self.norm_weights(norm, size)?;
            value = self.norm("embeddings.norm", &value, &norm)?;
        }
        let value = self.projected(Projected::Normalised, value)?;
        self.first_stream(value)
    }

    /// Embeddings of the hidden size, by the linear layer of those, if the encoder has one.
    fn projected(&mut self, of: Projected, value: String) -> Result<String, GraphError> {
        let embedding = self.spec.embedding;
        let Some(layer) = embedding.projection.filter(|layer| layer.of == of) else {
            return Ok(value);
        };
        let linear = self.linear(layer.name, [embedding.size, self.spec.hidden], layer.bias)?;
        self.builder
            .linear("embeddings.projection", &value, &linear)
    }

    /// Word embeddings with those of the types of their tokens added, where the graph is told them.
    fn with_told_types(&mut self, words: String) -> Result<String, GraphError> {
        let types = self.spec.embedding.token_types;
        let Some(types) = types.filter(|types| types.told) else {
            return Ok(words);
        };
        let shape = [types.rows, self.spec.embedding.size];
        let table = self.tensor(&format!("{}.weight", types.table), &shape)?;
        let types = self
            .builder
            .gather("embeddings.types", &table, TOKEN_TYPES)?;
        self.builder.add("embeddings.typed", [&words, &types])
    }

    /// The embedding of token type 0, in the first row of the table, if there are token types and
    /// all tokens are of that one.
    fn token_type(&self) -> Result<Option<Tensor<'a>>, GraphError> {
        let types = self.spec.embedding.token_types;
        let table = types.filter(|types| !types.told).map(|types| {
            let shape = [types.rows, self.spec.embedding.size];
            let name = format!("{}.weight", types.table);
            self.checkpoint
                .tensor(self.spec.names.prefixes, &name, &shape)
        });
        Ok(table.transpose()?)
    }
}
