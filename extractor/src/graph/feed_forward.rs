//! The feed-forward block of a layer.

use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use crate::family::FeedForward;

impl<'a> EncoderGraph<'a> {
    /// Two linear layers with a non-linearity between them.
    pub(super) fn feed_forward(
        &mut self,
        layer: usize,
        label: &str,
        block_input: &str,
    ) -> Result<BlockOutput<'a>, GraphError> {
        let FeedForward::Plain {
            inner,
            activation,
            bias,
            input,
            output,
        } = self.spec.feed_forward;
        let hidden = self.spec.hidden;
        let label = format!("{label}.feed_forward");
        let input = self.linear(&self.in_layer(layer, input), [hidden, inner], bias)?;
        let output = self.linear(&self.in_layer(layer, output), [inner, hidden], bias)?;
        let builder = &mut self.builder;
        let wide = builder.matmul(&format!("{label}.in"), block_input, &input.matrix)?;
        let name = format!("{label}.activation");
        let active = builder.activation(&name, &wide, input.bias.as_ref(), activation)?;
        Ok(BlockOutput {
            value: builder.matmul(&format!("{label}.out"), &active, &output.matrix)?,
            bias: output.bias,
        })
    }
}
