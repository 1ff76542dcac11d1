//! Attention with rotary positions: queries and keys are turned by angles from a table, keys and
//! values are shared by groups of heads, and layers may see only what is near.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::attention::MASKED;
use super::builder::MICROSOFT;
use super::dtype::{ComputeDtype, ONNX_FLOAT};
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::{LENGTHS, POSITION_IDS};
use super::weights::Linear;
use crate::family::{PositionEncoding, Rotation};

/// `TensorProto.INT64` of the ONNX format.
const ONNX_INT64: i64 = 7;
/// What scores of tokens that are too far away get, where float16 has no larger number: any row
/// keeps a finite score, so that padding does not become NaN.
const MASKED_F16: f32 = -3e4;

/// Values of the graph that all layers of a kind share, by name; made with the first such layer.
#[derive(Default)]
pub(super) struct Shared {
    positions: Option<String>,
    /// Cosines and sines of all layers, and of local ones.
    tables: [Option<[String; 2]>; 2],
    nearby: Option<String>,
}

impl EncoderGraph<'_> {
    /// The heads, `[rows, width, heads * head size]`.
    pub(super) fn rotary_heads(
        &mut self,
        layer: usize,
        name: &str,
        input: &str,
        projections: &Linear<'_>,
    ) -> Result<String, GraphError> {
        let attention = self.spec.attention;
        let projected = self
            .builder
            .linear(&format!("{name}.input"), input, projections)?;
        let parts = format!("{name}.parts");
        let parts = self.builder.split(&parts, &projected, &attention.sizes())?;
        let [query, key, value] = &parts[..] else {
            return Err(ort::Error::new("query, key and value are three").into());
        };
        let tables = self.angles(layer)?;
        let (heads, key_heads) = (attention.heads, attention.key_heads);
        let (mut query, mut key) = (query.clone(), key.clone());
        if let Some([query_norm, key_norm]) = attention.norms {
            query = self.head_norm(layer, &format!("{name}.query"), &query, query_norm, heads)?;
            key = self.head_norm(layer, &format!("{name}.key"), &key, key_norm, key_heads)?;
        }
        let query = self.turned(&format!("{name}.query.turned"), &query, &tables, heads)?;
        let key = self.turned(&format!("{name}.key.turned"), &key, &tables, key_heads)?;
        let key = self.for_all_heads(&format!("{name}.key"), &key)?;
        let value = self.for_all_heads(&format!("{name}.value"), value)?;

        // Padding stands on the right, where a causal encoder never looks.
        let mask = if attention.causal { "" } else { LENGTHS };
        let nearby = self.nearby(layer)?.unwrap_or_default();
        let mut inputs = vec![query.as_str(), &key, &value, "", mask, &nearby];
        while inputs.last().is_some_and(|input| input.is_empty()) {
            inputs.pop();
        }
        let scale = attention.scale.factor(attention.head_size, layer);
        let attributes = vec![
            Attribute::new("num_heads", i64::try_from(heads).unwrap_or(i64::MAX))?,
            Attribute::new("scale", scale)?,
            Attribute::new("unidirectional", i64::from(attention.causal))?,
            Attribute::new("mask_filter_value", MASKED)?,
        ];
        let operator = (MICROSOFT, "MultiHeadAttention");
        self.builder.node(operator, name, &inputs, attributes)
    }

    /// Cosines and sines for a layer, and the positions that rows of them are taken by.
    fn angles(&mut self, layer: usize) -> Result<[String; 3], GraphError> {
        let spec = self.spec;
        let PositionEncoding::Rotary {
            positions,
            rotation,
        } = &spec.position
        else {
            return Err(ort::Error::new("an encoder with rotary positions").into());
        };
        let local = spec.local_attention(layer);
        let own = local.and_then(|local| local.rotation.as_ref());
        let kind = usize::from(own.is_some());
        let ids = match &self.shared.positions {
            Some(ids) => ids.clone(),
            None => self
                .builder
                .cast("rotary.positions", POSITION_IDS, ONNX_INT64)?,
        };
        self.shared.positions = Some(ids.clone());
        let tables = match &self.shared.tables[kind] {
            Some(tables) => tables.clone(),
            None => self.tables(
                ["rotary", "rotary.local"][kind],
                own.unwrap_or(rotation),
                *positions,
            )?,
        };
        self.shared.tables[kind] = Some(tables.clone());
        let [cosines, sines] = tables;
        Ok([ids, cosines, sines])
    }

    /// Cosines and sines as constants, `[positions, turned size / 2]`.
    fn tables(
        &mut self,
        label: &str,
        rotation: &Rotation,
        positions: usize,
    ) -> Result<[String; 2], GraphError> {
        let shape = [positions, rotation.frequencies.len()];
        let [cosines, sines] = rotation.tables(positions);
        let cosines = self
            .builder
            .numbers(&format!("{label}.cosines"), &shape, &cosines)?;
        let sines = self
            .builder
            .numbers(&format!("{label}.sines"), &shape, &sines)?;
        Ok([cosines, sines])
    }

    /// Queries or keys, `[rows, width, heads * head size]`, turned.
    fn turned(
        &mut self,
        name: &str,
        value: &str,
        [ids, cosines, sines]: &[String; 3],
        heads: usize,
    ) -> Result<String, GraphError> {
        let PositionEncoding::Rotary { rotation, .. } = &self.spec.position else {
            return Ok(value.to_owned());
        };
        let size = 2 * rotation.frequencies.len();
        let long = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        let mut attributes = vec![Attribute::new("num_heads", long(heads))?];
        if size < self.spec.attention.head_size {
            attributes.push(Attribute::new("rotary_embedding_dim", long(size))?);
        }
        let operator = (MICROSOFT, "RotaryEmbedding");
        let inputs = [value, ids, cosines, sines];
        self.builder.node(operator, name, &inputs, attributes)
    }

    /// The norm of each head.
    fn head_norm(
        &mut self,
        layer: usize,
        label: &str,
        value: &str,
        norm: &str,
        heads: usize,
    ) -> Result<String, GraphError> {
        let size = self.spec.attention.head_size;
        let weights = self.norm_weights(&self.in_layer(layer, norm), size)?;
        let split = self
            .builder
            .reshape(&format!("{label}.heads"), value, &[0, 0, heads, size])?;
        let normed = self.norm(&format!("{label}.norm"), &split, &weights)?;
        self.builder
            .reshape(&format!("{label}.normed"), &normed, &[0, 0, heads * size])
    }

    /// Keys or values once for each head of queries.
    fn for_all_heads(&mut self, label: &str, value: &str) -> Result<String, GraphError> {
        let attention = self.spec.attention;
        let (heads, key_heads, size) = (attention.heads, attention.key_heads, attention.head_size);
        let each = heads / key_heads;
        if each == 1 {
            return Ok(value.to_owned());
        }
        let single = [0, 0, key_heads, 1, size];
        let single = self
            .builder
            .reshape(&format!("{label}.single"), value, &single)?;
        let times = i64::try_from(each).unwrap_or(i64::MAX);
        let times = self
            .builder
            .integers(&format!("{label}.times"), &[1, 1, 1, times, 1])?;
        let name = format!("{label}.each");
        let operator = (ONNX_DOMAIN, "Expand");
        let each = self
            .builder
            .node(operator, &name, &[&single, &times], vec![])?;
        self.builder
            .reshape(&format!("{label}.all"), &each, &[0, 0, heads * size])
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no text has so many tokens that float32 could not count them"
    )]
    /// What is added to scores in a local layer, `[1, 1, width, width]`: nothing near, a number that
    /// no score outweighs far away.
    fn nearby(&mut self, layer: usize) -> Result<Option<String>, GraphError> {
        let Some(local) = self.spec.local_attention(layer) else {
            return Ok(None);
        };
        if let Some(nearby) = &self.shared.nearby {
            return Ok(Some(nearby.clone()));
        }
        let distance = local.distance as f32;
        let builder = &mut self.builder;
        let onnx = |operator| (ONNX_DOMAIN, operator);
        // The longest row counts all positions. A shape would have to be fetched from a GPU.
        let counted = builder.cast("nearby.counted", POSITION_IDS, ONNX_FLOAT)?;
        let first = builder.integers("nearby.first", &[0])?;
        let flat = vec![Attribute::new("keepdims", 0_i64)?];
        let places = [counted.as_str(), &first];
        let places = builder.node(onnx("ReduceMax"), "nearby.places", &places, flat)?;
        let last = builder.integers("nearby.last", &[1])?;
        let column = builder.node(
            onnx("Unsqueeze"),
            "nearby.column",
            &[&places, &last],
            vec![],
        )?;
        let apart = builder.node(onnx("Sub"), "nearby.signed", &[&column, &places], vec![])?;
        let apart = builder.node(onnx("Abs"), "nearby.apart", &[&apart], vec![])?;
        let most = builder.values("nearby.most", &[], &[distance])?;
        let is_far = builder.node(onnx("Greater"), "nearby.is_far", &[&apart, &most], vec![])?;
        let masked = match builder.dtype() {
            ComputeDtype::F16 => MASKED_F16,
            ComputeDtype::F32 | ComputeDtype::Bf16 => MASKED,
        };
        let far = builder.number("nearby.masked".to_owned(), masked)?;
        let near = builder.number("nearby.seen".to_owned(), 0.0)?;
        let added = builder.node(
            onnx("Where"),
            "nearby.matrix",
            &[&is_far, &far, &near],
            vec![],
        )?;
        let axes = builder.integers("nearby.axes", &[0, 1])?;
        let nearby = builder.node(onnx("Unsqueeze"), "nearby", &[&added, &axes], vec![])?;
        self.shared.nearby = Some(nearby.clone());
        Ok(Some(nearby))
    }
}
