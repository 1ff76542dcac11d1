//! The embedding block: from token ids to hidden state 0, `[rows, width, hidden]`.

use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::INPUT_IDS;
use super::layer::Stream;
use crate::checkpoint::Tensor;

impl<'a> EncoderGraph<'a> {
    /// Adds words, positions and token types up, normalises the sum and projects it to the hidden
    /// size, where the encoder does.
    pub(super) fn embeddings(&mut self) -> Result<Stream, GraphError> {
        let (embedding, hidden) = (self.spec.embedding, self.spec.hidden);
        let shape = [embedding.vocabulary, embedding.size];
        let words = self.tensor(&format!("{}.weight", embedding.words), &shape)?;
        let token_type = self.token_type()?;
        let words = self.builder.gather("embeddings.words", &words, INPUT_IDS)?;
        let positions = self.positions(token_type)?;
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
