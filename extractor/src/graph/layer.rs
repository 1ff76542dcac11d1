//! A transformer layer: the order of its blocks, norms and residual sums.

use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use super::norm::SumAndNorm;
use crate::family::ResidualOrder;

/// What flows from layer to layer, by the names of values, each `[rows, width, hidden]`.
pub(super) struct Stream {
    /// The hidden state of the layer.
    pub(super) state: String,
    /// What the next layer's first block adds its result to; the hidden state itself, except after
    /// the last norm.
    residual: String,
    /// What the next layer's first block reads.
    input: String,
}

impl Stream {
    /// A stream in which all three are the same value.
    fn single(state: String) -> Self {
        Self {
            residual: state.clone(),
            input: state.clone(),
            state,
        }
    }
}

/// The names of a layer's norms where they stand before its blocks.
#[derive(Clone, Copy)]
struct PreNorms {
    attention: &'static str,
    feed_forward: &'static str,
    last: &'static str,
}

impl EncoderGraph<'_> {
    /// The input of the first layer, from the output of the embedding block.
    pub(super) fn first_stream(&mut self, embeddings: String) -> Result<Stream, GraphError> {
        let norm = match self.spec.residual {
            ResidualOrder::PostNorm { .. } => return Ok(Stream::single(embeddings)),
            ResidualOrder::PreNorm {
                attention, last, ..
            } => self.norm_after_state(0, attention, last),
        };
        let norm = self.norm_weights(&norm, self.spec.hidden)?;
        let normed = self.norm("layer.0.norm", &embeddings, &norm)?;
        Ok(self.pre_norm_stream(embeddings, normed, 0))
    }

    /// The input of the first layer, from two values whose sum is the output of the embedding
    /// block.
    pub(super) fn first_stream_of_sum(
        &mut self,
        summands: [&str; 2],
    ) -> Result<Stream, GraphError> {
        match self.spec.residual {
            ResidualOrder::PostNorm { .. } => {
                Ok(Stream::single(self.builder.add("embeddings", summands)?))
            }
            ResidualOrder::PreNorm {
                attention, last, ..
            } => {
                let norm = self.norm_after_state(0, attention, last);
                let norm = self.norm_weights(&norm, self.spec.hidden)?;
                let both = self.add_and_norm("embeddings", summands, None, &norm, true)?;
                Ok(self.pre_norm_stream(both.sum, both.norm, 0))
            }
        }
    }

    /// Layer number `layer`, from 0.
    pub(super) fn layer(&mut self, layer: usize, stream: &Stream) -> Result<Stream, GraphError> {
        match self.spec.residual {
            ResidualOrder::PostNorm {
                attention,
                feed_forward,
            } => self.post_norm_layer(layer, stream, [attention, feed_forward]),
            ResidualOrder::PreNorm {
                attention,
                feed_forward,
                last,
            } => {
                let norms = PreNorms {
                    attention,
                    feed_forward,
                    last,
                };
                self.pre_norm_layer(layer, stream, norms)
            }
        }
    }

    /// Attention, sum and norm; feed-forward, sum and norm.
    fn post_norm_layer(
        &mut self,
        layer: usize,
        stream: &Stream,
        [attention_norm, feed_forward_norm]: [&str; 2],
    ) -> Result<Stream, GraphError> {
        let label = format!("layer.{layer}");
        let attended = self.attention(layer, &label, &stream.input)?;
        let name = format!("{label}.attention.norm");
        let norm = self.in_layer(layer, attention_norm);
        let middle = self.residual_norm(&name, &attended, &stream.residual, &norm, false)?;
        let transformed = self.feed_forward(layer, &label, &middle.norm)?;
        let name = format!("{label}.norm");
        let norm = self.in_layer(layer, feed_forward_norm);
        let result = self.residual_norm(&name, &transformed, &middle.norm, &norm, false)?;
        Ok(Stream::single(result.norm))
    }

    /// Attention and sum, norm; feed-forward and sum, and the norm that comes before the next
    /// layer. The norm after the last layer is part of its hidden state.
    fn pre_norm_layer(
        &mut self,
        layer: usize,
        stream: &Stream,
        norms: PreNorms,
    ) -> Result<Stream, GraphError> {
        let label = format!("layer.{layer}");
        let attended = self.attention(layer, &label, &stream.input)?;
        let name = format!("{label}.attention.sum");
        let norm = self.in_layer(layer, norms.feed_forward);
        let middle = self.residual_norm(&name, &attended, &stream.residual, &norm, true)?;
        let transformed = self.feed_forward(layer, &label, &middle.norm)?;
        let state = layer + 1;
        let name = format!("{label}.sum");
        let norm = self.norm_after_state(state, norms.attention, norms.last);
        let result = self.residual_norm(&name, &transformed, &middle.sum, &norm, true)?;
        Ok(self.pre_norm_stream(result.sum, result.norm, state))
    }

    /// The sum of a block's result with the residual, and its norm.
    fn residual_norm(
        &mut self,
        label: &str,
        block: &BlockOutput<'_>,
        residual: &str,
        norm: &str,
        with_sum: bool,
    ) -> Result<SumAndNorm, GraphError> {
        let weights = self.norm_weights(norm, self.spec.hidden)?;
        let summands = [block.value.as_str(), residual];
        self.add_and_norm(label, summands, block.bias.as_ref(), &weights, with_sum)
    }

    /// The name of the norm that follows hidden state `state` where norms stand before blocks.
    fn norm_after_state(&self, state: usize, attention: &str, last: &str) -> String {
        if state == self.spec.layers {
            last.to_owned()
        } else {
            self.in_layer(state, attention)
        }
    }

    /// The stream after hidden state `state`, from a sum and its norm.
    fn pre_norm_stream(&self, sum: String, norm: String, state: usize) -> Stream {
        let is_last = state == self.spec.layers;
        Stream {
            state: if is_last { norm.clone() } else { sum.clone() },
            residual: sum,
            input: norm,
        }
    }
}
