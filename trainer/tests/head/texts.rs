//! Heads of texts that have not one class each: their losses are those of their logits, their
//! gradients are the slopes of these, and a device, parts and head groups change nothing.

use shared::heads::forms;
use shared::tasks::{NO_TARGET, Output, number_target, sets, target_number};
use tch::{Device, Kind, Tensor};
use trainer::head::{self, Head, HeadOptions, Level};

use super::device::{assert_near, assert_same, on_device};
use super::{Input, assert_close};

const CLASSES: usize = 3;

/// A head of each kind with each of the outputs.
fn heads(seed: u64) -> Vec<(String, Box<dyn Head>)> {
    let examples = forms().flat_map(|form| form.examples);
    let mut heads = Vec::new();
    for example in examples.filter_map(|example| example.strip_prefix("--head ")) {
        let kind = example.split(' ').next().unwrap().parse();
        let Ok(kind) = kind else { continue };
        for output in [Output::Set, Output::Number] {
            let options = HeadOptions {
                level: Level::Sentence,
                output,
                ..HeadOptions::new(
                    Clone::clone(&kind),
                    vec![0, 3, 6, 9],
                    32,
                    output.width(CLASSES),
                )
            };
            if options.layers_read().is_err() {
                continue;
            }
            let head = head::build(&options, Device::Cpu, seed).unwrap();
            heads.push((format!("{example} {output:?}"), head));
        }
    }
    assert!(heads.len() >= 8, "{}", heads.len());
    heads
}

/// Targets of so many sentences, some of which have none.
fn targets(output: Output, sentences: usize) -> Vec<i64> {
    let of = |sentence: usize| match output {
        _ if sentence % 5 == 3 => vec![NO_TARGET; output.targets_of_row(CLASSES)],
        Output::Number => vec![number_target(sentence as f32 * 0.7 - 2.0)],
        _ => (0..CLASSES)
            .map(|class| i64::from((sentence * 7 + class * 3) % 4 < 2))
            .collect(),
    };
    (0..sentences).flat_map(of).collect()
}

/// The mean loss by its definition.
fn defined(output: Output, logits: &Tensor, targets: &[i64]) -> f64 {
    let logits = Vec::<f32>::try_from(logits.contiguous().view([-1])).unwrap();
    let losses: Vec<f64> = logits
        .iter()
        .zip(targets)
        .filter(|(_, target)| **target != NO_TARGET)
        .map(|(&logit, &target)| match output {
            Output::Number => {
                (f64::from(logit) - f64::from(target_number(target).unwrap())).powi(2)
            }
            _ if target == 1 => -sets::probability(logit).ln(),
            _ => -sets::probability(-logit).ln(),
        })
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn losses_are_those_of_the_logits_and_gradients_their_slopes() {
    let input = &Input::all()[0];
    let batch = input.batch();
    for (name, head) in heads(3) {
        let output = head.options().output;
        let targets = targets(output, input.offsets.len() - 1);
        let loss = || defined(output, &head.logits(&batch).unwrap(), &targets);
        let learned = head.loss_and_gradients(&batch, &targets, None).unwrap();
        assert!((learned.loss - loss()).abs() < 1e-5, "{name}: {}", loss());
        // Along the gradient the loss rises by its length.
        let gradients = learned.gradients.iter().flatten();
        let squares: f64 = gradients
            .map(|gradient| gradient.square().sum(Kind::Float).double_value(&[]))
            .sum();
        let step = 5e-3 / squares.sqrt();
        let go = |factor: f64| {
            tch::no_grad(|| {
                for ((_, parameter), gradient) in head.parameters().iter().zip(&learned.gradients) {
                    if let Some(gradient) = gradient {
                        let _ = parameter.shallow_clone().g_add_(&(gradient * factor));
                    }
                }
            });
        };
        go(step);
        let above = loss();
        go(-2.0 * step);
        let below = loss();
        go(step);
        let slope = (above - below) / (2.0 * step);
        assert!(
            (slope - squares).abs() < 0.02 * squares,
            "{name}: {slope} for {squares}"
        );
    }
}

#[test]
fn a_device_parts_and_groups_change_nothing() {
    let input = &Input::all()[0];
    let sentences = input.offsets.len() - 1;
    let others = heads(4);
    for ((name, head), (_, other)) in heads(3).into_iter().zip(&others) {
        let output = head.options().output;
        let targets = targets(output, sentences);
        assert_same(&name, &*head, &on_device(input), &input.batch(), &targets);

        let many = super::rules::long(20);
        let repeated = targets.repeat(20);
        let one = head
            .loss_and_gradients(&input.batch(), &targets, None)
            .unwrap();
        let whole = head
            .loss_and_gradients(&many.batch(), &repeated, None)
            .unwrap();
        assert!(many.batch().parts().len() > 2);
        assert!((one.loss - whole.loss).abs() < 1e-5 * one.loss, "{name}");
        for (one, whole) in one.gradients.iter().zip(&whole.gradients) {
            if let (Some(one), Some(whole)) = (one, whole) {
                assert_close(&name, whole, one);
            }
        }

        let both = |(one, other): (&(String, Tensor), &(String, Tensor))| {
            let both = Tensor::stack(&[one.1.detach(), other.1.detach()], 0);
            (one.0.clone(), both.set_requires_grad(true))
        };
        let parameters = head.parameters().iter().zip(other.parameters());
        let parameters = parameters.map(both).collect();
        let group = head::build_group(head.options(), Device::Cpu, parameters).unwrap();
        let together = group
            .losses_and_gradients(&on_device(input), &targets, None)
            .unwrap();
        for (place, head) in [&*head, &**other].into_iter().enumerate() {
            let alone = head
                .loss_and_gradients(&on_device(input), &targets, None)
                .unwrap();
            let loss = together.loss.double_value(&[place as i64]);
            assert!(
                (loss - alone.loss).abs() < 1e-5 * alone.loss.max(1e-3),
                "{name}"
            );
            for (group, alone) in together.gradients.iter().zip(&alone.gradients) {
                if let (Some(group), Some(alone)) = (group, alone) {
                    assert_near(&name, &group.get(place as i64), alone, 1e-4);
                }
            }
        }
    }
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let input = &Input::all()[0];
    for (name, head) in heads(3) {
        let output = head.options().output;
        let mut wrong = targets(output, input.offsets.len() - 1);
        wrong[0] = if output == Output::Set { 2 } else { -1 };
        let error = head.loss_and_gradients(&input.batch(), &wrong, None);
        assert!(error.is_err(), "{name}");
        wrong.pop();
        let error = head.loss_and_gradients(&input.batch(), &wrong, None);
        let error = error.err().unwrap().to_string();
        assert!(error.contains("targets for"), "{name}: {error}");
    }
}
