//! Adam (Kingma and Ba 2015) and `AdamW` (Loshchilov and Hutter 2019) with PyTorch's numbers, and
//! clipping of the gradients' norm. Written here because a checkpoint needs the optimiser's state, and
//! because one pass over the parameters is several times faster than a libtorch call for every
//! operation.

mod group;

use rayon::prelude::*;
use shared::exit::{ExitStatus, HasExitStatus};
use tch::{Device, TchError, Tensor};

use crate::activations::memory;
use crate::torch_error::one_line;

pub use group::{GroupAdam, Member, Rates};

/// Numbers that a thread updates at once.
const NUMBERS_AT_ONCE: usize = 16 * 1024;

/// Settings that stay the same over a training. The defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamOptions {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the division from zero.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay the weights themselves (`AdamW`) and not through the gradient.
    pub decoupled: bool,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        }
    }
}

/// State of one parameter, made at its first gradient.
struct Moments {
    steps: u64,
    mean: Tensor,
    square: Tensor,
}

impl Moments {
    fn zeros_like(parameter: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            steps: 0,
            mean: parameter.f_zeros_like()?,
            square: parameter.f_zeros_like()?,
        })
    }
}

/// Adam on named parameters.
pub struct Adam {
    options: AdamOptions,
    names: Vec<String>,
    moments: Vec<Option<Moments>>,
}

/// A state that is not that of these parameters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A tensor that no parameter has.
    #[error(
        "the optimiser's state has '{0}', which belongs to no parameter of this head; it is another head's"
    )]
    Unknown(String),
    /// A tensor that is not there.
    #[error("the optimiser's state has no '{0}'; the checkpoint is damaged")]
    Missing(String),
    /// A tensor of another shape.
    #[error(
        "'{name}' of the optimiser's state is {got:?}, the parameter is {expected:?}; it is another head's"
    )]
    Shape {
        /// Which.
        name: String,
        /// The parameter's shape.
        expected: Vec<i64>,
        /// The shape found.
        got: Vec<i64>,
    },
    /// libtorch failed.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] TchError),
}

impl HasExitStatus for StateError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Torch(_) => ExitStatus::Machine,
            Self::Unknown(_) | Self::Missing(_) | Self::Shape { .. } => ExitStatus::User,
        }
    }
}

impl StateError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        matches!(self, Self::Torch(_))
    }
}

impl Adam {
    /// An optimiser without state for `parameters`.
    #[must_use]
    pub fn new(parameters: &[(String, Tensor)], options: AdamOptions) -> Self {
        Self {
            options,
            names: parameters.iter().map(|(name, _)| name.clone()).collect(),
            moments: parameters.iter().map(|_| None).collect(),
        }
    }

