//! Rows of a store as outputs of a graph, for encoders on a GPU: what leaves the card is then what is stored, in one
//! piece, without padding, and the processor has nothing left to convert.
//!
//! One more input, [`KEPT`], int32 `[tokens]`: which tokens are stored, each as `row * width + position`. Outputs beside the
//! hidden states: [`ROWS`] in the store's number format, `[tokens, layers * hidden]`, and what is known of each vector
//! before it was rounded, float32 `[tokens, layers]`: [`MINIMUM`], [`MAXIMUM`] and [`ABSOLUTE`], the sum of its values' sizes.
//!
//! Sums are taken a vector at a time, as few values as float32 adds up exactly enough; the processor adds up the rest.

use cache::StoreDtype;
use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;
use ort::value::{Outlet, TensorElementType};

use super::GraphError;
use super::builder::{Builder, ONNX_BFLOAT16, ONNX_FLOAT16, outlet};

/// Tokens that are stored, int32 `[tokens]`.
pub const KEPT: &str = "kept";
/// Rows of the store, `[tokens, layers * hidden]`.
pub const ROWS: &str = "rows";
/// Smallest value of each vector, float32 `[tokens, layers]`.
pub const MINIMUM: &str = "rows.minimum";
/// Largest value of each vector, float32 `[tokens, layers]`.
pub const MAXIMUM: &str = "rows.maximum";
/// Sum of the absolute values of each vector, float32 `[tokens, layers]`.
pub const ABSOLUTE: &str = "rows.absolute";

/// Whether rows of this format can be outputs: int8 vectors have a scale of their own, which no tensor holds.
#[must_use]
pub const fn can_be_output(format: StoreDtype) -> bool {
    matches!(format, StoreDtype::F16 | StoreDtype::Bf16 | StoreDtype::F32)
}

impl Builder {
    /// Adds the rows of `layers`, each float32 `[rows, width, hidden]`, and gives the outputs to declare.
    pub(super) fn rows(
        &mut self,
        layers: &[String],
        hidden: usize,
        format: StoreDtype,
    ) -> Result<Vec<Outlet>, GraphError> {
        let size = i64::try_from(hidden).unwrap_or(i64::MAX);
        let flat = self.integers("rows.flat", &[-1, size])?;
        let axis = self.integers("rows.axis", &[1])?;
        let mut parts: [Vec<String>; 4] = Default::default();
        for (index, layer) in layers.iter().enumerate() {
            let step = |step: &str| format!("rows.{index}.{step}");
            let onnx = |operator| (ONNX_DOMAIN, operator);
            let all = self.node(onnx("Reshape"), &step("all"), &[layer, &flat], vec![])?;
            let kept = self.node(onnx("Gather"), &step("kept"), &[&all, KEPT], vec![])?;
            let sizes = self.node(onnx("Abs"), &step("sizes"), &[&kept], vec![])?;
            for (part, (operator, values)) in parts[1..].iter_mut().zip([
                ("ReduceMin", &kept),
                ("ReduceMax", &kept),
                ("ReduceSum", &sizes),
            ]) {
                part.push(self.node(onnx(operator), &step(operator), &[values, &axis], vec![])?);
            }
            parts[0].push(match format {
                StoreDtype::F16 => self.cast(&step("stored"), &kept, ONNX_FLOAT16)?,
                StoreDtype::Bf16 => self.cast(&step("stored"), &kept, ONNX_BFLOAT16)?,
                StoreDtype::F32 | StoreDtype::I8 => kept,
            });
        }
        let values = i64::try_from(layers.len() * hidden).unwrap_or(i64::MAX);
        let counts = i64::try_from(layers.len()).unwrap_or(i64::MAX);
        let outputs = [
            (ROWS, element(format), values),
            (MINIMUM, TensorElementType::Float32, counts),
            (MAXIMUM, TensorElementType::Float32, counts),
            (ABSOLUTE, TensorElementType::Float32, counts),
        ];
        let mut outlets = Vec::with_capacity(outputs.len());
        for (part, (name, ty, width)) in parts.iter().zip(outputs) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let beside = vec![Attribute::new("axis", 1_i64)?];
            self.node((ONNX_DOMAIN, "Concat"), name, &part, beside)?;
            outlets.push(outlet(name, ty, &[-1, width]));
        }
        Ok(outlets)
    }
}

/// The format as ONNX Runtime names it.
const fn element(format: StoreDtype) -> TensorElementType {
    match format {
        StoreDtype::F16 => TensorElementType::Float16,
        StoreDtype::Bf16 => TensorElementType::Bfloat16,
        StoreDtype::F32 | StoreDtype::I8 => TensorElementType::Float32,
    }
}
