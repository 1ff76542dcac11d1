//! The adapter: every token attends over the layers of its row, and a tailor adjusts what it found.

use ort::operator::Attribute;
use shared::heads::kind::adapter::{EPSILON, Parameters, Tailor};
use shared::heads::parameters::Attention;

use crate::graph::GraphError;
use crate::head::HeadOptions;
use crate::head::nodes::{Nodes, Rows, size, weighted_sum};

/// Added to the score of padding: its weight becomes exactly 0.
const MASKED: f32 = -1e30;

/// `[rows, width, hidden]`.
pub(super) fn features(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
    rows: &Rows,
) -> Result<String, GraphError> {
    let parameters = Parameters::new(options.hidden, &options.adapter);
    let query = mean_over_layers(nodes, layers)?;
    let query = nodes.linear(&parameters.query_projector, &query)?;
    let mut means = Vec::with_capacity(layers.len());
    for (place, layer) in layers.iter().enumerate() {
        let name = format!("adapter.mean.{place}");
        means.push(nodes.apply("MatMul", &name, &[&rows.share, layer])?);
    }
    let means: Vec<&str> = means.iter().map(String::as_str).collect();
    let means = nodes.along("Concat", "adapter.means", &means, 1)?;
    let key = nodes.linear(&parameters.key_projector, &means)?;
    let attention = &parameters.token_layer_attention;
    let weights = attention_weights(nodes, attention, [&query, &key], None)?;
    let read = weighted_sum(nodes, layers, &weights)?;
    let Some(parameters) = &parameters.tailor else {
        return Ok(read);
    };
    let tailored = tailor(nodes, parameters, &read, rows)?;
    nodes.apply("Add", "adapter.result", &[&read, &tailored])
}

fn mean_over_layers(nodes: &mut Nodes<'_>, layers: &[&str]) -> Result<String, GraphError> {
    let sum = nodes.apply("Sum", "adapter.sum", layers)?;
    #[expect(clippy::cast_precision_loss, reason = "layers are few")]
    nodes.scaled("adapter.mean", &sum, 1.0 / layers.len() as f32)
}

/// What is added to `read`, of the same shape.
fn tailor(
    nodes: &mut Nodes<'_>,
    parameters: &Tailor,
    read: &str,
    rows: &Rows,
) -> Result<String, GraphError> {
    let normal = nodes.layer_norm(&parameters.norm, read, EPSILON)?;
    let dense = nodes.linear(&parameters.dense, &normal)?;
    let dense = nodes.apply("Relu", "adapter.tailor.relu", &[&dense])?;
    let adjusted = nodes.apply("Add", "adapter.tailor.adjusted", &[read, &dense])?;
    let Some(own) = &parameters.attention else {
        return Ok(adjusted);
    };
    let narrow = nodes.linear(&own.reducer, &adjusted)?;
    let padding = padding_scores(nodes, rows)?;
    let both = [narrow.as_str(), narrow.as_str()];
    let weights = attention_weights(nodes, &own.attention, both, Some(&padding))?;
    nodes.apply("MatMul", "adapter.tailor.mixed", &[&weights, &adjusted])
}

/// 0 where there is a token, very low where there is none, `[rows, 1, 1, width]`.
fn padding_scores(nodes: &mut Nodes<'_>, rows: &Rows) -> Result<String, GraphError> {
    let one = nodes.builder.values("adapter.tailor.one", &[1], &[1.0])?;
    let inverse = nodes.apply("Sub", "adapter.tailor.padding", &[&one, &rows.mask])?;
    let scores = nodes.scaled("adapter.tailor.padding.scores", &inverse, MASKED)?;
    let name = "adapter.tailor.padding.row";
    nodes.by("Unsqueeze", name, &scores, &[1, 2], vec![])
}

/// Multi-head attention weights averaged over the heads, `[rows, queries, keys]`, of queries and
/// keys `[rows, .., attention size]`; `added` to the scores `[rows, heads, queries, keys]`.
fn attention_weights(
    nodes: &mut Nodes<'_>,
    attention: &Attention,
    [query, key]: [&str; 2],
    added: Option<&str>,
) -> Result<String, GraphError> {
    let &Attention {
        name,
        size: width,
        heads,
    } = attention;
    // Query, key and value rows; weights do not depend on the last.
    let weight = nodes.parameters.matrix(&attention.in_weight())?;
    let bias = nodes.parameters.values(&attention.in_bias())?;
    let mut sides = Vec::with_capacity(2);
    let orders = [[0, 2, 1, 3], [0, 2, 3, 1]];
    for (block, (input, order)) in [query, key].into_iter().zip(orders).enumerate() {
        let side = format!("{name}.{}", ["query", "key"][block]);
        let matrix = weight.row_range(block * width, width);
        let bias = &bias[block * width..][..width];
        let projected = nodes.affine(&side, input, &matrix, bias)?;
        let head = width / heads;
        let shape = [0, -1, size(heads), size(head)];
        let by_head = nodes.by(
            "Reshape",
            &format!("{side}.heads"),
            &projected,
            &shape,
            vec![],
        )?;
        sides.push(nodes.transposed(&format!("{side}.turned"), &by_head, order)?);
    }
    let scores = nodes.apply(
        "MatMul",
        &format!("{name}.products"),
        &[&sides[0], &sides[1]],
    )?;
    #[expect(clippy::cast_precision_loss, reason = "an attention head is small")]
    let scale = 1.0 / ((width / heads) as f32).sqrt();
    let mut scores = nodes.scaled(&format!("{name}.scores"), &scores, scale)?;
    if let Some(added) = added {
        scores = nodes.apply("Add", &format!("{name}.masked"), &[&scores, added])?;
    }
    let weights = nodes.along("Softmax", &format!("{name}.softmax"), &[&scores], -1)?;
    let flat = vec![Attribute::new("keepdims", 0_i64)?];
    nodes.by(
        "ReduceMean",
        &format!("{name}.weights"),
        &weights,
        &[1],
        flat,
    )
}
