//! The embedding block: from token ids to hidden state 0, `[rows, width, hidden]`.

use ort::editor::ONNX_DOMAIN;

use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::INPUT_IDS;
use super::layer::Stream;
use super::weights::Source;
use crate::checkpoint::Tensor;
use crate::family::PositionEncoding;

impl<'a> EncoderGraph<'a> {
    /// Adds words, positions and token types up, and normalises the sum and projects it to the
    /// hidden size in the order of the encoder, where it does.
    pub(super) fn embeddings(&mut self) -> Result<Stream, GraphError> {
        let embedding = self.spec.embedding;
        let shape = [embedding.vocabulary, embedding.size];
        let mut words = self.tensor(&format!("{}.weight", embedding.words), &shape)?;
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
            return self.normed_and_projected(words);
        };
        let words = self.scaled_words(&words)?;
        let positions = self.positions(table, token_type)?;
        let summands = [words.as_str(), &positions];
        let projected_first = embedding.projection.is_some_and(|layer| layer.before_norm);
        match (embedding.norm, embedding.projection) {
            (None, None) => self.first_stream_of_sum(summands),
            (Some(norm), _) if !projected_first => {
                let norm = self.norm_weights(norm, embedding.size)?;
                let both = self.add_and_norm("embeddings.norm", summands, None, &norm, false)?;
                let output = self.projected(both.norm)?;
                self.first_stream(output)
            }
            _ => {
                let sum = self.builder.add("embeddings", summands)?;
                self.normed_and_projected(sum)
            }
        }
    }

    /// The word embeddings, `[rows, width, size]`, multiplied where the encoder does that.
    fn scaled_words(&mut self, words: &Source<'_>) -> Result<String, GraphError> {
        let words = self.builder.gather("embeddings.words", words, INPUT_IDS)?;
        let Some(scale) = self.spec.embedding.scale else {
            return Ok(words);
        };
        let scale = self.builder.number("embeddings.scale".to_owned(), scale)?;
        let operator = (ONNX_DOMAIN, "Mul");
        let inputs = [words.as_str(), &scale];
        self.builder
            .node(operator, "embeddings.scaled", &inputs, vec![])
    }

    /// Norm and projection of embeddings, `[rows, width, size]`, in the order of the encoder.
    fn normed_and_projected(&mut self, mut value: String) -> Result<Stream, GraphError> {
        let (embedding, hidden) = (self.spec.embedding, self.spec.hidden);
        let projected_first = embedding.projection.is_some_and(|layer| layer.before_norm);
        if projected_first {
            value = self.projected(value)?;
        }
        if let Some(norm) = embedding.norm {
            let size = if projected_first {
                hidden
            } else {
                embedding.size
            };
            let norm = self.norm_weights(norm, size)?;
            value = self.norm("embeddings.norm", &value, &norm)?;
        }
        if !projected_first {
            value = self.projected(value)?;
        }
        self.first_stream(value)
    }

    /// Embeddings of the hidden size, by a linear layer where theirs is another.
    fn projected(&mut self, value: String) -> Result<String, GraphError> {
        let Some(layer) = self.spec.embedding.projection else {
            return Ok(value);
        };
        let sizes = [self.spec.embedding.size, self.spec.hidden];
        let linear = self.linear(layer.name, sizes, layer.bias)?;
        self.builder
            .linear("embeddings.projection", &value, &linear)
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
