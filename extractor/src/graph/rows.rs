//! Rows of a store as outputs of a graph, for encoders on a GPU: what leaves the GPU is what is
//! stored, in one piece, without padding, and the CPU has nothing left to convert. A handful of
//! operations for all layers together, because on a GPU each operation costs a launch.
//!
//! The graph has one more input, [`KEPT`]. Its outputs beside the hidden states are [`ROWS`] in the
//! store's number format, `[tokens, layers * hidden]`, and [`STATISTICS`], float32
//! `[3 * tokens * layers]`: of each vector, before it was rounded to that format, the minimum, then
//! of each the maximum, then of each the sum of the absolute values.
//!
//! Sums are taken a vector at a time, as few values as float32 adds up exactly enough; the CPU adds
//! up the rest.

use cache::StoreDtype;
use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;
use ort::value::{Outlet, TensorElementType};

use super::builder::{Builder, outlet, size};
use super::dtype::{ONNX_BFLOAT16, ONNX_FLOAT, ONNX_FLOAT16};
use super::error::GraphError;
use super::inputs::KEPT;

/// Rows of the store, `[tokens, layers * hidden]`.
pub const ROWS: &str = "rows";
/// Minimum, maximum and sum of absolute values of each vector, float32 `[3 * tokens * layers]`.
pub const STATISTICS: &str = "rows.statistics";

/// Whether rows of this format can be outputs: int8 and int4 vectors have a scale of their own,
/// which no tensor holds.
#[must_use]
pub const fn can_be_output(format: StoreDtype) -> bool {
    matches!(format, StoreDtype::F16 | StoreDtype::Bf16 | StoreDtype::F32)
}

impl Builder {
    /// Adds the rows of `layers`, each `[rows, width, hidden]`, and gives the outputs to declare.
    pub(super) fn rows(
        &mut self,
        layers: &[String],
        hidden: usize,
        format: StoreDtype,
    ) -> Result<Vec<Outlet>, GraphError> {
        let all = self.concat("rows.layers", layers, 2)?;
        let shape = self.integers("rows.positions.shape", &[-1, size(layers.len() * hidden)])?;
        let positions = self.onnx("Reshape", "rows.positions", &[&all, &shape])?;

        let stored = match format {
            StoreDtype::F16 => ONNX_FLOAT16,
            StoreDtype::Bf16 => ONNX_BFLOAT16,
            StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => ONNX_FLOAT,
        };
        let computed = self.dtype().onnx();
        let name = |at: i64, otherwise: &'static str| if at == stored { ROWS } else { otherwise };
        let kept = name(computed, "rows.kept");
        let kept = self.onnx("Gather", kept, &[&positions, KEPT])?;
        // As float32 for the statistics, and rounded from there: what the CPU would do.
        let values = if computed == ONNX_FLOAT {
            kept
        } else {
            self.cast(name(ONNX_FLOAT, "rows.values"), &kept, ONNX_FLOAT)?
        };
        if stored != computed && stored != ONNX_FLOAT {
            self.cast(ROWS, &values, stored)?;
        }

        let shape = self.integers("rows.vectors.shape", &[-1, size(hidden)])?;
        let vectors = self.onnx("Reshape", "rows.vectors", &[&values, &shape])?;
        let axis = self.integers("rows.axis", &[1])?;
        let mut statistics = Vec::new();
        for operator in ["ReduceMin", "ReduceMax", "ReduceL1"] {
            let name = format!("rows.{operator}");
            let flat = vec![Attribute::new("keepdims", 0_i64)?];
            let inputs = [vectors.as_str(), &axis];
            statistics.push(self.node((ONNX_DOMAIN, operator), &name, &inputs, flat)?);
        }
        self.concat(STATISTICS, &statistics, 0)?;
        Ok(vec![
            outlet(ROWS, element(format), &[-1, size(layers.len() * hidden)]),
            outlet(STATISTICS, TensorElementType::Float32, &[-1]),
        ])
    }

    /// An operator of the ONNX standard without attributes.
    fn onnx(&mut self, operator: &str, name: &str, inputs: &[&str]) -> Result<String, GraphError> {
        self.node((ONNX_DOMAIN, operator), name, inputs, vec![])
    }

    /// Values side by side along an axis; of one value, itself.
    fn concat(&mut self, name: &str, values: &[String], axis: i64) -> Result<String, GraphError> {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match values.as_slice() {
            [only] => Ok((*only).to_owned()),
            several => {
                let axis = vec![Attribute::new("axis", axis)?];
                self.node((ONNX_DOMAIN, "Concat"), name, several, axis)
            }
        }
    }
}

/// The format as ONNX Runtime names it.
const fn element(format: StoreDtype) -> TensorElementType {
    match format {
        StoreDtype::F16 => TensorElementType::Float16,
        StoreDtype::Bf16 => TensorElementType::Bfloat16,
        StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => TensorElementType::Float32,
    }
}
