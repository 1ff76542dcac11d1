//! Position encodings: how the graph tells an encoder the order of its tokens.

use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::POSITION_IDS;
use crate::checkpoint::Tensor;
use crate::family::Projected;

impl<'a> EncoderGraph<'a> {
    /// What is added to the word embeddings, `[rows, width, embedding size]`: the embedding of each
    /// position, which carries that of the token type, as it is the same for all tokens.
    /// The table is `[rows, embedding size]`, or `[rows, hidden]` where words are projected to that
    /// first; `token_type` is `[types, embedding size]`.
    pub(super) fn positions(
        &mut self,
        (table, rows): (&str, usize),
        token_type: Option<Tensor<'a>>,
    ) -> Result<String, GraphError> {
        let embedding = &self.spec.embedding;
        let size = if embedding.projects(Projected::Words) {
            self.spec.hidden
        } else {
            embedding.size
        };
        let shape = [rows, size];
        let mut table = self.tensor(&format!("{table}.weight"), &shape)?;
        if let Some(types) = token_type {
            table = table.plus_first_row(types);
        }
        self.builder
            .gather("embeddings.positions", &table, POSITION_IDS)
    }
}
