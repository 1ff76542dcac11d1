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

impl EncoderGraph<'_> {
    /// The input of the first layer, from the output of the embedding block.
    pub(super) fn first_stream(&mut self, embeddings: String) -> Result<Stream, GraphError> {
        let Some(norm) = self.norm_before_layer(0) else {
            return Ok(Stream::single(embeddings));
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
        let Some(norm) = self.norm_before_layer(0) else {
            return Ok(Stream::single(self.builder.add("embeddings", summands)?));
        };
        let norm = self.norm_weights(&norm, self.spec.hidden)?;
        let both = self.add_and_norm("embeddings", summands, None, &norm, true)?;
        Ok(self.pre_norm_stream(both.sum, both.norm, 0))
    }

    /// The norm that follows hidden state `layer` on its way into layer number `layer` or, after
    /// the last layer, is that hidden state's own. None where no layer follows that is wanted.
    fn norm_before_layer(&self, layer: usize) -> Option<String> {
        let after_last = layer == self.spec.layers;
        if layer == self.last && !after_last {
            return None;
        }
        let (attention, last) = match self.spec.residual {
            ResidualOrder::PostNorm { .. } | ResidualOrder::PostNormConvolution { .. } => {
                return None;
            }
            ResidualOrder::PreNorm {
                in_first_layer: false,
                ..
            } if layer == 0 => return None,
            ResidualOrder::PreNorm {
                attention, last, ..
            } => (Some(attention), last),
            ResidualOrder::Parallel {
                attention, last, ..
            } => (Some(attention), Some(last)),
            ResidualOrder::BlockNorms { before, last, .. } => {
                (before.map(|[attention, _]| attention), Some(last))
            }
        };
        if after_last {
            return last.map(str::to_owned);
        }
        attention.map(|norm| self.in_layer(layer, norm))
    }

    /// Layer number `layer`, from 0.
    pub(super) fn layer(&mut self, layer: usize, stream: &Stream) -> Result<Stream, GraphError> {
        match self.spec.residual {
            ResidualOrder::PostNorm {
                attention,
                feed_forward,
            } => self.post_norm_layer(layer, stream, [attention, feed_forward]),
            ResidualOrder::PostNormConvolution {
                attention,
                feed_forward,
                convolution,
            } => {
                let output = self.post_norm_layer(layer, stream, [attention, feed_forward])?;
                if layer > 0 {
                    return Ok(output);
                }
                let both = [stream.state.as_str(), &output.state];
                let state = self.convolved("convolution", both, convolution)?;
                Ok(Stream::single(state))
            }
            ResidualOrder::PreNorm { feed_forward, .. } => {
                self.pre_norm_layer(layer, stream, feed_forward)
            }
            ResidualOrder::Parallel { feed_forward, .. } => {
                self.parallel_layer(layer, stream, feed_forward)
            }
            ResidualOrder::BlockNorms { before, after, .. } => {
                self.block_norms_layer(layer, stream, before, after)
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
        feed_forward_norm: &str,
    ) -> Result<Stream, GraphError> {
        let label = format!("layer.{layer}");
        let attended = self.attention(layer, &label, &stream.input)?;
        let name = format!("{label}.attention.sum");
        let norm = self.in_layer(layer, feed_forward_norm);
        let middle = self.residual_norm(&name, &attended, &stream.residual, &norm, true)?;
        let transformed = self.feed_forward(layer, &label, &middle.norm)?;
        self.close_layer(layer, &transformed, &middle.sum)
    }

    /// Attention and feed-forward of the same hidden state, each of its own norm, and the sum of
    /// all three.
    fn parallel_layer(
        &mut self,
        layer: usize,
        stream: &Stream,
        feed_forward_norm: &str,
    ) -> Result<Stream, GraphError> {
        let label = format!("layer.{layer}");
        let attended = self.attention(layer, &label, &stream.input)?;
        let name = format!("{label}.feed_forward.norm");
        let norm = self.in_layer(layer, feed_forward_norm);
        let norm = self.norm_weights(&norm, self.spec.hidden)?;
        let normed = self.norm(&name, &stream.residual, &norm)?;
        let transformed = self.feed_forward(layer, &label, &normed)?;
        let attended = self.with_bias(&format!("{label}.attention"), attended)?;
        let name = format!("{label}.attention.sum");
        let middle = self.builder.add(&name, [&attended, &stream.residual])?;
        self.close_layer(layer, &transformed, &middle)
    }

    /// Each block between its norms, and the sum after it.
    fn block_norms_layer(
        &mut self,
        layer: usize,
        stream: &Stream,
        before: Option<[&str; 2]>,
        [after_attention, after_feed_forward]: [&str; 2],
    ) -> Result<Stream, GraphError> {
        let label = format!("layer.{layer}");
        let attended = self.attention(layer, &label, &stream.input)?;
        let block = format!("{label}.attention");
        let attended = self.normed_block(layer, &block, attended, after_attention)?;
        let name = format!("{block}.sum");
        let (middle, input) = if let Some([_, norm]) = before {
            let norm = self.in_layer(layer, norm);
            let both = self.residual_norm(&name, &attended, &stream.residual, &norm, true)?;
            (both.sum, both.norm)
        } else {
            let sum = self
                .builder
                .add(&name, [&attended.value, &stream.residual])?;
            (sum.clone(), sum)
        };
        let transformed = self.feed_forward(layer, &label, &input)?;
        let block = format!("{label}.feed_forward");
        let transformed = self.normed_block(layer, &block, transformed, after_feed_forward)?;
        self.close_layer(layer, &transformed, &middle)
    }

    /// The norm of what a block computes.
    fn normed_block(
        &mut self,
        layer: usize,
        label: &str,
        block: BlockOutput<'_>,
        norm: &str,
    ) -> Result<BlockOutput<'static>, GraphError> {
        let value = self.with_bias(label, block)?;
        let norm = self.norm_weights(&self.in_layer(layer, norm), self.spec.hidden)?;
        Ok(BlockOutput {
            value: self.norm(&format!("{label}.norm_after"), &value, &norm)?,
            bias: None,
        })
    }

    /// What a block computes, with its bias.
    fn with_bias(&mut self, label: &str, block: BlockOutput<'_>) -> Result<String, GraphError> {
        match &block.bias {
            Some(bias) => {
                let name = format!("{label}.with_bias");
                self.builder.add_bias(&name, &block.value, bias)
            }
            None => Ok(block.value),
        }
    }

    /// The sum at the end of a layer, and the norm that comes before the next one, if there is one.
    fn close_layer(
        &mut self,
        layer: usize,
        block: &BlockOutput<'_>,
        residual: &str,
    ) -> Result<Stream, GraphError> {
        let state = layer + 1;
        let name = format!("layer.{layer}.sum");
        if let Some(norm) = self.norm_before_layer(state) {
            let both = self.residual_norm(&name, block, residual, &norm, true)?;
            return Ok(self.pre_norm_stream(both.sum, both.norm, state));
        }
        // In the order in which the operator with a norm adds up: the same sum to the last bit.
        let Some(bias) = &block.bias else {
            let sum = self.builder.add(&name, [&block.value, residual])?;
            return Ok(Stream::single(sum));
        };
        let without = format!("{name}.without_bias");
        let sum = self.builder.add(&without, [&block.value, residual])?;
        Ok(Stream::single(self.builder.add_bias(&name, &sum, bias)?))
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
