//! Disentangled attention: what the distances between tokens add to attention scores. Keys and
//! queries of distances are weights by weights, so they are computed once, when the graph is built.
//! A batch takes those of its own distances, and each product of a query (or key) with all of them
//! is laid out by pairs of tokens through shapes alone.

use std::sync::Arc;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;
use rayon::prelude::*;

use super::builder::MICROSOFT;
use super::dtype::ONNX_INT64;
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::weights::Source;
use crate::checkpoint::Tensor;
use crate::family::{Disentangled, DistanceLayer, Norm};

impl EncoderGraph<'_> {
    /// What is added to the scores of a layer for distances, `[rows, heads, width, width]`, scaled.
    /// `query` and `key` are `[rows, width, heads * head size]`.
    pub(super) fn distance_scores(
        &mut self,
        layer: usize,
        label: &str,
        [query, key]: [&str; 2],
        disentangled: Disentangled,
    ) -> Result<String, GraphError> {
        let [falling, rising] = self.distance_rows(disentangled)?;
        let mut terms = Vec::with_capacity(2);
        if let Some(projection) = disentangled.key {
            let label = format!("{label}.to_position");
            let of_distances = self.of_distances(layer, projection, disentangled)?;
            terms.push(self.by_pairs(&label, query, &of_distances, &falling)?);
        }
        if let Some(projection) = disentangled.query {
            let label = format!("{label}.to_content");
            let of_distances = self.of_distances(layer, projection, disentangled)?;
            // Here rows are of keys, and columns of queries.
            let scores = self.by_pairs(&label, key, &of_distances, &rising)?;
            let order = vec![Attribute::new("perm", &[0_i64, 1, 3, 2][..])?];
            let name = format!("{label}.by_query");
            let operator = (ONNX_DOMAIN, "Transpose");
            terms.push(self.builder.node(operator, &name, &[&scores], order)?);
        }
        match terms.as_slice() {
            [one, other] => self
                .builder
                .add(&format!("{label}.distances"), [one, other]),
            _ => Ok(terms.swap_remove(0)),
        }
    }

    /// Products of queries (or keys), `[rows, width, heads * head size]`, with what distances have
    /// there, as `[rows, heads, width, width]`: the distance of element `[.., i, j]` is the one at
    /// `width + j - i` of `distances`, `[2 * width + 1]`.
    fn by_pairs(
        &mut self,
        label: &str,
        value: &str,
        of_distances: &Source<'_>,
        distances: &str,
    ) -> Result<String, GraphError> {
        let heads = self.spec.attention.heads;
        let apart = self.by_heads(&format!("{label}.apart"), value, heads)?;
        let builder = &mut self.builder;
        let step = |step: &str| format!("{label}.{step}");
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let order = vec![Attribute::new("perm", &[0_i64, 2, 1, 3][..])?];
        let by_head = builder.node(onnx("Transpose"), &step("by_head"), &[&apart], order)?;
        let table = builder.weights(step("table"), of_distances)?;
        let axis = vec![Attribute::new("axis", 1_i64)?];
        let inputs = [table.as_str(), distances];
        let rows = builder.node(onnx("Gather"), &step("rows"), &inputs, axis)?;
        let transposed = vec![Attribute::new("transB", 1_i64)?];
        let product = (MICROSOFT, "FusedMatMul");
        let inputs = [by_head.as_str(), &rows];
        let scores = builder.node(product, &step("scores"), &inputs, transposed)?;
        // Rows of 2 * width + 1 numbers as rows of width numbers: the second of each two begins one
        // number earlier, counted in the longer rows, than the one before it. Sizes that are not
        // known are copied from where they stand (0), so that no shape has to be computed.
        let third = builder.integers(&step("third"), &[2])?;
        let inputs = [scores.as_str(), &third];
        let five = builder.node(onnx("Unsqueeze"), &step("five"), &inputs, vec![])?;
        let shape = builder.integers(&step("shape"), &[0, 0, -1, 0])?;
        let inputs = [five.as_str(), &shape];
        let short = builder.node(onnx("Reshape"), &step("short_rows"), &inputs, vec![])?;
        let begin = builder.integers(&step("begin"), &[1])?;
        let end = builder.integers(&step("end"), &[i64::MAX])?;
        let every = builder.integers(&step("every"), &[2])?;
        let inputs = [short.as_str(), &begin, &end, &third, &every];
        builder.node(onnx("Slice"), &step("by_pairs"), &inputs, vec![])
    }

    /// Rows of the table for the distances of a batch, int64 `[2 * width + 1]`: for those from
    /// `width` down to `-width`, and for those from `-width` up.
    fn distance_rows(&mut self, disentangled: Disentangled) -> Result<[String; 2], GraphError> {
        if let Some(distances) = &self.shared.distance_rows {
            return Ok(distances.clone());
        }
        let [counted, last] = self.counted_and_last()?;
        let longest = self.spec.max_positions();
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let one = builder.values("distances.one", &[1], &[1.0])?;
        let minus_one = builder.values("distances.minus_one", &[1], &[-1.0])?;
        let mut apply = |operator, name: &str, inputs: [&str; 2]| {
            builder.node(onnx(operator), name, &inputs, vec![])
        };
        let first = apply("Add", "distances.first", [&last, &one])?;
        let left = apply("Sub", "distances.left", [&last, &counted])?;
        let right = apply("Sub", "distances.right", [&minus_one, &counted])?;
        let axis = vec![Attribute::new("axis", 1_i64)?];
        let parts = [first.as_str(), &left, &right];
        let falling = builder.node(onnx("Concat"), "distances", &parts, axis)?;
        let rows = disentangled.distances.rows(longest);
        let rows = builder.integers("distances.rows", &rows)?;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than float32 counts")]
        let middle = builder.values("distances.middle", &[1], &[longest as f32])?;
        let flat = builder.integers("distances.flat", &[-1])?;
        let mut distances = [String::new(), String::new()];
        let orders = [
            ("falling", "Add", [&falling, &middle]),
            ("rising", "Sub", [&middle, &falling]),
        ];
        for ((order, operator, inputs), result) in orders.into_iter().zip(&mut distances) {
            let step = |step: &str| format!("distances.{order}.{step}");
            let inputs = inputs.map(String::as_str);
            let places = builder.node(onnx(operator), &step("places"), &inputs, vec![])?;
            let places = builder.cast(&step("int64"), &places, ONNX_INT64)?;
            let inputs = [places.as_str(), &flat];
            let places = builder.node(onnx("Reshape"), &step("flat"), &inputs, vec![])?;
            let inputs = [rows.as_str(), &places];
            *result = builder.node(onnx("Gather"), &step("rows"), &inputs, vec![])?;
        }
        self.shared.distance_rows = Some(distances.clone());
        Ok(distances)
    }

    /// What a layer makes of the table of distances, `[heads, 2 * span, head size]`, scaled as
    /// scores are.
    fn of_distances(
        &mut self,
        layer: usize,
        projection: DistanceLayer,
        disentangled: Disentangled,
    ) -> Result<Source<'static>, GraphError> {
        let table = self.distance_table(disentangled)?;
        let attention = &self.spec.attention;
        let (heads, head_size) = (attention.heads, attention.head_size);
        let scale = attention.scale.factor(head_size, layer);
        let name = self.in_layer(layer, projection.name);
        let hidden = self.spec.hidden;
        let shape = [heads * head_size, hidden];
        let weight = self.numbers(&format!("{name}.weight"), &shape)?;
        let bias = if projection.bias {
            self.numbers(&format!("{name}.bias"), &shape[..1])?
        } else {
            vec![0.0; shape[0]]
        };
        let rows = table.nrows();
        let mut values = vec![0.0; heads * rows * head_size];
        values
            .par_chunks_exact_mut(rows * head_size)
            .zip(weight.par_chunks_exact(head_size * hidden))
            .zip(bias.par_chunks_exact(head_size))
            .for_each(|((out, weight), bias)| {
                project(&table, weight, bias, scale, out);
            });
        let shape = [heads, rows, head_size];
        Ok(Source::stored(Tensor::computed(&shape, values)))
    }

    /// The table of distances, `[2 * span, hidden]`, normalised where the encoder does that.
    fn distance_table(
        &mut self,
        disentangled: Disentangled,
    ) -> Result<Arc<Array2<f32>>, GraphError> {
        if let Some(table) = &self.shared.distance_table {
            return Ok(Arc::clone(table));
        }
        let hidden = self.spec.hidden;
        let shape = [2 * disentangled.distances.span, hidden];
        let values = self.numbers(&format!("{}.weight", disentangled.table), &shape)?;
        let mut table = Array2::zeros(shape);
        table
            .iter_mut()
            .zip(values)
            .for_each(|(to, from)| *to = from);
        if let Some(norm) = disentangled.norm {
            let weight = self.numbers(&format!("{norm}.weight"), &[hidden])?;
            let bias = self.numbers(&format!("{norm}.bias"), &[hidden])?;
            let (Norm::Layer { epsilon, .. } | Norm::Rms { epsilon, .. } | Norm::Plain { epsilon }) =
                self.spec.norm;
            for mut row in table.rows_mut() {
                let (mean, deviation) = (row.mean().unwrap_or(0.0), row.var(0.0));
                let factor = 1.0 / (deviation + epsilon).sqrt();
                for ((value, weight), bias) in row.iter_mut().zip(&weight).zip(&bias) {
                    *value = (*value - mean) * factor * weight + bias;
                }
            }
        }
        let table = Arc::new(table);
        self.shared.distance_table = Some(Arc::clone(&table));
        Ok(table)
    }

    /// The numbers of a tensor, in order.
    pub(super) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, GraphError> {
        let tensor = self
            .checkpoint
            .tensor(self.spec.names.prefixes, name, shape)?;
        let mut numbers = vec![0.0; tensor.len()];
        tensor.copy_to(&mut numbers);
        Ok(numbers)
    }
}

/// `(table · weightᵀ + bias) * scale` for one head, `[rows, head size]`; `weight` is
/// `[head size, hidden]`.
fn project(table: &Array2<f32>, weight: &[f32], bias: &[f32], scale: f32, out: &mut [f32]) {
    let shape = (bias.len(), table.ncols());
    let places = (table.nrows(), bias.len());
    #[expect(clippy::expect_used, reason = "cut to these sizes by the caller")]
    let weight = ArrayView2::from_shape(shape, weight).expect("a matrix");
    #[expect(clippy::expect_used, reason = "cut to these sizes by the caller")]
    let mut out = ArrayViewMut2::from_shape(places, out).expect("a matrix");
    general_mat_mul(scale, table, &weight.t(), 0.0, &mut out);
    for mut row in out.axis_iter_mut(Axis(0)) {
        row.iter_mut()
            .zip(bias)
            .for_each(|(value, bias)| *value += scale * bias);
    }
}
