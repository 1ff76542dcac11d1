//! Adam for several heads of one shape, computed as one on a device. All their parameters are one matrix `[heads, numbers]`,
//! and so are both moments, so that a step is about fifteen operations however many parameters and heads there are. The
//! heads' own parameters and their optimisers' state become views into these matrices: whoever saves or scores a
//! head finds it up to date.

use tch::{Device, Kind, TchError, Tensor};

use super::{Adam, AdamOptions, Update};
use crate::activations::memory::upload;

/// One of the heads.
pub struct Member<'a> {
    /// Its parameters.
    pub parameters: &'a [(String, Tensor)],
    /// Its optimiser.
    pub optimiser: &'a mut Adam,
}

/// What one head's step is taken with.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Learning rate.
    pub learning_rate: f64,
    /// Overrides the optimiser's.
    pub beta1: Option<f64>,
    /// Largest norm of the gradients over all parameters; infinite for any.
    pub largest_norm: f64,
}

/// The parameters of several heads and what Adam knows of them.
pub struct Stacked {
    /// `[heads, numbers]` each.
    weights: Tensor,
    mean: Tensor,
    square: Tensor,
    heads: i64,
    parts: Vec<Part>,
    /// Of each head.
    steps: Vec<u64>,
    options: Vec<AdamOptions>,
}

/// A parameter of the heads.
struct Part {
    name: String,
    shape: Vec<i64>,
    place: Place,
}

/// Where a parameter's numbers are.
enum Place {
    /// In the rows of the matrices, from this column on.
    Columns(i64),
    /// Nowhere there, as they are never learned: `[heads, ..]`.
    Idle(Tensor),
}

impl Part {
    fn numbers(&self) -> i64 {
        self.shape.iter().product()
    }
}

impl Stacked {
    /// Puts heads of one shape together; `is_idle` tells the parameters that are never learned.
    ///
    /// # Errors
    /// libtorch has no memory.
    pub fn of(
        members: &mut [Member<'_>],
        is_idle: impl Fn(&str) -> bool,
    ) -> Result<Self, TchError> {
        tch::no_grad(|| {
            let stacked = Self::gather(members, is_idle)?;
            for (head, member) in (0_i64..).zip(members) {
                stacked.adopt(head, member)?;
            }
            Ok(stacked)
        })
    }

    fn gather(
        members: &mut [Member<'_>],
        is_idle: impl Fn(&str) -> bool,
    ) -> Result<Self, TchError> {
        let first_of_all = members
            .first()
            .map_or(&[] as &[_], |member| member.parameters);
        let (mut parts, mut learned, mut numbers) = (Vec::new(), Vec::new(), 0);
        for (place, (name, tensor)) in first_of_all.iter().enumerate() {
            let (name, shape) = (name.clone(), tensor.size());
            let count: i64 = shape.iter().product();
            let place = if is_idle(&name) {
                let all = members.iter().map(|member| &member.parameters[place].1);
                Place::Idle(Tensor::f_stack(&all.collect::<Vec<_>>(), 0)?)
            } else {
                learned.push(place);
                numbers += count;
                Place::Columns(numbers - count)
            };
            parts.push(Part { name, shape, place });
        }
        let (mut weights, mut mean, mut square) = (Vec::new(), Vec::new(), Vec::new());
        for member in &mut *members {
            for &place in &learned {
                let parameter = member.parameters[place].1.f_detach()?;
                let moments = member.optimiser.moments_of(place, &parameter)?;
                mean.push(moments.mean.f_flatten(0, -1)?);
                square.push(moments.square.f_flatten(0, -1)?);
                weights.push(parameter.f_flatten(0, -1)?);
            }
        }
        let heads = i64::try_from(members.len()).unwrap_or(i64::MAX);
        let matrix = |rows: &[Tensor]| Tensor::f_cat(rows, 0)?.f_view([heads, numbers]);
        Ok(Self {
            weights: matrix(&weights)?,
            mean: matrix(&mean)?,
            square: matrix(&square)?,
            heads,
            parts,
            steps: members
                .iter()
                .map(|member| member.optimiser.steps())
                .collect(),
            options: members
                .iter()
                .map(|member| member.optimiser.options)
                .collect(),
        })
    }

    /// Makes a head's parameters and state views into the matrices.
    fn adopt(&self, head: i64, member: &mut Member<'_>) -> Result<(), TchError> {
        let parameters = self.parts.iter().zip(member.parameters).enumerate();
        for (place, (part, (_, parameter))) in parameters {
            let Place::Columns(first) = part.place else {
                continue;
            };
            let own = |matrix: &Tensor| {
                let row = matrix.f_select(0, head)?;
                row.f_narrow(0, first, part.numbers())?
                    .f_view(part.shape.as_slice())
            };
            // Another handle to the same tensor, which the head's layers hold too.
            parameter.shallow_clone().f_set_data(&own(&self.weights)?)?;
            let moments = member.optimiser.moments_of(place, parameter)?;
            (moments.mean, moments.square) = (own(&self.mean)?, own(&self.square)?);
        }
        Ok(())
    }

    /// Where it is computed.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weights.device()
    }

    /// Names and values `[heads, ..]` of the parameters, for [`crate::head::build_stack`].
    ///
    /// # Errors
    /// libtorch failed.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError> {
        let parameter = |part: &Part| {
            let values = match &part.place {
                Place::Idle(values) => values.shallow_clone(),
                Place::Columns(first) => {
                    let columns = self.weights.f_narrow(1, *first, part.numbers())?;
                    columns.f_unflatten(1, &part.shape)?
                }
            };
            let leaf = values.f_detach()?.f_set_requires_grad(true)?;
            Ok((part.name.clone(), leaf))
        };
        self.parts.iter().map(parameter).collect()
    }

