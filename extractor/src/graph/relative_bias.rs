//! Biases of attention scores by the distance of two tokens, `[1, heads, width, width]`. They are the
//! same for all rows of a batch, and are looked up in the graph for as many tokens as a batch is
//! wide: once, or once a layer where layers have tables of their own.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::builder::size;
use super::dtype::ONNX_INT32;
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use crate::family::BiasTable;

impl EncoderGraph<'_> {
    /// What is added to the scores of a layer, in the number format of the encoder; none in an
    /// encoder without such biases.
    pub(super) fn relative_bias(&mut self, layer: usize) -> Result<Option<String>, GraphError> {
        let Some(bias) = self.spec.attention.relative_bias else {
            return Ok(None);
        };
        let (label, name) = match bias.table {
            BiasTable::Shared(name) => ("relative".to_owned(), name.to_owned()),
            BiasTable::InLayer(name) => (
                format!("layer.{layer}.relative"),
                self.in_layer(layer, name),
            ),
        };
        let is_shared = matches!(bias.table, BiasTable::Shared(_));
        if let Some(shared) = self.shared.relative_bias.as_ref().filter(|_| is_shared) {
            return Ok(Some(shared.clone()));
        }
        let shape = [bias.rows, self.spec.attention.heads];
        let table = self.tensor(&format!("{name}.weight"), &shape)?.transposed();
        let [rows, distances] = self.distances()?;
        let step = |step: &str| format!("{label}.{step}");
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let second = || Ok::<_, GraphError>(vec![Attribute::new("axis", 1_i64)?]);
        let builder = &mut self.builder;
        let table = builder.weights(step("table"), &table)?;
        let inputs = [table.as_str(), &rows];
        let by_distance = builder.node(onnx("Gather"), &step("by_distance"), &inputs, second()?)?;
        let inputs = [by_distance.as_str(), &distances];
        let scores = builder.node(onnx("Gather"), &step("scores"), &inputs, second()?)?;
        let axis = builder.integers(&step("axis"), &[0])?;
        let bias = builder.node(onnx("Unsqueeze"), &step("bias"), &[&scores, &axis], vec![])?;
        if is_shared {
            self.shared.relative_bias = Some(bias.clone());
        }
        Ok(Some(bias))
    }

    /// The row of the table for each distance, int64 `[2 * reach + 1]`, and which of these distances
    /// each pair of tokens has, int32 `[width, width]`: that of the token that is seen from the one
    /// that sees it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "distances are no larger than texts are long"
    )]
    fn distances(&mut self) -> Result<[String; 2], GraphError> {
        if let Some(distances) = &self.shared.distances {
            return Ok(distances.clone());
        }
        let longest = self.spec.max_positions();
        let bias = self.spec.attention.relative_bias;
        let reach = bias.map_or(0, |bias| bias.reach(longest));
        let rows = bias.map_or_else(Vec::new, |bias| bias.rows_by_distance(reach));
        let rows: Vec<i64> = rows.into_iter().map(size).collect();
        let (seen, seeing) = (self.counted()?, self.counted_column()?);
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let builder = &mut self.builder;
        let rows = builder.integers("distances.rows", &rows)?;
        let least = builder.values("distances.least", &[], &[-(reach as f32)])?;
        let most = builder.values("distances.most", &[], &[reach as f32])?;
        let inputs = [seen.as_str(), &seeing];
        let exact = builder.node(onnx("Sub"), "distances.exact", &inputs, vec![])?;
        let inputs = [exact.as_str(), &least, &most];
        let within = builder.node(onnx("Clip"), "distances.within", &inputs, vec![])?;
        let inputs = [within.as_str(), &most];
        let counted = builder.node(onnx("Add"), "distances.counted", &inputs, vec![])?;
        let distances = builder.cast("distances", &counted, ONNX_INT32)?;
        let both = [rows, distances];
        self.shared.distances = Some(both.clone());
        Ok(both)
    }
}
