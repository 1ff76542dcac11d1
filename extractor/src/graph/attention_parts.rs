//! Self-attention in parts, for encoders that do more to queries and keys than ONNX Runtime's
//! `Attention` does: norms, rotary positions, keys that several heads share, windows, biases by
//! distance, scores for distances, capped scores.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::attention::MASKED;
use super::builder::{MICROSOFT, size};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::LENGTHS;
use super::weights::Linear;

impl EncoderGraph<'_> {
    /// The heads, `[rows, width, heads * head size]`.
    pub(super) fn heads_in_parts(
        &mut self,
        layer: usize,
        label: &str,
        input: &str,
        projections: &Linear<'_>,
    ) -> Result<String, GraphError> {
        let attention = &self.spec.attention;
        let name = format!("{label}.projections");
        let all = self.builder.linear(&name, input, projections)?;
        let [query, key, value] = self.query_key_value_of(label, &all)?;
        let [heads, key_heads] = [attention.heads, attention.key_heads];
        let [query_label, key_label] = ["query", "key"].map(|part| format!("{label}.{part}"));
        let norms = attention.norms;
        let by_head = norms.is_some_and(|norms| norms.by_head);
        let query_norm = norms.map(|norms| norms.query);
        let query = self.normed_heads(layer, &query_label, query, (query_norm, by_head, heads))?;
        let query = self.rotated(layer, &query_label, query, heads)?;
        let key_norm = norms.map(|norms| norms.key);
        let key = self.normed_heads(layer, &key_label, key, (key_norm, by_head, key_heads))?;
        let key = self.rotated(layer, &key_label, key, key_heads)?;
        let value_label = format!("{label}.value");
        let value = if self.turns_values() {
            self.rotated(layer, &value_label, value, key_heads)?
        } else {
            value
        };
        if !(self.in_blocks && self.has_window(layer)) {
            return self.attended(layer, label, [query, key, value]);
        }
        let parts = self.in_blocks(label, [query, key, value])?;
        let heads = self.attended(layer, &format!("{label}.blocks"), parts)?;
        self.in_rows(label, &heads)
    }

    /// The heads of queries, keys and values, of rows or of blocks.
    fn attended(
        &mut self,
        layer: usize,
        label: &str,
        [query, key, value]: [String; 3],
    ) -> Result<String, GraphError> {
        let key = self.for_every_head(&format!("{label}.key"), key)?;
        let value = self.for_every_head(&format!("{label}.value"), value)?;
        match self.spec.attention.soft_cap {
            Some(cap) => self.capped(layer, label, [&query, &key, &value], cap),
            None => self.multi_head(layer, label, [&query, &key, &value]),
        }
    }

    /// The bias of scores of a layer with a window, of rows or of blocks.
    fn window_bias(&mut self, layer: usize) -> Result<String, GraphError> {
        if self.in_blocks {
            self.block_bias()
        } else {
            self.visibility(layer)
        }
    }

    /// Query, key and value of what the projections give, side by side.
    fn query_key_value_of(&mut self, label: &str, all: &str) -> Result<[String; 3], GraphError> {
        let names = ["query", "key", "value"].map(|part| format!("{label}.{part}"));
        let [query, key, value] = names;
        let [query_size, key_size, value_size] = self.spec.attention.sizes();
        let parts = [(query, query_size), (key, key_size), (value, value_size)];
        self.builder.split(&format!("{label}.split"), all, parts)
    }

    /// The norm of queries or keys, of all heads together or of each.
    fn normed_heads(
        &mut self,
        layer: usize,
        label: &str,
        value: String,
        (norm, by_head, heads): (Option<&str>, bool, usize),
    ) -> Result<String, GraphError> {
        let Some(norm) = norm else {
            return Ok(value);
        };
        let name = self.in_layer(layer, norm);
        let head_size = self.spec.attention.head_size;
        let label = format!("{label}.norm");
        if !by_head {
            let weights = self.norm_weights(&name, heads * head_size)?;
            return self.norm(&label, &value, &weights);
        }
        let weights = self.norm_weights(&name, head_size)?;
        let apart = self.by_heads(&format!("{label}.apart"), &value, heads)?;
        let normed = self.norm(&label, &apart, &weights)?;
        self.side_by_side(&format!("{label}.together"), &normed, heads)
    }

    /// Keys or values, `[rows, width, key heads * head size]`, as often as heads of queries read
    /// them, `[rows, width, heads * head size]`.
    fn for_every_head(&mut self, label: &str, value: String) -> Result<String, GraphError> {
        let (heads, key_heads) = (self.spec.attention.heads, self.spec.attention.key_heads);
        if heads == key_heads {
            return Ok(value);
        }
        let apart = self.by_heads(&format!("{label}.shared"), &value, key_heads)?;
        let number = |head: usize| size(head / (heads / key_heads));
        let which: Vec<i64> = (0..heads).map(number).collect();
        let which = self.builder.integers(&format!("{label}.which"), &which)?;
        let axis = vec![Attribute::new("axis", 2_i64)?];
        let name = format!("{label}.repeated");
        let operator = (ONNX_DOMAIN, "Gather");
        let repeated = self
            .builder
            .node(operator, &name, &[&apart, &which], axis)?;
        self.side_by_side(&format!("{label}.for_heads"), &repeated, heads)
    }

    /// `[rows, width, heads * head size]` as `[rows, width, heads, head size]`.
    pub(super) fn by_heads(
        &mut self,
        name: &str,
        value: &str,
        heads: usize,
    ) -> Result<String, GraphError> {
        self.reshape(name, value, &[heads, self.spec.attention.head_size])
    }

    /// `[rows, width, heads, head size]` as `[rows, width, heads * head size]`.
    fn side_by_side(
        &mut self,
        name: &str,
        value: &str,
        heads: usize,
    ) -> Result<String, GraphError> {
        self.reshape(name, value, &[heads * self.spec.attention.head_size])
    }

    /// The same numbers as `[rows, width, ..last]`.
    fn reshape(&mut self, name: &str, value: &str, last: &[usize]) -> Result<String, GraphError> {
        // 0 is the size that is there.
        let last = last.iter().map(|&last| size(last));
        let shape: Vec<i64> = [0, 0].into_iter().chain(last).collect();
        let shape = self.builder.integers(&format!("{name}.shape"), &shape)?;
        let operator = (ONNX_DOMAIN, "Reshape");
        self.builder.node(operator, name, &[value, &shape], vec![])
    }

    /// Attention in one operator.
    fn multi_head(
        &mut self,
        layer: usize,
        label: &str,
        [query, key, value]: [&str; 3],
    ) -> Result<String, GraphError> {
        let attention = &self.spec.attention;
        let windowed = self.has_window(layer);
        // No encoder has two of these.
        let bias = if let Some(bias) = self.relative_bias(layer)? {
            bias
        } else if windowed {
            self.window_bias(layer)?
        } else if let Some(disentangled) = attention.disentangled {
            self.distance_scores(layer, label, [query, key], disentangled)?
        } else {
            String::new()
        };
        let scale = attention.scale.factor(attention.head_size, layer);
        let attributes = vec![
            Attribute::new("num_heads", size(attention.heads))?,
            Attribute::new("scale", scale)?,
            Attribute::new("unidirectional", i64::from(attention.causal && !windowed))?,
            Attribute::new("mask_filter_value", MASKED)?,
        ];
        // Padding stands on the right, where a causal encoder never looks; the bias of blocks hides it.
        let is_hidden = attention.causal || windowed && self.in_blocks;
        let lengths = if is_hidden { "" } else { LENGTHS };
        let mut inputs = vec![query, key, value, "", lengths, &bias];
        while inputs.last().is_some_and(|input| input.is_empty()) {
            inputs.pop();
        }
        let operator = (MICROSOFT, "MultiHeadAttention");
        self.builder.node(operator, label, &inputs, attributes)
    }

    /// Attention with capped scores, which no operator knows on every device. Only causal encoders
    /// have them, which never see padding.
    fn capped(
        &mut self,
        layer: usize,
        label: &str,
        [query, key, value]: [&str; 3],
        cap: f32,
    ) -> Result<String, GraphError> {
        let (heads, head_size) = (self.spec.attention.heads, self.spec.attention.head_size);
        let scale = self.spec.attention.scale.factor(head_size, layer);
        let visibility = if self.has_window(layer) {
            self.window_bias(layer)?
        } else {
            self.visibility(layer)?
        };
        let step = |step: &str| format!("{label}.{step}");
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let order = |order: &[i64]| Ok::<_, GraphError>(vec![Attribute::new("perm", order)?]);
        let mut apart = Vec::with_capacity(3);
        let orders = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]];
        for (number, (value, axes)) in [query, key, value].into_iter().zip(orders).enumerate() {
            let name = step(&format!("apart.{number}"));
            let heads = self.by_heads(&name, value, heads)?;
            let name = step(&format!("by_head.{number}"));
            let turned = self
                .builder
                .node(onnx("Transpose"), &name, &[&heads], order(&axes)?)?;
            apart.push(turned);
        }
        let builder = &mut self.builder;
        let scale = builder.number(step("scale"), scale / cap)?;
        let cap = builder.number(step("cap"), cap)?;
        // The query is scaled before the product, which could leave float16's range.
        let query = builder.node(onnx("Mul"), &step("scaled"), &[&apart[0], &scale], vec![])?;
        let scores = builder.node(
            onnx("MatMul"),
            &step("scores"),
            &[&query, &apart[1]],
            vec![],
        )?;
        let scores = builder.node(onnx("Tanh"), &step("tanh"), &[&scores], vec![])?;
        let scores = builder.node(onnx("Mul"), &step("capped"), &[&scores, &cap], vec![])?;
        let scores = builder.add(&step("visible"), [&scores, &visibility])?;
        let axis = vec![Attribute::new("axis", -1_i64)?];
        let weights = builder.node(onnx("Softmax"), &step("weights"), &[&scores], axis)?;
        let inputs = [weights.as_str(), &apart[2]];
        let attended = builder.node(onnx("MatMul"), &step("attended"), &inputs, vec![])?;
        let order = order(&[0, 2, 1, 3])?;
        let together = builder.node(onnx("Transpose"), &step("turned"), &[&attended], order)?;
        self.side_by_side(label, &together, heads)
    }
}
