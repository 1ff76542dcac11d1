//! A head's parameters: what each is called (the names of a PyTorch state dict) and what it starts as.

use tch::{Device, Kind, TchError, Tensor};

use super::random;
use crate::activations::memory;

/// What a parameter starts as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// All the same.
    Constant(f64),
    /// Uniform up to `1 / sqrt(inputs)`: what PyTorch gives the weights and biases of a linear layer.
    Linear {
        /// Numbers that go into the layer.
        inputs: usize,
    },
    /// Uniform up to `sqrt(6 / (inputs + outputs))` of a matrix `[outputs, inputs]` (Glorot and Bengio 2010).
    Xavier,
}

/// A head under construction.
pub(crate) struct Builder {
    seed: u64,
    device: Device,
    list: Vec<(String, Tensor)>,
}

impl Builder {
    pub(crate) fn new(seed: u64, device: Device) -> Self {
        Self {
            seed,
            device,
            list: Vec::new(),
        }
    }

    /// Adds a parameter. What it starts as depends on the seed and its name alone.
    pub(crate) fn add(
        &mut self,
        name: &str,
        shape: &[usize],
        start: Start,
    ) -> Result<Tensor, TchError> {
        let bound = match start {
            Start::Constant(_) => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "sizes of a layer")]
            Start::Linear { inputs } => 1.0 / (inputs as f64).sqrt(),
            #[expect(clippy::cast_precision_loss, reason = "sizes of a layer")]
            Start::Xavier => (6.0 / shape.iter().sum::<usize>() as f64).sqrt(),
        };
        let tensor = match start {
            Start::Constant(value) => {
                Tensor::f_full(sizes(shape), value, (Kind::Float, self.device))?
            }
            _ => memory::filled(&sizes(shape), self.device, |values| {
                random::uniform(self.seed, purpose(name), bound, values);
            })?,
        };
        let tensor = tensor.f_set_requires_grad(true)?;
        self.list.push((name.to_owned(), tensor.shallow_clone()));
        Ok(tensor)
    }

    /// Adds `name.weight [outputs, inputs]` and `name.bias [outputs]` of a linear layer.
    pub(crate) fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, TchError> {
        Ok(Linear {
            weight: self.add(
                &format!("{name}.weight"),
                &[outputs, inputs],
                Start::Linear { inputs },
            )?,
            bias: self.add(
                &format!("{name}.bias"),
                &[outputs],
                Start::Linear { inputs },
            )?,
        })
    }

    /// The parameters in the order they were added.
    pub(crate) fn finish(self) -> Vec<(String, Tensor)> {
        self.list
    }
}

/// A linear layer.
pub(crate) struct Linear {
    /// `[outputs, inputs]`
    pub(crate) weight: Tensor,
    /// `[outputs]`
    pub(crate) bias: Tensor,
}

impl Linear {
    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, Some(&self.bias))
    }
}

/// A number of its own for every name (FNV-1a).
fn purpose(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// libtorch counts in i64.
pub(crate) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape
        .iter()
        .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
        .collect()
}

/// libtorch counts in i64.
pub(crate) fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
