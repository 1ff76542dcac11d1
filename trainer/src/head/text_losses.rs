//! Losses of texts that have not one class each: binary cross-entropy of sets, squared error of
//! numbers. Logits are `[.., rows, outputs]`, of several heads where a dimension stands in front;
//! each head's loss is summed up over the rows and divided by the `labels` of the whole batch.

use shared::tasks::target_number;
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::activations::memory::upload;

/// Mean binary cross-entropy. A target is 1 for a class that is right, 0 for one that is not,
/// anything else for none: `[rows, classes]`.
pub(super) fn binary_cross_entropy(
    logits: &Tensor,
    targets: &[i64],
    labels: usize,
) -> Result<Tensor, TchError> {
    let is_right = |&target: &i64| (0..=1).contains(&target).then_some(f32::from(target == 1));
    let (gold, weights) = weighted(targets.iter().map(is_right), labels);
    let [gold, weights] = placed([gold, weights], logits, 2)?;
    let none = Reduction::None;
    let gold = gold.f_expand_as(logits)?;
    let losses = logits.f_binary_cross_entropy_with_logits::<&Tensor>(&gold, None, None, none)?;
    summed(&losses.f_mul(&weights)?)
}

/// Mean squared error. A target is what [`shared::tasks::number_target`] makes of a number:
/// `[rows]`; logits are `[.., rows, 1]`.
pub(super) fn squared_error(
    logits: &Tensor,
    targets: &[i64],
    labels: usize,
) -> Result<Tensor, TchError> {
    let (gold, weights) = weighted(targets.iter().map(|&target| target_number(target)), labels);
    let [gold, weights] = placed([gold, weights], logits, 2)?;
    let difference = logits.f_sub(&gold)?;
    summed(&difference.f_square()?.f_mul(&weights)?)
}

/// What is right at each place, 0 where there is nothing, and how much the place counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a share of a batch"
)]
fn weighted(gold: impl Iterator<Item = Option<f32>>, labels: usize) -> (Vec<f32>, Vec<f32>) {
    let share = (1.0 / labels.max(1) as f64) as f32;
    gold.map(|gold| gold.map_or((0.0, 0.0), |gold| (gold, share)))
        .unzip()
}

/// These values beside the logits: of the shape of their last dimensions, on their device.
fn placed(
    values: [Vec<f32>; 2],
    logits: &Tensor,
    dimensions: usize,
) -> Result<[Tensor; 2], TchError> {
    let sizes = logits.size();
    let shape = &sizes[sizes.len().saturating_sub(dimensions)..];
    let place = |values: &[f32]| {
        let tensor = Tensor::f_from_slice(values)?.f_view(shape)?;
        match logits.device() {
            Device::Cpu => Ok(tensor),
            device => upload(&tensor, device),
        }
    };
    let [one, other] = values;
    Ok([place(&one)?, place(&other)?])
}

/// The sum over rows and outputs, that of each head where there are several.
fn summed(losses: &Tensor) -> Result<Tensor, TchError> {
    losses.f_sum_dim_intlist([-2_i64, -1].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use shared::tasks::{NO_TARGET, number_target};

    use super::*;

    /// Made by `make_text_losses.py` with PyTorch.
    const PYTORCH: &str = include_str!("../../tests/fixtures/text_losses.json");

    #[derive(serde::Deserialize)]
    struct Case {
        logits: Vec<Vec<f32>>,
        /// None for a row without a label.
        sets: Vec<Option<Vec<i64>>>,
        numbers: Vec<Option<f32>>,
        binary_cross_entropy: f64,
        by_logits: Vec<Vec<f64>>,
        squared_error: f64,
        by_first_logits: Vec<f64>,
    }

    fn near(got: &Tensor, expected: &[f64]) {
        let got = Vec::<f32>::try_from(got.contiguous().view([-1])).unwrap();
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            let difference = (f64::from(*got) - expected).abs();
            assert!(
                difference < 1e-6 * expected.abs().max(1.0),
                "{got} {expected}"
            );
        }
    }

    /// The loss and its gradient, once for one head, once for two that are computed as one.
    fn check(logits: &Tensor, loss: impl Fn(&Tensor) -> Tensor, expected: f64, gradient: &[f64]) {
        let one = logits.copy().set_requires_grad(true);
        let got = loss(&one);
        near(&got, &[expected]);
        got.backward();
        near(&one.grad(), gradient);
        let two = Tensor::stack(&[logits, logits], 0).set_requires_grad(true);
        let got = loss(&two);
        near(&got, &[expected; 2]);
        got.sum(Kind::Float).backward();
        near(&two.grad(), &[gradient, gradient].concat());
    }

    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        let cases: Vec<Case> = serde_json::from_str(PYTORCH).unwrap();
        assert!(cases.len() > 3);
        for case in &cases {
            let classes = case.logits[0].len();
            let rows = i64::try_from(case.logits.len()).unwrap();
            let logits = Tensor::from_slice(&case.logits.concat()).view([rows, -1]);
            let sets = case
                .sets
                .iter()
                .flat_map(|set| set.clone().unwrap_or_else(|| vec![NO_TARGET; classes]));
            let sets: Vec<i64> = sets.collect();
            let labels = sets.iter().filter(|&&target| target != NO_TARGET).count();
            let loss = |logits: &Tensor| binary_cross_entropy(logits, &sets, labels).unwrap();
            check(
                &logits,
                loss,
                case.binary_cross_entropy,
                &case.by_logits.concat(),
            );

            let numbers = case.numbers.iter();
            let numbers: Vec<i64> = numbers
                .map(|number| number.map_or(NO_TARGET, number_target))
                .collect();
            let labels = numbers
                .iter()
                .filter(|&&target| target != NO_TARGET)
                .count();
            let first = logits.narrow(1, 0, 1);
            let loss = |logits: &Tensor| squared_error(logits, &numbers, labels).unwrap();
            check(&first, loss, case.squared_error, &case.by_first_logits);
        }
    }
}
