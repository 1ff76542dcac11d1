//! Non-linearities as nodes: fused with the bias where ONNX Runtime has an
//! operator for exactly the same function, otherwise spelt out.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::GraphError;
use super::builder::{Builder, MICROSOFT};
use super::weights::Source;
use crate::family::Activation;

impl Builder {
    /// `activation(input + bias)`.
    pub(super) fn activation(
        &mut self,
        name: &str,
        input: &str,
        bias: &Source<'_>,
        activation: Activation,
    ) -> Result<String, GraphError> {
        let fused = match activation {
            Activation::Gelu => "BiasGelu",
            Activation::GeluTanh => "FastGelu",
            _ => {
                let sum = self.add_bias(&format!("{name}.sum"), input, bias)?;
                return self.plain_activation(name, &sum, activation);
            }
        };
        let bias = self.weights(format!("{name}.bias"), bias)?;
        self.node((MICROSOFT, fused), name, &[input, &bias], vec![])
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
