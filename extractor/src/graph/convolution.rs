//! The convolution beside the first layer, as a product with a matrix: each token's neighbours stand
//! side by side. ONNX Runtime's own operator would take cuDNN on a GPU, which makes a plan for each
//! shape of a batch, and has no bfloat16.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::dtype::{ONNX_FLOAT, ONNX_INT64};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::POSITION_IDS;
use super::weights::Source;
use crate::checkpoint::Tensor;
use crate::family::Convolution;

impl EncoderGraph<'_> {
    /// `norm(output + activation(convolution(input)))`, all `[rows, width, hidden]`.
    pub(super) fn convolved(
        &mut self,
        label: &str,
        [input, output]: [&str; 2],
        convolution: Convolution,
    ) -> Result<String, GraphError> {
        let hidden = self.spec.hidden;
        let matrix = self.convolution_matrix(convolution)?;
        let bias = self.bias(convolution.name, hidden, true)?;
        let beside = self.neighbours(label, input, convolution.kernel)?;
        let builder = &mut self.builder;
        let sums = builder.matmul(&format!("{label}.sums"), &beside, &matrix)?;
        let name = format!("{label}.activation");
        let active = builder.activation(&name, &sums, bias.as_ref(), convolution.activation)?;
        let norm = self.norm_weights(convolution.norm, hidden)?;
        let name = format!("{label}.norm");
        let both = self.add_and_norm(&name, [&active, output], None, &norm, false)?;
        Ok(both.norm)
    }

    /// Each token's neighbours from left to right, `[rows, width, kernel * hidden]`; zeros where
    /// there is none.
    fn neighbours(
        &mut self,
        label: &str,
        input: &str,
        kernel: usize,
    ) -> Result<String, GraphError> {
        let input = self.without_padding(label, input)?;
        let [counted, last] = self.counted_and_last()?;
        let dtype = self.builder.dtype().onnx();
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let first = builder.values(&format!("{label}.first"), &[1], &[0.0])?;
        let flat = builder.integers(&format!("{label}.flat"), &[-1])?;
        let column = builder.integers(&format!("{label}.column"), &[2])?;
        let mut neighbours = Vec::with_capacity(kernel);
        for tap in 0..kernel {
            let step = |step: &str| format!("{label}.{tap}.{step}");
            #[expect(clippy::cast_precision_loss, reason = "kernels are small")]
            let offset = tap as f32 - (kernel / 2) as f32;
            let offset = builder.values(&step("offset"), &[1], &[offset])?;
            let mut apply = |operator, name: &str, inputs: [&str; 2]| {
                builder.node(onnx(operator), &step(name), &inputs, vec![])
            };
            let place = apply("Add", "place", [&counted, &offset])?;
            let inside = apply("Max", "not_before", [&place, &first])?;
            let inside = apply("Min", "inside", [&inside, &last])?;
            let is_there = apply("Equal", "is_there", [&place, &inside])?;
            let is_there = builder.cast(&step("factor"), &is_there, dtype)?;
            let inputs = [is_there.as_str(), &column];
            let is_there = builder.node(onnx("Unsqueeze"), &step("column"), &inputs, vec![])?;
            let places = builder.cast(&step("int64"), &inside, ONNX_INT64)?;
            let inputs = [places.as_str(), &flat];
            let places = builder.node(onnx("Reshape"), &step("places"), &inputs, vec![])?;
            let axis = vec![Attribute::new("axis", 1_i64)?];
            let inputs = [input.as_str(), &places];
            let moved = builder.node(onnx("Gather"), &step("moved"), &inputs, axis)?;
            let inputs = [moved.as_str(), &is_there];
            neighbours.push(builder.node(onnx("Mul"), &step("neighbour"), &inputs, vec![])?);
        }
        let neighbours: Vec<&str> = neighbours.iter().map(String::as_str).collect();
        let axis = vec![Attribute::new("axis", 2_i64)?];
        builder.node(
            onnx("Concat"),
            &format!("{label}.neighbours"),
            &neighbours,
            axis,
        )
    }

    /// `value`, `[rows, width, hidden]`, with zeros at padding, which has no number of its own
    /// among [`POSITION_IDS`].
    fn without_padding(&mut self, label: &str, value: &str) -> Result<String, GraphError> {
        let [counted, _] = self.counted_and_last()?;
        let dtype = self.builder.dtype().onnx();
        let builder = &mut self.builder;
        let step = |step: &str| format!("{label}.{step}");
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let positions = builder.cast(&step("positions"), POSITION_IDS, ONNX_FLOAT)?;
        let inputs = [positions.as_str(), &counted];
        let is_token = builder.node(onnx("Equal"), &step("is_token"), &inputs, vec![])?;
        let is_token = builder.cast(&step("mask"), &is_token, dtype)?;
        let axes = builder.integers(&step("mask.axes"), &[2])?;
        let inputs = [is_token.as_str(), &axes];
        let mask = builder.node(onnx("Unsqueeze"), &step("mask.column"), &inputs, vec![])?;
        builder.node(onnx("Mul"), &step("tokens"), &[value, &mask], vec![])
    }

    /// The weights, `[hidden, hidden / groups, kernel]`, as `[kernel * hidden, hidden]`.
    fn convolution_matrix(&self, convolution: Convolution) -> Result<Source<'static>, GraphError> {
        let (hidden, kernel) = (self.spec.hidden, convolution.kernel);
        let inputs = hidden / convolution.groups;
        let name = format!("{}.weight", convolution.name);
        let weight = self.numbers(&name, &[hidden, inputs, kernel])?;
        let mut matrix = vec![0.0; kernel * hidden * hidden];
        for (output, weight) in weight.chunks_exact(inputs * kernel).enumerate() {
            let first = output / inputs * inputs;
            for (input, taps) in weight.chunks_exact(kernel).enumerate() {
                for (tap, &weight) in taps.iter().enumerate() {
                    matrix[(tap * hidden + first + input) * hidden + output] = weight;
                }
            }
        }
        let shape = [kernel * hidden, hidden];
        Ok(Source::stored(Tensor::computed(&shape, matrix)))
    }
}