    /// A step of every head down its gradients, which stand in the order of the parameters, clipped first. The norms before
    /// that `[heads]`, still on the device. A head whose numbers are none any more spoils no other.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn step(
        &mut self,
        gradients: &[Option<Tensor>],
        rates: &[Rates],
    ) -> Result<Tensor, TchError> {
        tch::no_grad(|| {
            let device = self.weights.device();
            let mut rows = Vec::new();
            for (part, gradient) in self.parts.iter().zip(gradients) {
                if let Place::Idle(_) = part.place {
                    continue;
                }
                let shape = [self.heads, part.numbers()];
                rows.push(match gradient {
                    Some(gradient) => gradient.f_reshape(shape)?,
                    None => Tensor::f_zeros(shape, (Kind::Float, device))?,
                });
            }
            let mut gradient = Tensor::f_cat(&rows, 1)?;
            let [rest1, rest2, kept, size, correction, epsilon, limit] = self.columns(rates)?;
            let norms = gradient.f_norm_scalaropt_dim(2.0, [1], true)?;
            let scale = limit.f_div(&norms.f_add_scalar(1e-6)?)?.f_clamp_max(1.0)?;
            let _ = gradient.f_mul_(&scale)?;
            let _ = self.mean.f_lerp_tensor_(&gradient, &rest1)?;
            let _ = self.square.f_lerp_tensor_(&gradient.f_square()?, &rest2)?;
            let mut divisor = self.square.f_sqrt()?;
            let _ = divisor.f_div_(&correction)?;
            let _ = divisor.f_add_(&epsilon)?;
            let _ = self.weights.f_mul_(&kept)?;
            // The size of the step, negative.
            let _ = self
                .weights
                .f_addcmul_(&self.mean.f_div(&divisor)?, &size)?;
            norms.f_squeeze_dim(1)
        })
    }

    /// The numbers of the step, for each head its own `[heads, 1]`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the parameters are float32, as in PyTorch"
    )]
    fn columns(&mut self, rates: &[Rates]) -> Result<[Tensor; 7], TchError> {
        let mut columns = [const { Vec::<f32>::new() }; 7];
        for ((rates, options), steps) in rates.iter().zip(&self.options).zip(&mut self.steps) {
            *steps += 1;
            let options = AdamOptions {
                beta1: rates.beta1.unwrap_or(options.beta1),
                ..*options
            };
            let update = Update::new(&options, rates.learning_rate, *steps);
            let numbers = [
                1.0 - update.beta1,
                1.0 - update.beta2,
                update.kept,
                -update.size,
                update.correction,
                update.epsilon,
                rates.largest_norm,
            ];
            for (column, number) in columns.iter_mut().zip(numbers) {
                column.push(number as f32);
            }
        }
        let columns = Tensor::f_from_slice(&columns.concat())?;
        let columns = upload(&columns, self.weights.device())?.f_view([7, self.heads, 1])?;
        let columns: Vec<Tensor> = columns.f_unbind(0)?;
        columns
            .try_into()
            .map_err(|_| TchError::Shape("a number for each head".to_owned()))
    }
}
