//! Adam for a head group: heads of one shape that are computed as one on a device. All their
//! parameters are one matrix `[heads, numbers]`, and so are both moments, so that a step is eleven
//! operations however many parameters and heads there are. The heads' own parameters and their
//! optimisers' state become views into these matrices: a head that is saved or scored is up to date.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::{Adam, AdamOptions, Update};
use crate::activations::memory::upload;

/// Numbers in 128 bytes, the alignment at which cuBLAS reads a matrix fastest.
const ALIGNED: i64 = 32;

/// One of the heads.
pub struct Member<'a> {
    /// Its parameters.
    pub parameters: &'a [(String, Tensor)],
    /// Its optimiser.
    pub optimiser: &'a mut Adam,
}

/// The settings of one head's step.
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
pub struct GroupAdam {
    /// `[heads, numbers]` each.
    weights: Tensor,
    mean: Tensor,
    square: Tensor,
    /// Zeros in place of missing gradients, `[heads, numbers]`, by their number.
    zeros: BTreeMap<i64, Tensor>,
    heads: i64,
    parts: Vec<Part>,
    /// Places of the parameters that are learned, in the order of their columns.
    learned: Vec<usize>,
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

impl GroupAdam {
    /// The optimiser of a group of heads of one shape; `is_idle` tells the parameters that are never
    /// learned.
    ///
    /// # Errors
    /// libtorch has no memory.
    pub fn from_members(
        members: &mut [Member<'_>],
        is_idle: impl Fn(&str) -> bool,
    ) -> Result<Self, TchError> {
        tch::no_grad(|| {
            let group = Self::allocate(members, is_idle)?;
            for (head, member) in (0_i64..).zip(members) {
                group.adopt(head, member)?;
            }
            Ok(group)
        })
    }

    /// Matrices for the parameters: those whose sizes are multiples of [`ALIGNED`] first, so that
    /// products of matrices find them at aligned addresses.
    fn allocate(members: &[Member<'_>], is_idle: impl Fn(&str) -> bool) -> Result<Self, TchError> {
        let parameters = members.first().map_or(&[] as &[_], |one| one.parameters);
        let mut learned: Vec<usize> = (0..parameters.len())
            .filter(|&place| !is_idle(&parameters[place].0))
            .collect();
        let numbers = |place: usize| i64::try_from(parameters[place].1.numel()).unwrap_or(i64::MAX);
        learned.sort_by_key(|&place| numbers(place) % ALIGNED != 0);
        let mut width = 0;
        let mut columns = BTreeMap::new();
        for &place in &learned {
            columns.insert(place, width);
            width += numbers(place);
        }
        let mut parts = Vec::new();
        for (place, (name, tensor)) in parameters.iter().enumerate() {
            let all = members.iter().map(|member| &member.parameters[place].1);
            parts.push(Part {
                name: name.clone(),
                shape: tensor.size(),
                place: match columns.get(&place) {
                    Some(&first) => Place::Columns(first),
                    None => Place::Idle(Tensor::f_stack(&all.collect::<Vec<_>>(), 0)?),
                },
            });
        }
        let heads = i64::try_from(members.len()).unwrap_or(i64::MAX);
        let device = parameters
            .first()
            .map_or(Device::Cpu, |(_, one)| one.device());
        let zeros = |columns: i64| Tensor::f_zeros([heads, columns], (Kind::Float, device));
        let aligned = (width + ALIGNED - 1) / ALIGNED * ALIGNED;
        Ok(Self {
            weights: zeros(aligned)?,
            mean: zeros(aligned)?,
            square: zeros(aligned)?,
            zeros: BTreeMap::new(),
            heads,
            parts,
            learned,
            steps: members.iter().map(|one| one.optimiser.steps()).collect(),
            options: members.iter().map(|one| one.optimiser.options).collect(),
        })
    }

    /// Copies a head's parameters and state into the matrices, and makes them views into these.
    fn adopt(&self, head: i64, member: &mut Member<'_>) -> Result<(), TchError> {
        for &place in &self.learned {
            let part = &self.parts[place];
            let Place::Columns(first) = part.place else {
                continue;
            };
            let moved = |values: &Tensor, matrix: &Tensor| {
                let row = matrix.f_select(0, head)?;
                let columns = row.f_narrow(0, first, part.numbers())?;
                let mut own = columns.f_view(part.shape.as_slice())?;
                own.f_copy_(values)?;
                Ok::<_, TchError>(own)
            };
            let parameter = &member.parameters[place].1;
            let weights = moved(&parameter.f_detach()?, &self.weights)?;
            // Another handle to the same tensor, which the head's layers hold too.
            parameter.shallow_clone().f_set_data(&weights)?;
            let moments = member.optimiser.moments_of(place, parameter)?;
            moments.mean = moved(&moments.mean, &self.mean)?;
            moments.square = moved(&moments.square, &self.square)?;
        }
        Ok(())
    }

    /// The device that it is computed on.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weights.device()
    }

    /// Names and values `[heads, ..]` of the parameters, for [`crate::head::build_group`]; of a
    /// single head without that dimension, as products of two matrices are fewer operations than
    /// those of many.
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
            let values = match self.heads {
                1 => values.f_select(0, 0)?,
                _ => values,
            };
            let leaf = values.f_detach()?.f_set_requires_grad(true)?;
            Ok((part.name.clone(), leaf))
        };
        self.parts.iter().map(parameter).collect()
    }

