//! Masks that count as dropped tokens (ESM): in training a share of the tokens was masked, with
//! embeddings of zero, and the others were scaled up to the same sum. Outside of it embeddings are
//! scaled as if the same share were missing, or by how many masks a sequence has. Computed in float32.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::dtype::{ONNX_FLOAT, ONNX_INT32};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::{INPUT_IDS, LENGTHS, POSITION_IDS};

/// The share of tokens that was not masked in training.
const KEPT_IN_TRAINING: f32 = 1.0 - 0.15 * 0.8;

impl EncoderGraph<'_> {
    /// `words`, `[rows, width, size]`, with zeros for each token of id `mask` and the others scaled
    /// by `0.88 / (1 - masks / tokens)` of their row.
    pub(super) fn without_masks(&mut self, words: &str, mask: i32) -> Result<String, GraphError> {
        let lengths = self.row_lengths()?;
        let column = self.counted()?;
        let dtype = self.builder.dtype();
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        // Ids are int32, or int64 in a graph with a head; both are exact in float32.
        let ids = builder.cast("masks.ids", INPUT_IDS, ONNX_FLOAT)?;
        #[expect(clippy::cast_precision_loss, reason = "ids are far below 2^24")]
        let mask = builder.values("masks.id", &[1], &[mask as f32])?;
        let one = builder.values("masks.one", &[1], &[1.0])?;
        let trained = builder.values("masks.trained", &[1], &[KEPT_IN_TRAINING])?;
        let is_mask = builder.node(onnx("Equal"), "masks.are", &[&ids, &mask], vec![])?;
        let is_mask = builder.cast("masks.there", &is_mask, ONNX_FLOAT)?;
        // What stands at padding may have the id of the mask.
        let is_token = builder.node(onnx("Less"), "masks.tokens", &[&column, &lengths], vec![])?;
        let is_token = builder.cast("masks.at_tokens", &is_token, ONNX_FLOAT)?;
        let counted = [is_mask.as_str(), &is_token];
        let counted = builder.node(onnx("Mul"), "masks.counted", &counted, vec![])?;
        let axis = builder.integers("masks.axis", &[1])?;
        let number = builder.node(
            onnx("ReduceSum"),
            "masks.number",
            &[&counted, &axis],
            vec![],
        )?;
        let share = builder.node(onnx("Div"), "masks.share", &[&number, &lengths], vec![])?;
        let kept = builder.node(onnx("Sub"), "masks.kept", &[&one, &share], vec![])?;
        // Nothing but masks: zeros, not the NaN of zero divided by zero.
        let least = builder.values("masks.least", &[1], &[f32::EPSILON])?;
        let kept = builder.node(onnx("Max"), "masks.some_kept", &[&kept, &least], vec![])?;
        let factor = builder.node(onnx("Div"), "masks.factor", &[&trained, &kept], vec![])?;
        let no_mask = builder.node(onnx("Sub"), "masks.none", &[&one, &is_mask], vec![])?;
        let factors = [no_mask.as_str(), &factor];
        let factors = builder.node(onnx("Mul"), "masks.factors", &factors, vec![])?;
        let third = builder.integers("masks.third", &[2])?;
        let inputs = [factors.as_str(), &third];
        let mut factors = builder.node(onnx("Unsqueeze"), "masks.by_token", &inputs, vec![])?;
        if dtype.onnx() != ONNX_FLOAT {
            factors = builder.cast("masks.cast", &factors, dtype.onnx())?;
        }
        builder.node(onnx("Mul"), "masks.scaled", &[words, &factors], vec![])
    }

    /// The tokens of each row, float32 `[rows, 1]`: the first of [`LENGTHS`], as many as there are
    /// rows. Rows are counted, because a shape would have to be fetched from a GPU first.
    fn row_lengths(&mut self) -> Result<String, GraphError> {
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let first = builder.integers("masks.rows.first", &[0])?;
        let column = vec![Attribute::new("axis", 1_i64)?];
        let inputs = [POSITION_IDS, first.as_str()];
        let column = builder.node(onnx("Gather"), "masks.rows.column", &inputs, column)?;
        let column = builder.cast("masks.rows.float32", &column, ONNX_FLOAT)?;
        let zero = builder.values("masks.rows.zero", &[1], &[0.0])?;
        let one = builder.values("masks.rows.one", &[1], &[1.0])?;
        let zeros = builder.node(onnx("Mul"), "masks.rows.zeros", &[&column, &zero], vec![])?;
        let ones = builder.node(onnx("Add"), "masks.rows.ones", &[&zeros, &one], vec![])?;
        let axis = builder.integers("masks.rows.axis", &[0])?;
        let exclusive = vec![Attribute::new("exclusive", 1_i64)?];
        let rows = builder.node(
            onnx("CumSum"),
            "masks.rows.counted",
            &[&ones, &axis],
            exclusive,
        )?;
        let rows = builder.cast("masks.rows.numbers", &rows, ONNX_INT32)?;
        let inputs = [LENGTHS, rows.as_str()];
        let lengths = builder.node(onnx("Gather"), "masks.rows.lengths", &inputs, vec![])?;
        builder.cast("masks.rows.tokens", &lengths, ONNX_FLOAT)
    }
}
