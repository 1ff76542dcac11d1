//! Scalar mix (Peters et al. 2018): one weight a layer, the same for every token, and a scale.

use super::form::{Form, Reads};
use crate::heads::parameters::{Parameter, Start};

pub(super) static FORM: Form = Form {
    name: "scalar-mix",
    usage: "scalar-mix",
    examples: &["--head scalar-mix"],
    dropout: 0.1,
    most_as_one: 16,
    reads: Reads::All,
    parameters: |sizes| Parameters::new(sizes.layers).list(),
};

/// The parameters of a scalar mix.
#[derive(Debug)]
pub struct Parameters {
    /// `[layers]`, before the softmax.
    pub weights: Parameter,
    /// `[1]`
    pub scale: Parameter,
}

impl Parameters {
    /// Names and shapes for so many layers.
    #[must_use]
    pub fn new(layers: usize) -> Self {
        Self {
            weights: Parameter::new("scalar_mix.weights", [layers], Start::Constant(0.0)),
            scale: Parameter::new("scalar_mix.scale", [1], Start::Constant(1.0)),
        }
    }

    fn list(self) -> Vec<Parameter> {
        vec![self.weights, self.scale]
    }
}
