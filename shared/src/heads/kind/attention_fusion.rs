//! Attention fusion (Cao et al. 2022): layer norm over layers and hidden size together, one learned
//! query that attends over the layers of each token, GELU of the sum.

use super::form::{Form, Reads};
use crate::heads::parameters::{LayerNorm, Parameter, Start};

pub(super) static FORM: Form = Form {
    name: "attention-fusion",
    usage: "attention-fusion",
    examples: &["--head attention-fusion"],
    dropout: 0.15,
    // All activations are normalised anew for each head, which takes the memory of so many batches.
    most_as_one: 1,
    reads: Reads::All,
    parameters: |sizes| Parameters::new(sizes.layers, sizes.hidden).list(),
};

/// The epsilon of the layer norm: PyTorch's default.
pub const EPSILON: f64 = 1e-5;

/// The parameters of attention fusion.
#[derive(Debug)]
pub struct Parameters {
    /// `[layers, hidden]`
    pub norm: LayerNorm,
    /// `[hidden]`
    pub query: Parameter,
}

impl Parameters {
    /// Names and shapes for so many layers of this hidden size.
    #[must_use]
    pub fn new(layers: usize, hidden: usize) -> Self {
        Self {
            norm: LayerNorm::new("fusion.norm", vec![layers, hidden]),
            query: Parameter::new("fusion.query", [hidden], Start::Linear { inputs: hidden }),
        }
    }

    fn list(self) -> Vec<Parameter> {
        let mut list = self.norm.list();
        list.push(self.query);
        list
    }
}