    /// A step of every head down its gradients, which are in the order of the parameters and are
    /// clipped first. Returns the norms before that `[heads]`, still on the device. A head whose
    /// numbers are NaN changes no other head.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn step(
        &mut self,
        gradients: &[Option<Tensor>],
        rates: &[Rates],
    ) -> Result<Tensor, TchError> {
        let pieces = |gradient: &Option<Tensor>| {
            let pieces = gradient.iter().map(Tensor::shallow_clone);
            pieces.collect()
        };
        let pieces: Vec<Vec<Tensor>> = gradients.iter().map(pieces).collect();
        self.step_in_pieces(&pieces, rates)
    }

    /// The same with gradients as [`crate::head::Head::learn`] gives them.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn step_in_pieces(
        &mut self,
        gradients: &[Vec<Tensor>],
        rates: &[Rates],
    ) -> Result<Tensor, TchError> {
        tch::no_grad(|| {
            let mut gradient = self.matrix(gradients)?;
            let norms = gradient.f_frobenius_norm([1], true)?;
            let steps: Vec<Step> = self.steps(rates);
            let [rest1, rest2, kept, clip, slope, floor, rise, one] = self.columns(&steps)?;
            if steps.iter().any(|step| step.slope > 0.0) {
                let mut divisor = clip.f_addcmul(&norms, &slope)?;
                let _ = gradient.f_div_(&divisor.f_clamp_min_tensor_(&one)?)?;
            }
            let _ = self.mean.f_lerp_tensor_(&gradient, &rest1)?;
            let _ = self.square.f_lerp_tensor_(&gradient.f_square()?, &rest2)?;
            if steps.iter().any(|step| (step.kept - 1.0).abs() > 0.0) {
                let _ = self.weights.f_mul_(&kept)?;
            }
            let divisor = floor.f_addcmul(&self.square.f_sqrt()?, &rise)?;
            let _ = self.weights.f_addcdiv_(&self.mean, &divisor)?;
            norms.f_squeeze_dim(1)
        })
    }

    /// The gradients as a matrix `[heads, numbers]`.
    fn matrix(&mut self, gradients: &[Vec<Tensor>]) -> Result<Tensor, TchError> {
        let mut columns = Vec::new();
        for &place in &self.learned {
            let mut missing = self.parts[place].numbers();
            for piece in &gradients[place] {
                let piece = piece.f_reshape([self.heads, -1])?;
                missing -= piece.size()[1];
                columns.push(piece);
            }
            if missing > 0 {
                columns.push(zeros(
                    &mut self.zeros,
                    self.heads,
                    missing,
                    self.weights.device(),
                )?);
            }
        }
        let numbers: i64 = columns.iter().map(|piece| piece.size()[1]).sum();
        let unused = self.weights.size()[1] - numbers;
        if unused > 0 {
            columns.push(zeros(
                &mut self.zeros,
                self.heads,
                unused,
                self.weights.device(),
            )?);
        }
        Tensor::f_cat(&columns, 1)
    }

    /// Counts the step, and gives its numbers for each head.
    fn steps(&mut self, rates: &[Rates]) -> Vec<Step> {
        let heads = rates.iter().zip(&self.options).zip(&mut self.steps);
        let step = |((rates, options), steps): ((&Rates, &AdamOptions), &mut u64)| {
            *steps += 1;
            let options = AdamOptions {
                beta1: rates.beta1.unwrap_or(options.beta1),
                ..*options
            };
            let update = Update::new(&options, rates.learning_rate, *steps);
            Step::new(&update, rates.largest_norm)
        };
        heads.map(step).collect()
    }

    /// The numbers of the step, for each head its own `[heads, 1]`, and a one.
    fn columns(&self, steps: &[Step]) -> Result<[Tensor; 8], TchError> {
        let column = |number: fn(&Step) -> f32| steps.iter().map(number);
        let columns = column(|step| step.rest1)
            .chain(column(|step| step.rest2))
            .chain(column(|step| step.kept))
            .chain(column(|step| step.clip))
            .chain(column(|step| step.slope))
            .chain(column(|step| step.floor))
            .chain(column(|step| step.rise))
            .chain(column(|_| 1.0));
        let columns = Tensor::f_from_slice(&columns.collect::<Vec<_>>())?;
        let columns = upload(&columns, self.weights.device())?.f_view([8, self.heads, 1])?;
        let columns: Vec<Tensor> = columns.f_unbind(0)?;
        columns
            .try_into()
            .map_err(|_| TchError::Shape("a number for each head".to_owned()))
    }
}

