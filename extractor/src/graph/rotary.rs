//! Rotary position encodings: queries and keys are turned by angles that follow from where their
//! tokens stand. Angles are computed in float32, in the graph, for as many positions as a batch is
//! wide: a table of all positions of a long-context encoder would take more memory than a layer.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::builder::{MICROSOFT, size};
use super::dtype::{ONNX_FLOAT, ONNX_INT64};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::POSITION_IDS;
use super::weights::Source;
use crate::checkpoint::{CheckpointError, Tensor};
use crate::family::{PositionEncoding, Rotary};

impl EncoderGraph<'_> {
    /// Queries or keys, `[rows, width, heads * head size]`, turned as layer `layer` turns them; as
    /// they are in an encoder without rotary positions.
    pub(super) fn rotated(
        &mut self,
        layer: usize,
        label: &str,
        value: String,
        heads: usize,
    ) -> Result<String, GraphError> {
        let PositionEncoding::Rotary { full, windowed, .. } = &self.spec.position else {
            return Ok(value);
        };
        let has_window = self.has_window(layer);
        let rotary = if has_window { windowed } else { full };
        let [cosines, sines] = self.angles(rotary, has_window)?;
        let positions = self.int64_positions()?;
        let mut attributes = vec![Attribute::new("num_heads", size(heads))?];
        if rotary.dimensions() < self.spec.attention.head_size {
            let dimensions = size(rotary.dimensions());
            attributes.push(Attribute::new("rotary_embedding_dim", dimensions)?);
        }
        if rotary.interleaved {
            attributes.push(Attribute::new("interleaved", 1_i64)?);
        }
        let name = format!("{label}.rotated");
        let inputs = [value.as_str(), &positions, &cosines, &sines];
        let operator = (MICROSOFT, "RotaryEmbedding");
        self.builder.node(operator, &name, &inputs, attributes)
    }

    /// Whether rotary positions turn values as well.
    pub(super) fn turns_values(&self) -> bool {
        matches!(&self.spec.position, PositionEncoding::Rotary { full, .. } if full.values)
    }

    /// Cosines and sines, `[width, dimensions / 2]` in the number format of the encoder.
    fn angles(&mut self, rotary: &Rotary, windowed: bool) -> Result<[String; 2], GraphError> {
        if let Some(angles) = &self.shared.angles[usize::from(windowed)] {
            return Ok(angles.clone());
        }
        let label = if windowed { "rotary.window" } else { "rotary" };
        if let Some(table) = self.stored_angles(label, rotary)? {
            self.shared.angles[usize::from(windowed)] = Some(table.clone());
            return Ok(table);
        }
        let column = self.counted_column()?;
        let frequencies = self.frequencies(rotary)?;
        let dtype = self.builder.dtype();
        let builder = &mut self.builder;
        let name = format!("{label}.frequencies");
        let frequencies = builder.values(&name, &[1, frequencies.len()], &frequencies)?;
        let multiply = (ONNX_DOMAIN, "Mul");
        let name = format!("{label}.angles");
        let angles = builder.node(multiply, &name, &[&column, &frequencies], vec![])?;
        let factor = builder.values(&format!("{label}.factor"), &[1], &[rotary.factor])?;
        let mut result = [String::new(), String::new()];
        for (operator, result) in ["Cos", "Sin"].into_iter().zip(&mut result) {
            let name = format!("{label}.{operator}");
            let mut value = builder.node((ONNX_DOMAIN, operator), &name, &[&angles], vec![])?;
            if rotary.factor.to_bits() != 1.0_f32.to_bits() {
                let name = format!("{name}.scaled");
                value = builder.node(multiply, &name, &[&value, &factor], vec![])?;
            }
            *result = if dtype.onnx() == ONNX_FLOAT {
                value
            } else {
                builder.cast(&format!("{name}.cast"), &value, dtype.onnx())?
            };
        }
        self.shared.angles[usize::from(windowed)] = Some(result.clone());
        Ok(result)
    }

    /// Cosines and sines, `[longest, dimensions / 2]`, where the checkpoint has a table of them.
    fn stored_angles(
        &mut self,
        label: &str,
        rotary: &Rotary,
    ) -> Result<Option<[String; 2]>, GraphError> {
        let Some(name) = rotary.table.filter(|_| self.checkpoint.is_stored()) else {
            return Ok(None);
        };
        let (rows, dimensions) = (self.spec.max_positions(), rotary.dimensions());
        let prefixes = self.spec.names.prefixes;
        let table = match self.checkpoint.tensor(prefixes, name, &[rows, dimensions]) {
            Ok(table) => table,
            Err(CheckpointError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut values = vec![0.0_f32; table.len()];
        table.copy_to(&mut values);
        let half = dimensions / 2;
        let mut added = [String::new(), String::new()];
        // Sines come first in the table, cosines first in the operator.
        for ((what, begin), added) in [("cosines", half), ("sines", 0)]
            .into_iter()
            .zip(&mut added)
        {
            let rows_of = values.chunks_exact(dimensions);
            let half_rows = rows_of.flat_map(|row| row[begin..begin + half].iter().copied());
            let part = Tensor::computed(&[rows, half], half_rows.collect());
            let name = format!("{label}.{what}");
            *added = self.builder.weights(name, &Source::stored(part))?;
        }
        Ok(Some(added))
    }

    /// The frequencies that the checkpoint has, or else those that follow from the configuration.
    fn frequencies(&self, rotary: &Rotary) -> Result<Vec<f32>, GraphError> {
        let shape = [rotary.frequencies.len()];
        if !self.checkpoint.is_stored() {
            return Ok(rotary.frequencies.clone());
        }
        for name in rotary.stored {
            let prefixes = self.spec.names.prefixes;
            match self.checkpoint.tensor(prefixes, name, &shape) {
                Ok(stored) => {
                    let mut values = vec![0.0; stored.len()];
                    stored.copy_to(&mut values);
                    return Ok(values);
                }
                Err(CheckpointError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rotary.frequencies.clone())
    }

    /// [`POSITION_IDS`] as int64.
    fn int64_positions(&mut self) -> Result<String, GraphError> {
        if let Some(positions) = &self.shared.positions {
            return Ok(positions.clone());
        }
        let cast = self
            .builder
            .cast("positions.int64", POSITION_IDS, ONNX_INT64)?;
        self.shared.positions = Some(cast.clone());
        Ok(cast)
    }

    /// 0, 1, 2 ..., float32 `[1, width]`. Counted, and not taken from [`POSITION_IDS`], which are 0
    /// at padding; a shape would have to be fetched from a GPU first.
    pub(super) fn counted(&mut self) -> Result<String, GraphError> {
        if let Some(counted) = &self.shared.counted {
            return Ok(counted.clone());
        }
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let first = builder.integers("counted.first", &[0])?;
        let row = vec![Attribute::new("axis", 0_i64)?];
        let row = builder.node(onnx("Gather"), "counted.row", &[POSITION_IDS, &first], row)?;
        let row = builder.cast("counted.float32", &row, ONNX_FLOAT)?;
        let zero = builder.values("counted.zero", &[1], &[0.0])?;
        let one = builder.values("counted.one", &[1], &[1.0])?;
        let zeros = builder.node(onnx("Mul"), "counted.zeros", &[&row, &zero], vec![])?;
        let ones = builder.node(onnx("Add"), "counted.ones", &[&zeros, &one], vec![])?;
        let axis = builder.integers("counted.axis", &[1])?;
        let exclusive = vec![Attribute::new("exclusive", 1_i64)?];
        let counted = builder.node(onnx("CumSum"), "counted", &[&ones, &axis], exclusive)?;
        self.shared.counted = Some(counted.clone());
        Ok(counted)
    }

    /// 0, 1, 2 ..., float32 `[1, width]`, and the last of them, float32 `[1, 1]`.
    pub(super) fn counted_and_last(&mut self) -> Result<[String; 2], GraphError> {
        let counted = self.counted()?;
        if let Some(last) = &self.shared.last {
            return Ok([counted, last.clone()]);
        }
        let builder = &mut self.builder;
        let begin = builder.integers("counted.last.begin", &[-1])?;
        let end = builder.integers("counted.last.end", &[i64::MAX])?;
        let axis = builder.integers("counted.last.axis", &[1])?;
        let inputs = [counted.as_str(), &begin, &end, &axis];
        let operator = (ONNX_DOMAIN, "Slice");
        let last = builder.node(operator, "counted.last", &inputs, vec![])?;
        self.shared.last = Some(last.clone());
        Ok([counted, last])
    }

    /// 0, 1, 2 ..., float32 `[width, 1]`.
    pub(super) fn counted_column(&mut self) -> Result<String, GraphError> {
        if let Some(column) = &self.shared.counted_column {
            return Ok(column.clone());
        }
        let counted = self.counted()?;
        let operator = (ONNX_DOMAIN, "Transpose");
        let column = self
            .builder
            .node(operator, "counted.column", &[&counted], vec![])?;
        self.shared.counted_column = Some(column.clone());
        Ok(column)
    }
}
