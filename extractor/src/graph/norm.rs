//! Norms, alone or in one operator with the residual sum before them.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::builder::MICROSOFT;
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::weights::Source;
use crate::family::Norm;

/// The weights of a norm, `[size]` each.
pub(super) struct NormWeights<'a> {
    size: usize,
    /// None where the norm has no weights, which is as if all were 1.
    weight: Option<Source<'a>>,
    bias: Option<Source<'a>>,
}

/// A sum and its norm, by the names of values.
pub(super) struct SumAndNorm {
    /// The norm of the sum.
    pub(super) norm: String,
    /// The sum; a value of the graph only if it was asked for.
    pub(super) sum: String,
}

impl<'a> EncoderGraph<'a> {
    /// The weights of the norm called `name`.
    pub(super) fn norm_weights(
        &self,
        name: &str,
        size: usize,
    ) -> Result<NormWeights<'a>, GraphError> {
        let weight = || self.tensor(&format!("{name}.weight"), &[size]);
        let (weight, bias) = match self.spec.norm {
            Norm::Layer { bias, .. } => (Some(weight()?), bias),
            Norm::Plain { .. } => (None, false),
            Norm::Rms { one_more: true, .. } => (Some(weight()?.plus_one()), false),
            Norm::Rms { .. } => (Some(weight()?), false),
        };
        Ok(NormWeights {
            size,
            weight,
            bias: self.bias(name, size, bias)?,
        })
    }

    /// The norm of `input`.
    pub(super) fn norm(
        &mut self,
        label: &str,
        input: &str,
        weights: &NormWeights<'_>,
    ) -> Result<String, GraphError> {
        let (epsilon, operator) = match self.spec.norm {
            Norm::Layer { epsilon, .. } | Norm::Plain { epsilon } => {
                (epsilon, "LayerNormalization")
            }
            Norm::Rms { epsilon, .. } => (epsilon, "SimplifiedLayerNormalization"),
        };
        let mut inputs = vec![input.to_owned()];
        inputs.extend(self.add_norm_weights(label, weights)?);
        let attributes = vec![
            Attribute::new("epsilon", epsilon)?,
            Attribute::new("axis", -1_i64)?,
        ];
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let operator = (ONNX_DOMAIN, operator);
        self.builder.node(operator, label, &inputs, attributes)
    }

    /// The norm of `input + skip + bias`, and the sum itself if `with_sum`.
    pub(super) fn add_and_norm(
        &mut self,
        label: &str,
        [input, skip]: [&str; 2],
        bias: Option<&Source<'_>>,
        weights: &NormWeights<'_>,
        with_sum: bool,
    ) -> Result<SumAndNorm, GraphError> {
        // Only the first has a place for the norm's own bias.
        let (epsilon, operator, before_bias) = match self.spec.norm {
            Norm::Layer { epsilon, .. } | Norm::Plain { epsilon } => {
                (epsilon, "SkipLayerNormalization", 4)
            }
            Norm::Rms { epsilon, .. } => (epsilon, "SkipSimplifiedLayerNormalization", 3),
        };
        let mut inputs = vec![input.to_owned(), skip.to_owned()];
        inputs.extend(self.add_norm_weights(label, weights)?);
        if let Some(bias) = bias {
            inputs.resize(before_bias, String::new());
            inputs.push(self.builder.weights(format!("{label}.bias"), bias)?);
        }
        let result = SumAndNorm {
            norm: label.to_owned(),
            sum: format!("{label}.sum"),
        };
        // Mean and inverse deviation stand between the two; nobody needs them.
        let outputs = [result.norm.as_str(), "", "", &result.sum];
        let outputs = if with_sum {
            &outputs[..]
        } else {
            &outputs[..1]
        };
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![Attribute::new("epsilon", epsilon)?];
        let operator = (MICROSOFT, operator);
        self.builder
            .node_with_outputs(operator, label, &inputs, outputs, attributes)?;
        Ok(result)
    }

    fn add_norm_weights(
        &mut self,
        label: &str,
        weights: &NormWeights<'_>,
    ) -> Result<Vec<String>, GraphError> {
        let name = format!("{label}.gamma");
        let weight = match &weights.weight {
            Some(weight) => self.builder.weights(name, weight)?,
            None => self.builder.repeated(name, 1.0, weights.size)?,
        };
        let bias = weights
            .bias
            .as_ref()
            .map(|bias| self.builder.weights(format!("{label}.beta"), bias));
        Ok(std::iter::once(weight).chain(bias.transpose()?).collect())
    }
}
