//! Adam, `AdamW`, clipping and the one-cycle schedule against PyTorch's (`fixtures/make_fixtures.py`), and state that
//! carries a training on.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, and the numbers are small"
)]

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::SafeTensors;
use tch::{Kind, Tensor};
use trainer::optimiser::{Adam, AdamOptions, StateError, clip_gradient_norm};
use trainer::schedule::{Schedule, ScheduleKind};
use trainer::weights;

struct Recorded {
    gradients: Tensor,
    weights: Tensor,
    norms: Vec<f64>,
    rates: Vec<f64>,
    betas: Vec<f64>,
}

fn recorded(name: &str) -> Recorded {
    // The tests already share the machine.
    tch::set_num_threads(1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optimiser.safetensors");
    let tensors: BTreeMap<String, Tensor> = weights::read(&path).unwrap().into_iter().collect();
    let doubles = |part: &str| -> Vec<f64> {
        let bytes = fs_err::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor(&format!("{name}.{part}")).unwrap();
        view.data()
            .chunks_exact(8)
            .map(|eight| f64::from_le_bytes(eight.try_into().unwrap()))
            .collect()
    };
    Recorded {
        gradients: tensors[&format!("{name}.gradients")].shallow_clone(),
        weights: tensors[&format!("{name}.weights")].shallow_clone(),
        norms: Vec::try_from(tensors[&format!("{name}.norms")].to_kind(Kind::Double)).unwrap(),
        rates: doubles("rates"),
        betas: doubles("betas"),
    }
}

fn start() -> Vec<(String, Tensor)> {
    let values: Vec<f64> = (0..50)
        .map(|place| -1.0 + 2.0 * f64::from(place) / 49.0)
        .collect();
    vec![(
        "weight".to_owned(),
        Tensor::from_slice(&values)
            .to_kind(Kind::Float)
            .view([5, 10]),
    )]
}

fn assert_close(what: &str, got: &Tensor, expected: &Tensor) {
    let difference = (got - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-6, "{what}: {difference}");
}

fn settings(name: &str) -> AdamOptions {
    AdamOptions {
        weight_decay: 0.1,
        decoupled: name == "adamw",
        ..AdamOptions::default()
    }
}

#[test]
fn steps_are_pytorchs() {
    for name in ["adam", "adamw"] {
        let recorded = recorded(name);
        let parameters = start();
        let mut adam = Adam::new(&parameters, settings(name));
        let schedule = Schedule::new(ScheduleKind::OneCycle, 1e-2, 37, None);
        for step in 0..37 {
            let size = schedule.at(step as u64);
            assert!(
                (size.learning_rate - recorded.rates[step]).abs() < 1e-12,
                "{name}, step {step}"
            );
            assert!(
                (size.beta1.unwrap() - recorded.betas[step]).abs() < 1e-12,
                "{name}, step {step}"
            );
            let mut gradients = [Some(recorded.gradients.get(step as i64).copy())];
            let norm = clip_gradient_norm(&mut gradients, 1.0).unwrap();
            assert!(
                (norm - recorded.norms[step]).abs() < 1e-5 * norm,
                "{name}, step {step}"
            );
            adam.step(&parameters, &gradients, size.learning_rate, size.beta1)
                .unwrap();
            assert_close(
                &format!("{name}, step {step}"),
                &parameters[0].1,
                &recorded.weights.get(step as i64),
            );
        }
    }
}

#[test]
fn state_from_a_file_goes_on_as_if_never_stopped() {
    let recorded = recorded("adam");
    let run = |from: usize, to: usize, parameters: &[(String, Tensor)], adam: &mut Adam| {
        for step in from..to {
            let gradients = [Some(recorded.gradients.get(step as i64).copy())];
            adam.step(parameters, &gradients, 1e-2, None).unwrap();
        }
    };
    let whole = start();
    run(0, 20, &whole, &mut Adam::new(&whole, settings("adam")));

    let halves = start();
    let mut first = Adam::new(&halves, settings("adam"));
    run(0, 11, &halves, &mut first);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("optimiser.safetensors");
    weights::save(&file, &first.state().unwrap(), &BTreeMap::new()).unwrap();
    let mut second = Adam::new(&halves, settings("adam"));
    second
        .set_state(&halves, weights::read(&file).unwrap())
        .unwrap();
    run(11, 20, &halves, &mut second);
    assert_eq!(whole[0].1, halves[0].1);
}

#[test]
fn state_of_another_head_is_refused() {
    let parameters = start();
    let mut adam = Adam::new(&parameters, AdamOptions::default());
    adam.step(
        &parameters,
        &[Some(Tensor::ones_like(&parameters[0].1))],
        0.1,
        None,
    )
    .unwrap();
    let state = || adam.state().unwrap();
    let others = vec![("other".to_owned(), parameters[0].1.shallow_clone())];
    let mut other = Adam::new(&others, AdamOptions::default());
    assert!(matches!(
        other.set_state(&others, state()),
        Err(StateError::Unknown(_))
    ));
    let smaller = vec![(
        "weight".to_owned(),
        Tensor::zeros([5], (Kind::Float, tch::Device::Cpu)),
    )];
    let mut other = Adam::new(&smaller, AdamOptions::default());
    assert!(matches!(
        other.set_state(&smaller, state()),
        Err(StateError::Shape { .. })
    ));
    let mut damaged = state();
    damaged.retain(|(name, _)| !name.ends_with("exp_avg_sq"));
    assert!(matches!(
        other.set_state(&parameters, damaged),
        Err(StateError::Missing(_))
    ));
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    let parameters = start();
    let before = parameters[0].1.copy();
    let mut adam = Adam::new(&parameters, settings("adamw"));
    adam.step(&parameters, &[None], 0.1, None).unwrap();
    assert_eq!(before, parameters[0].1);
    assert!(adam.state().unwrap().is_empty());
}

#[test]
fn gradients_are_clipped_over_all_of_them_together() {
    let pair = || {
        [
            Some(Tensor::from_slice(&[3.0_f32, 0.0])),
            None,
            Some(Tensor::from_slice(&[4.0_f32])),
        ]
    };
    let mut gradients = pair();
    assert_eq!(clip_gradient_norm(&mut gradients, 1.0).unwrap(), 5.0);
    assert!((gradients[0].as_ref().unwrap().double_value(&[0]) - 0.6).abs() < 1e-6);
    assert!((gradients[2].as_ref().unwrap().double_value(&[0]) - 0.8).abs() < 1e-6);
    let mut small = pair();
    clip_gradient_norm(&mut small, 10.0).unwrap();
    assert_eq!(small[2].as_ref().unwrap().double_value(&[0]), 4.0);
    let mut broken = [Some(Tensor::from_slice(&[f32::NAN, 1.0]))];
    assert!(clip_gradient_norm(&mut broken, 1.0).unwrap().is_nan());
    assert_eq!(broken[0].as_ref().unwrap().double_value(&[1]), 1.0);
}
