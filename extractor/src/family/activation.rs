//! The non-linearities that configurations name, as `transformers.activations` defines them.

use super::config::Config;
use super::error::FamilyError;

/// Non-linearity of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x), exact.
    Gelu,
    /// x Φ(x), with Φ by tanh.
    GeluTanh,
    /// The exact one, clipped to -10..10.
    GeluClipped,
    /// x sigmoid(1.702 x).
    QuickGelu,
    /// x sigmoid(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    ReluSquared,
    /// min(max(x, 0), 6).
    Relu6,
    /// x, or 0.01 x where negative.
    LeakyRelu,
    /// x tanh(softplus(x)).
    Mish,
    /// x min(max(x + 3, 0), 6) / 6.
    HardSwish,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// x.
    Linear,
}

impl Activation {
    /// The activation that `field` names.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) fn from_config(
        config: &Config,
        field: &str,
        default: &str,
    ) -> Result<Self, FamilyError> {
        let name = config.text_or(field, default)?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, activation)| *activation).ok_or_else(|| {
            let names = NAMES
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ");
            config.unsupported(field, name, &names)
        })
    }
}

const NAMES: [(&str, Activation); 20] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_10", Activation::GeluClipped),
    ("quick_gelu", Activation::QuickGelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("relu", Activation::Relu),
    ("relu2", Activation::ReluSquared),
    ("relu6", Activation::Relu6),
    ("leaky_relu", Activation::LeakyRelu),
    ("mish", Activation::Mish),
    ("hardswish", Activation::HardSwish),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("linear", Activation::Linear),
];
