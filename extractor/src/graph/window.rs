//! Which tokens see one another, as a bias of attention scores: ONNX Runtime's operators know
//! causal attention and no window. The bias is the same for all rows, heads and layers of a kind,
//! `[1, 1, width, width]`, and is computed once for a batch.

use ort::editor::ONNX_DOMAIN;

use super::attention::MASKED;
use super::dtype::{ComputeDtype, ONNX_FLOAT};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;

/// More tokens than any sequence has, and few enough for float32 to count.
pub(crate) const FAR: usize = 1 << 22;

impl EncoderGraph<'_> {
    /// Whether layer number `layer` has a window.
    pub(super) fn has_window(&self, layer: usize) -> bool {
        let window = self.spec.attention.window.as_ref();
        window.is_some_and(|window| window.is_in(layer))
    }

    /// What is added to the scores of a layer, in the number format of the encoder: 0 where a token
    /// is seen. It hides what is outside the window, if the layer has one, and what comes later in
    /// a causal encoder.
    pub(super) fn visibility(&mut self, layer: usize) -> Result<String, GraphError> {
        let windowed = self.has_window(layer);
        if let Some(bias) = &self.shared.biases[usize::from(windowed)] {
            return Ok(bias.clone());
        }
        let (row, column) = (self.counted()?, self.counted_column()?);
        let label = if windowed { "window" } else { "causal" };
        let of_pairs = self.hidden_beyond(label, [&column, &row], windowed, 0)?;
        let axes = self.builder.integers(&format!("{label}.rows"), &[0])?;
        let inputs = [of_pairs.as_str(), &axes];
        let operator = (ONNX_DOMAIN, "Unsqueeze");
        let name = format!("{label}.of_rows");
        let bias = self.builder.node(operator, &name, &inputs, vec![])?;
        self.shared.biases[usize::from(windowed)] = Some(bias.clone());
        Ok(bias)
    }

    /// What is added to the scores of queries and keys at these positions, whose difference has a
    /// dimension for each of the two at its end, with one more dimension, number `axis`, for the
    /// heads.
    #[expect(
        clippy::cast_precision_loss,
        reason = "windows are no longer than texts"
    )]
    pub(super) fn hidden_beyond(
        &mut self,
        label: &str,
        [query, key]: [&str; 2],
        windowed: bool,
        axis: i64,
    ) -> Result<String, GraphError> {
        let attention = &self.spec.attention;
        let reach = match &attention.window {
            Some(window) if windowed => window.reach.min(FAR),
            _ => FAR,
        };
        // The middle of what is seen, counted backwards, and how far it is to each end.
        let (middle, half) = if attention.causal {
            (reach as f32 / 2.0, reach as f32 / 2.0)
        } else {
            (0.0, reach as f32)
        };
        let dtype = self.builder.dtype();
        let builder = &mut self.builder;
        let step = |step: &str| format!("{label}.{step}");
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let middle = builder.values(&step("middle"), &[1], &[middle])?;
        let half = builder.values(&step("half"), &[1], &[half])?;
        // float16 has no number as low as the others; its lowest is low enough for its scores.
        let lowest = if dtype == ComputeDtype::F16 {
            -65504.0
        } else {
            MASKED
        };
        let masked = builder.values(&step("masked"), &[1], &[lowest])?;
        let seen = builder.values(&step("seen"), &[1], &[0.0])?;
        let distance = builder.node(onnx("Sub"), &step("distance"), &[query, key], vec![])?;
        let off = builder.node(onnx("Sub"), &step("off"), &[&distance, &middle], vec![])?;
        let off = builder.node(onnx("Abs"), &step("off_by"), &[&off], vec![])?;
        let hidden = builder.node(onnx("Greater"), &step("hidden"), &[&off, &half], vec![])?;
        let inputs = [hidden.as_str(), &masked, &seen];
        let mut bias = builder.node(onnx("Where"), &step("scores"), &inputs, vec![])?;
        if dtype.onnx() != ONNX_FLOAT {
            bias = builder.cast(&step("cast"), &bias, dtype.onnx())?;
        }
        let axis = builder.integers(&step("axis"), &[axis])?;
        builder.node(onnx("Unsqueeze"), &step("bias"), &[&bias, &axis], vec![])
    }
}