    /// One step down the gradients, which stand in the order of the parameters; without a gradient
    /// a parameter stays as it is. `beta1` overrides the options' for this step.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn step(
        &mut self,
        parameters: &[(String, Tensor)],
        gradients: &[Option<Tensor>],
        learning_rate: f64,
        beta1: Option<f64>,
    ) -> Result<(), TchError> {
        let options = AdamOptions {
            beta1: beta1.unwrap_or(self.options.beta1),
            ..self.options
        };
        tch::no_grad(|| {
            for (((_, parameter), gradient), moments) in
                parameters.iter().zip(gradients).zip(&mut self.moments)
            {
                let Some(gradient) = gradient else { continue };
                if moments.is_none() {
                    *moments = Some(Moments::zeros_like(parameter)?);
                }
                if let Some(moments) = moments {
                    moments.steps += 1;
                    let update = Update::new(&options, learning_rate, moments.steps);
                    update.apply(&mut parameter.f_detach()?, gradient, moments)?;
                }
            }
            Ok(())
        })
    }

    /// Counts a step that [`GroupAdam`] took for this optimiser.
    pub fn count_step(&mut self) {
        for moments in self.moments.iter_mut().flatten() {
            moments.steps += 1;
        }
    }

    /// Steps so far.
    fn steps(&self) -> u64 {
        let moments = self.moments.iter().flatten();
        moments.map(|moments| moments.steps).max().unwrap_or(0)
    }

    /// The state of the parameter at `place`, made if it is not there.
    fn moments_of(&mut self, place: usize, parameter: &Tensor) -> Result<&mut Moments, TchError> {
        match &mut self.moments[place] {
            Some(moments) => Ok(moments),
            none => Ok(none.insert(Moments::zeros_like(parameter)?)),
        }
    }

    /// The state by name: `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.step` `[1]` for every
    /// parameter that had a gradient.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>, TchError> {
        let mut state = Vec::new();
        for (name, moments) in self.names.iter().zip(&self.moments) {
            let Some(moments) = moments else { continue };
            let steps = i64::try_from(moments.steps).unwrap_or(i64::MAX);
            state.push((format!("{name}.exp_avg"), moments.mean.shallow_clone()));
            state.push((format!("{name}.exp_avg_sq"), moments.square.shallow_clone()));
            state.push((format!("{name}.step"), Tensor::f_from_slice(&[steps])?));
        }
        Ok(state)
    }

    /// Takes over what [`Self::state`] gave.
    ///
    /// # Errors
    /// State of other parameters, or libtorch failed; the optimiser then keeps the state it had.
    pub fn set_state(
        &mut self,
        parameters: &[(String, Tensor)],
        state: Vec<(String, Tensor)>,
    ) -> Result<(), StateError> {
        let mut state: std::collections::BTreeMap<String, Tensor> = state.into_iter().collect();
        let mut moments = Vec::with_capacity(parameters.len());
        for (name, parameter) in parameters {
            let Some(steps) = state.remove(&format!("{name}.step")) else {
                moments.push(None);
                continue;
            };
            let mut take = |part: &str| {
                let name = format!("{name}.{part}");
                let found = state
                    .remove(&name)
                    .ok_or_else(|| StateError::Missing(name.clone()))?;
                if found.size() != parameter.size() {
                    return Err(StateError::Shape {
                        name,
                        expected: parameter.size(),
                        got: found.size(),
                    });
                }
                // A copy of our own: the step writes into it.
                let mut own = parameter.f_detach()?.f_zeros_like()?;
                own.f_copy_(&found)?;
                Ok(own)
            };
            let steps = u64::try_from(steps.f_int64_value(&[0])?).unwrap_or(0);
            moments.push(Some(Moments {
                steps,
                mean: take("exp_avg")?,
                square: take("exp_avg_sq")?,
            }));
        }
        if let Some((name, _)) = state.pop_first() {
            return Err(StateError::Unknown(name));
        }
        self.moments = moments;
        Ok(())
    }
}

/// One step's numbers for one parameter.
struct Update {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    /// Added to the gradient, times the weight.
    coupled_decay: f64,
    /// What remains of the weight before the step.
    kept: f64,
    /// Learning rate over the bias correction of the mean.
    size: f64,
    /// Square root of the bias correction of the squares.
    correction: f64,
}

impl Update {
    fn new(options: &AdamOptions, learning_rate: f64, steps: u64) -> Self {
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        Self {
            beta1: options.beta1,
            beta2: options.beta2,
            epsilon: options.epsilon,
            coupled_decay: if options.decoupled {
                0.0
            } else {
                options.weight_decay
            },
            kept: if options.decoupled {
                1.0 - learning_rate * options.weight_decay
            } else {
                1.0
            },
            size: learning_rate / (1.0 - options.beta1.powi(steps)),
            correction: (1.0 - options.beta2.powi(steps)).sqrt(),
        }
    }

    fn apply(
        &self,
        parameter: &mut Tensor,
        gradient: &Tensor,
        moments: &mut Moments,
    ) -> Result<(), TchError> {
        let Moments { mean, square, .. } = moments;
        let done = match parameter.device() {
            Device::Cpu => memory::with_values(gradient, |gradient| {
                memory::with_values_mut(parameter, |weights| {
                    memory::with_values_mut(mean, |mean| {
                        memory::with_values_mut(square, |square| {
                            self.apply_slices(weights, gradient, mean, square);
                        })
                    })
                })
            })?,
            _ => None,
        };
        match done {
            Some(Some(Some(()))) => Ok(()),
            _ => self.apply_tensors(parameter, gradient, moments),
        }
    }

