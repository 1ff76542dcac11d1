//! Non-linearities as nodes: fused with the bias where ONNX Runtime has an operator for exactly the
//! same function, otherwise spelt out.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::builder::{Builder, MICROSOFT};
use super::error::GraphError;
use super::weights::Source;
use crate::family::Activation;

impl Builder {
    /// `activation(input + bias)`.
    pub(super) fn activation(
        &mut self,
        name: &str,
        input: &str,
        bias: Option<&Source<'_>>,
        activation: Activation,
    ) -> Result<String, GraphError> {
        let Some(bias) = bias else {
            return self.plain_activation(name, input, activation);
        };
        let Some(operator) = with_bias(activation) else {
            let sum = self.add_bias(&format!("{name}.sum"), input, bias)?;
            return self.plain_activation(name, &sum, activation);
        };
        let bias = self.weights(format!("{name}.bias"), bias)?;
        self.node((MICROSOFT, operator), name, &[input, &bias], vec![])
    }

    fn plain_activation(
        &mut self,
        name: &str,
        x: &str,
        activation: Activation,
    ) -> Result<String, GraphError> {
        let onnx = |operator| (ONNX_DOMAIN, operator);
        let step = |step: &str| format!("{name}.{step}");
        let alpha = |alpha: f32| Ok::<_, GraphError>(vec![Attribute::new("alpha", alpha)?]);
        match activation {
            Activation::Gelu => self.node((MICROSOFT, "Gelu"), name, &[x], vec![]),
            Activation::GeluTanh => self.node((MICROSOFT, "FastGelu"), name, &[x], vec![]),
            Activation::GeluClipped => {
                let gelu = self.node((MICROSOFT, "Gelu"), &step("gelu"), &[x], vec![])?;
                self.clip(name, &gelu, -10.0, 10.0)
            }
            // x sigmoid(alpha x) for any alpha, whatever the operator's name says.
            Activation::QuickGelu => self.node((MICROSOFT, "QuickGelu"), name, &[x], alpha(1.702)?),
            Activation::Silu => self.node((MICROSOFT, "QuickGelu"), name, &[x], alpha(1.0)?),
            Activation::Relu => self.node(onnx("Relu"), name, &[x], vec![]),
            Activation::ReluSquared => {
                let relu = self.node(onnx("Relu"), &step("relu"), &[x], vec![])?;
                self.node(onnx("Mul"), name, &[&relu, &relu], vec![])
            }
            Activation::Relu6 => self.clip(name, x, 0.0, 6.0),
            Activation::LeakyRelu => self.node(onnx("LeakyRelu"), name, &[x], alpha(0.01)?),
            Activation::Mish => {
                let softplus = self.node(onnx("Softplus"), &step("softplus"), &[x], vec![])?;
                let tanh = self.node(onnx("Tanh"), &step("tanh"), &[&softplus], vec![])?;
                self.node(onnx("Mul"), name, &[x, &tanh], vec![])
            }
            Activation::HardSwish => self.node(onnx("HardSwish"), name, &[x], vec![]),
            Activation::Tanh => self.node(onnx("Tanh"), name, &[x], vec![]),
            Activation::Sigmoid => self.node(onnx("Sigmoid"), name, &[x], vec![]),
            Activation::Linear => self.node(onnx("Identity"), name, &[x], vec![]),
        }
    }

    fn clip(&mut self, name: &str, x: &str, low: f32, high: f32) -> Result<String, GraphError> {
        let low = self.number(format!("{name}.low"), low)?;
        let high = self.number(format!("{name}.high"), high)?;
        self.node((ONNX_DOMAIN, "Clip"), name, &[x, &low, &high], vec![])
    }
}

/// The operator of the domain `com.microsoft` that adds the bias as well, if there is one.
const fn with_bias(activation: Activation) -> Option<&'static str> {
    match activation {
        Activation::Gelu => Some("BiasGelu"),
        Activation::GeluTanh => Some("FastGelu"),
        Activation::GeluClipped
        | Activation::QuickGelu
        | Activation::Silu
        | Activation::Relu
        | Activation::ReluSquared
        | Activation::Relu6
        | Activation::LeakyRelu
        | Activation::Mish
        | Activation::HardSwish
        | Activation::Tanh
        | Activation::Sigmoid
        | Activation::Linear => None,
    }
}
