//! The embedding block: from token ids to hidden state 0, `[rows, width, hidden]`.

use ort::editor::ONNX_DOMAIN;

use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::INPUT_IDS;
use super::layer::Stream;
use super::weights::Source;
use crate::checkpoint::{CheckpointError, Tensor};
use crate::family::PositionEncoding;

impl<'a> EncoderGraph<'a> {
    /// Adds words, positions and token types up, normalises the sum and projects it to the hidden
    /// size, where the encoder does.
    pub(super) fn embeddings(&mut self) -> Result<Stream, GraphError> {
        let (embedding, hidden) = (self.spec.embedding, self.spec.hidden);
        let shape = [embedding.vocabulary, embedding.size];
        let mut words = self.word_table(&shape)?;
        let token_type = self.token_type()?;
        let table = match &self.spec.position {
            PositionEncoding::Table { table, rows, .. } => (*table, *rows),
            PositionEncoding::Rotary { .. } | PositionEncoding::None { .. } => {
                if let Some(types) = token_type {
                    words = words.plus_first_row(types);
                }
                return self.words_alone(&words);
            }
        };
        let mut words = self.words(&words)?;
        if let Some(projection) = embedding.word_projection {
            let projection = self.linear(projection, [embedding.size, hidden], false)?;
            let name = "embeddings.words.projection";
            words = self.builder.linear(name, &words, &projection)?;
        }
        let positions = self.positions(table, token_type)?;
        let summands = [words.as_str(), &positions];
        let output = match (embedding.norm, embedding.projection) {
            (None, None) => return self.first_stream_of_sum(summands),
            (None, Some(_)) => self.builder.add("embeddings", summands)?,
            (Some(norm), _) => {
                let norm = self.norm_weights(norm, embedding.size)?;
                self.add_and_norm("embeddings.norm", summands, None, &norm, false)?
                    .norm
            }
        };
        let Some(projection) = embedding.projection else {
            return self.first_stream(output);
        };
        let projection = self.linear(projection, [embedding.size, hidden], true)?;
        let name = "embeddings.projection";
        let projected = self.builder.linear(name, &output, &projection)?;
        self.first_stream(projected)
    }

    /// The embedding of each word, `[rows, width, size]`.
    fn words(&mut self, table: &Source<'_>) -> Result<String, GraphError> {
        let words = self.builder.gather("embeddings.words", table, INPUT_IDS)?;
        match self.spec.embedding.dropped_mask {
            Some(mask) => self.without_masks(&words, mask),
            None => Ok(words),
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

    /// The word embeddings of an encoder that adds no positions to them: scaled and normalised,
    /// where the encoder does.
    fn words_alone(&mut self, words: &Source<'_>) -> Result<Stream, GraphError> {
        let embedding = self.spec.embedding;
        let mut value = self.words(words)?;
        if let Some(scale) = embedding.scale {
            let scale = self.builder.number("embeddings.scale".to_owned(), scale)?;
            let operator = (ONNX_DOMAIN, "Mul");
            let inputs = [value.as_str(), &scale];
            value = self
                .builder
                .node(operator, "embeddings.scaled", &inputs, vec![])?;
        }
        if let Some(norm) = embedding.norm {
            let norm = self.norm_weights(norm, embedding.size)?;
            value = self.norm("embeddings.norm", &value, &norm)?;
        }
        self.first_stream(value)
    }

    /// The embedding of token type 0, in the first row of the table, if there are token types.
    fn token_type(&self) -> Result<Option<Tensor<'a>>, GraphError> {
        let table = self.spec.embedding.token_types.map(|types| {
            let shape = [types.rows, self.spec.embedding.size];
            let name = format!("{}.weight", types.table);
            self.checkpoint
                .tensor(self.spec.names.prefixes, &name, &shape)
        });
        Ok(table.transpose()?)
    }
}