    /// The step in one pass over all numbers.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the parameters are float32, as in PyTorch"
    )]
    fn apply_slices(
        &self,
        weights: &mut [f32],
        gradient: &[f32],
        mean: &mut [f32],
        square: &mut [f32],
    ) {
        let (beta2, epsilon) = (self.beta2 as f32, self.epsilon as f32);
        let (rest1, rest2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (decay, kept, size, correction) = (
            self.coupled_decay as f32,
            self.kept as f32,
            self.size as f32,
            self.correction as f32,
        );
        let chunks = weights
            .par_chunks_mut(NUMBERS_AT_ONCE)
            .zip(gradient.par_chunks(NUMBERS_AT_ONCE));
        let state = mean
            .par_chunks_mut(NUMBERS_AT_ONCE)
            .zip(square.par_chunks_mut(NUMBERS_AT_ONCE));
        chunks
            .zip(state)
            .for_each(|((weights, gradient), (mean, square))| {
                for (((weight, gradient), mean), square) in
                    weights.iter_mut().zip(gradient).zip(mean).zip(square)
                {
                    let slope = gradient + decay * *weight;
                    *mean += rest1 * (slope - *mean);
                    *square = beta2 * *square + rest2 * slope * slope;
                    *weight =
                        kept * *weight - size * *mean / (square.sqrt() / correction + epsilon);
                }
            });
    }

    /// The same in libtorch's operations, for parameters on a device.
    fn apply_tensors(
        &self,
        parameter: &mut Tensor,
        gradient: &Tensor,
        moments: &mut Moments,
    ) -> Result<(), TchError> {
        let slope = gradient.f_add(&(&*parameter * self.coupled_decay))?;
        let _ = moments.mean.f_lerp_(&slope, 1.0 - self.beta1)?;
        let _ = moments.square.f_mul_scalar_(self.beta2)?;
        let _ = moments
            .square
            .f_add_(&(slope.f_square()? * (1.0 - self.beta2)))?;
        let divisor = (moments.square.f_sqrt()? / self.correction).f_add_scalar(self.epsilon)?;
        let _ = parameter.f_mul_scalar_(self.kept)?;
        let _ = parameter.f_sub_(&(moments.mean.f_div(&divisor)? * self.size))?;
        Ok(())
    }
}

/// Scales the gradients down so that the norm of all of them is at most `limit`; the norm before that, as
/// `torch.nn.utils.clip_grad_norm_` gives it. A norm that is NaN or infinite is returned and nothing scaled.
///
/// # Errors
/// libtorch failed.
pub fn clip_gradient_norm(gradients: &mut [Option<Tensor>], limit: f64) -> Result<f64, TchError> {
    tch::no_grad(|| {
        let norms: Vec<Tensor> = gradients
            .iter()
            .flatten()
            .map(Tensor::f_norm)
            .collect::<Result<_, _>>()?;
        if norms.is_empty() {
            return Ok(0.0);
        }
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
        let scale = limit / (norm + 1e-6);
        if scale < 1.0 && norm.is_finite() {
            for gradient in gradients.iter_mut().flatten() {
                let _ = gradient.f_mul_scalar_(scale)?;
            }
        }
        Ok(norm)
    })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    /// The computation for a GPU, done on the CPU, gives the same numbers.
    #[test]
    fn slices_and_tensors_agree() {
        for decoupled in [false, true] {
            let options = AdamOptions {
                weight_decay: 0.1,
                decoupled,
                ..AdamOptions::default()
            };
            let start = || Tensor::from_slice(&[1.0_f32, -2.0, 0.5]);
            let (mut one, mut other) = (start(), start());
            let zeros = || Tensor::zeros([3], (Kind::Float, Device::Cpu));
            let mut moments = [(); 2].map(|()| Moments {
                steps: 0,
                mean: zeros(),
                square: zeros(),
            });
            for steps in 1..20_i64 {
                let update = Update::new(&options, 1e-2, steps.unsigned_abs());
                let gradient = Tensor::from_slice(&[0.1_f32, -3.0, 1e-4]) * steps;
                update.apply(&mut one, &gradient, &mut moments[0]).unwrap();
                update
                    .apply_tensors(&mut other, &gradient, &mut moments[1])
                    .unwrap();
            }
            assert!((one - other).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