/// Zeros `[heads, numbers]`, made once.
fn zeros(
    made: &mut BTreeMap<i64, Tensor>,
    heads: i64,
    numbers: i64,
    device: Device,
) -> Result<Tensor, TchError> {
    if let Some(zeros) = made.get(&numbers) {
        return Ok(zeros.shallow_clone());
    }
    let zeros = Tensor::f_zeros([heads, numbers], (Kind::Float, device))?;
    made.insert(numbers, zeros.shallow_clone());
    Ok(zeros)
}

/// The numbers of one head's step, in the form that needs the fewest operations.
struct Step {
    /// One minus beta1, and minus beta2.
    rest1: f32,
    rest2: f32,
    /// What remains of the weights before the step.
    kept: f32,
    /// The gradient is divided by `clip + slope * norm`, or by 1 if that is less; both are 0 where nothing is clipped.
    clip: f32,
    slope: f32,
    /// The mean is divided by `floor + rise * sqrt(square)`, negative, and added to the weights.
    floor: f32,
    rise: f32,
}

impl Step {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the parameters are float32, as in PyTorch"
    )]
    fn new(update: &Update, largest_norm: f64) -> Self {
        let size = -update.size;
        // The learning rate is 0, or too small to divide by.
        let (floor, rise) = if size.abs() < 1e-30 {
            (f64::INFINITY, 0.0)
        } else {
            (update.epsilon / size, 1.0 / (update.correction * size))
        };
        Self {
            rest1: (1.0 - update.beta1) as f32,
            rest2: (1.0 - update.beta2) as f32,
            kept: update.kept as f32,
            // As `torch.nn.utils.clip_grad_norm_` has it.
            clip: (1e-6 / largest_norm) as f32,
            slope: (1.0 / largest_norm) as f32,
            floor: floor as f32,
            rise: rise as f32,
        }
    }
}
