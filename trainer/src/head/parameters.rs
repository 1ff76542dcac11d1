//! The tensors of a head's parameters, which `shared::heads` describes: made from a seed, or given.

use std::collections::{BTreeMap, BTreeSet};

use shared::heads::parameters::{self, Parameter, Start};
use tch::{Device, TchError, Tensor};

use super::random;
use super::sizes::{size, sizes};
use crate::activations::memory;

/// A head under construction.
pub(crate) struct Builder {
    seed: u64,
    device: Device,
    /// Parameters that are there already, those of several heads as one: a dimension `heads` stands
    /// in front.
    given: Option<BTreeMap<String, Tensor>>,
    list: Vec<(String, Tensor)>,
    idle: BTreeSet<String>,
    /// Of parameters that are there, those that have gradients in blocks of rows, by their places.
    blocks: BTreeMap<usize, Vec<Tensor>>,
}

/// The parameters of a head.
pub(crate) struct Built {
    /// In the order they were added.
    pub(crate) list: Vec<(String, Tensor)>,
    /// Names of those that no output depends on.
    pub(crate) idle: BTreeSet<String>,
    /// What gradients are taken by, for each parameter: itself, or blocks of its first rows.
    pub(crate) leaves: Vec<Vec<Tensor>>,
}

impl Builder {
    pub(crate) fn new(seed: u64, device: Device) -> Self {
        Self {
            seed,
            device,
            given: None,
            list: Vec::new(),
            idle: BTreeSet::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// Builds with parameters that are there.
    pub(crate) fn given(parameters: Vec<(String, Tensor)>, device: Device) -> Self {
        Self {
            given: Some(parameters.into_iter().collect()),
            ..Self::new(0, device)
        }
    }

    /// Where the parameters are.
    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// Adds a parameter. What it starts as depends on the seed and its name alone.
    pub(crate) fn add(&mut self, parameter: &Parameter) -> Result<Tensor, TchError> {
        let name = &parameter.name;
        if parameter.idle {
            self.idle.insert(name.clone());
        }
        if let Some(given) = &mut self.given {
            let missing = || TchError::Shape(format!("no parameter '{name}' of several heads"));
            let tensor = given.remove(name).ok_or_else(missing)?;
            self.list.push((name.clone(), tensor.shallow_clone()));
            return Ok(tensor);
        }
        let tensor = self.start(parameter)?.f_set_requires_grad(true)?;
        self.list.push((name.clone(), tensor.shallow_clone()));
        Ok(tensor)
    }

    /// The numbers that a parameter starts as.
    fn start(&self, parameter: &Parameter) -> Result<Tensor, TchError> {
        let bound = match parameter.start {
            Start::Constant(_) => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "sizes of a layer")]
            Start::Linear { inputs } => 1.0 / (inputs as f64).sqrt(),
            #[expect(clippy::cast_precision_loss, reason = "sizes of a layer")]
            Start::Xavier => (6.0 / parameter.shape.iter().sum::<usize>() as f64).sqrt(),
        };
        memory::filled(
            &sizes(&parameter.shape),
            self.device,
            |values| match parameter.start {
                Start::Constant(value) => values.fill(value),
                Start::Linear { .. } | Start::Xavier => {
                    random::uniform(self.seed, purpose(&parameter.name), bound, values);
                }
            },
        )
    }

    /// Adds weight and bias of a linear layer.
    pub(crate) fn linear(&mut self, layer: &parameters::Linear) -> Result<Linear, TchError> {
        Ok(Linear {
            weight: self.add(&layer.weight())?,
            bias: self.add(&layer.bias())?,
        })
    }

    /// Adds a parameter `[rows, ..]` of which blocks of so many rows are used, one after another from the first on. Of
    /// parameters that are there the blocks come too, as tensors that have gradients of their own:
    /// taken as parts of the whole, each would have a gradient as large as that, and their sum.
    pub(crate) fn add_in_blocks(
        &mut self,
        parameter: &Parameter,
        rows: &[usize],
    ) -> Result<(Tensor, Option<Vec<Tensor>>), TchError> {
        let whole = self.add(parameter)?;
        if self.given.is_none() {
            return Ok((whole, None));
        }
        let (values, dimension) = (whole.f_detach()?, -size(parameter.shape.len()));
        let mut first = 0;
        let mut blocks = Vec::new();
        for &rows in rows {
            let block = values.f_narrow(dimension, size(first), size(rows))?;
            blocks.push(block.f_set_requires_grad(true)?);
            first += rows;
        }
        let own = blocks.iter().map(Tensor::shallow_clone).collect();
        self.blocks.insert(self.list.len() - 1, own);
        Ok((whole, Some(blocks)))
    }

    /// The parameters.
    pub(crate) fn finish(mut self) -> Built {
        let whole = self.list.iter().enumerate().map(|(place, (_, tensor))| {
            let blocks = self.blocks.remove(&place);
            blocks.unwrap_or_else(|| vec![tensor.shallow_clone()])
        });
        Built {
            leaves: whole.collect(),
            list: self.list,
            idle: self.idle,
        }
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
    /// `[rows, inputs]` to `[rows, outputs]`; see [`linear`].
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        linear(input, &self.weight, &self.bias)
    }
}

/// `[rows, inputs]` to `[rows, outputs]`. With the weights of several heads,
/// `[heads, outputs, inputs]`, each head has an output of its own, `[heads, rows, outputs]`, and an
/// input of its own or the same as all.
pub(crate) fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
    let &[heads, _, _] = weight.size().as_slice() else {
        return input.f_linear(weight, Some(bias));
    };
    let input = if input.dim() == 2 {
        input.f_unsqueeze(0)?.f_expand([heads, -1, -1], false)?
    } else {
        input.shallow_clone()
    };
    let weight = weight.f_transpose(1, 2)?;
    input.f_bmm(&weight)?.f_add_(&bias.f_unsqueeze(1)?)
}

/// Layer norm over the last dimensions, `shape`, with a scale and a shift of that shape, or of each
/// of several heads.
pub(crate) fn normalised(
    values: &Tensor,
    shape: &[i64],
    scale: &Tensor,
    shift: &Tensor,
    epsilon: f64,
) -> Result<Tensor, TchError> {
    if scale.dim() == shape.len() {
        return values.f_layer_norm(shape, Some(scale), Some(shift), epsilon, false);
    }
    let normal = values.f_layer_norm::<&Tensor>(shape, None, None, epsilon, false)?;
    shift
        .f_unsqueeze(1)?
        .f_addcmul(&normal, &scale.f_unsqueeze(1)?)
}

/// A number of its own for every name (FNV-1a).
fn purpose(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
