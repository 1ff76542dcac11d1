//! Heads on activations in a device's memory, here the CPU's: the numbers are those of the kernels,
//! and those of several heads as one are those of each alone.

use std::collections::BTreeMap;

use cache::StoreDtype;
use shared::tasks::NO_TARGET;
use tch::{Device, Kind, Tensor};
use trainer::activations::Batch;
use trainer::head::{self, AnyHead, Dropout, HeadOptions};
use trainer::optimiser::{Adam, AdamOptions, GroupAdam, Member, Rates, clip_gradient_norm};

use super::{HEADS, Input, options, started};

/// What both may differ by, relative to the largest number of a tensor.
const TOLERANCE: f64 = 1e-5;

/// The batch of `input` with its rows as a tensor.
pub(super) fn on_device(input: &Input) -> Batch<'static> {
    let kind = match input.dtype {
        StoreDtype::F16 => Kind::Half,
        StoreDtype::Bf16 => Kind::BFloat16,
        _ => Kind::Float,
    };
    let (layers, hidden) = input.shape;
    let tokens = *input.offsets.last().unwrap();
    let shape = [tokens, layers, hidden].map(|size| size as i64);
    let rows = Tensor::from_data_size(&input.rows, &shape, kind).to_kind(Kind::Float);
    Batch::on_device(rows, &input.offsets, input.dtype).unwrap()
}

pub(super) fn assert_near(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.size(), expected.size(), "{what}");
    if got.numel() == 0 {
        return;
    }
    let scale = expected.abs().max().double_value(&[]);
    let difference = (got.detach() - expected).abs().max().double_value(&[]);
    // The floor is for gradients that are nothing but rounding.
    assert!(
        difference <= tolerance * scale.max(1e-2),
        "{what}: differs by {difference}, of {scale}"
    );
}

/// Compares everything that a head makes of two batches.
pub(super) fn assert_same(
    name: &str,
    head: &AnyHead,
    one: &Batch<'_>,
    other: &Batch<'_>,
    targets: &[i64],
) {
    let logits = |batch| head.logits(batch).unwrap();
    assert_near(
        &format!("{name}: logits"),
        &logits(one),
        &logits(other),
        TOLERANCE,
    );
    let attention = |batch| head.layer_attention(batch).unwrap();
    match (attention(one), attention(other)) {
        (Some(one), Some(other)) => {
            assert_near(&format!("{name}: attention"), &one, &other, TOLERANCE);
        }
        (None, None) => {}
        _ => panic!("{name}: attention with one of them only"),
    }
    for dropout in [None, Some(Dropout::at(3, 5))] {
        let learned = |batch| {
            head.loss_and_gradients(batch, targets, dropout.clone())
                .unwrap()
        };
        let (one, other) = (learned(one), learned(other));
        assert!(
            (one.loss - other.loss).abs() <= TOLERANCE * other.loss.max(1e-9),
            "{name}: loss {} for {}",
            one.loss,
            other.loss
        );
        let gradients = one.gradients.iter().zip(&other.gradients);
        for ((one, other), (parameter, _)) in gradients.zip(head.parameters()) {
            match (one, other) {
                (Some(one), Some(other)) => {
                    assert_near(&format!("{name}: {parameter}"), one, other, TOLERANCE);
                }
                (None, None) => {}
                _ => panic!("{name}: {parameter} has a gradient with one of them only"),
            }
        }
    }
}

#[test]
fn every_head_computes_the_same_on_a_device() {
    for (number, input) in Input::all().iter().enumerate() {
        for name in HEADS {
            let (head, _) = started(name);
            let targets = input.targets(head.options().level);
            let what = format!("{name}, batch {number}");
            assert_same(&what, &*head, &on_device(input), &input.batch(), targets);
        }
    }
}

#[test]
fn a_merged_classifier_and_a_batch_without_labels_are_the_same_on_a_device() {
    let input = &Input::all()[0];
    for name in HEADS {
        let mut options = options(&format!("{name}.safetensors"));
        // Narrow enough for both ways of the classifier.
        for classifier_size in [0, 2, 64] {
            options.classifier_size = classifier_size;
            let head = head::build(&options, Device::Cpu, 3).unwrap();
            let targets = input.targets(options.level);
            let what = format!("{name}, classifier {classifier_size}");
            assert_same(&what, &*head, &on_device(input), &input.batch(), targets);
        }
        let head = head::build(&options, Device::Cpu, 3).unwrap();
        let none = vec![NO_TARGET; input.targets(options.level).len()];
        let result = head
            .loss_and_gradients(&on_device(input), &none, None)
            .unwrap();
        assert_eq!(result.loss, 0.0, "{name}");
        assert!(result.gradients.iter().all(Option::is_none), "{name}");
    }
}

#[test]
fn windows_and_empty_sequences_are_the_same_on_a_device() {
    let input = &Input::all()[0];
    // Sequences 1 and 2 are windows of one sentence.
    let pool = vec![0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    for name in ["scalar-mix-sequence", "adapter-sequence"] {
        let (head, _) = started(name);
        let pooled = |batch: Batch<'static>| batch.with_pool(pool.clone()).unwrap();
        let host = Batch::packed(input.rows.clone(), &input.offsets, input.shape, input.dtype);
        let targets = &input.sentence_targets[..11];
        let (device, host) = (pooled(on_device(input)), pooled(host.unwrap()));
        assert_same(name, &*head, &device, &host, targets);
    }
    for name in ["adapter-crf", "scalar-mix-crf", "last-crf"] {
        let (head, _) = started(name);
        let pooled = |batch: Batch<'static>| batch.with_pool(pool.clone()).unwrap();
        let host = Batch::packed(input.rows.clone(), &input.offsets, input.shape, input.dtype);
        let (device, host) = (pooled(on_device(input)), pooled(host.unwrap()));
        assert_same(name, &*head, &device, &host, &input.targets);
    }
    let mut offsets = input.offsets.clone();
    offsets.insert(3, offsets[3]);
    let with_empty = Input {
        dtype: input.dtype,
        rows: input.rows.clone(),
        shape: input.shape,
        offsets,
        targets: input.targets.clone(),
        sentence_targets: Vec::new(),
    };
    for name in [
        "adapter",
        "adapter-no-tailor-attention",
        "attention-fusion",
        "last",
    ] {
        let (head, _) = started(name);
        let (device, host) = (on_device(&with_empty), with_empty.batch());
        assert_same(name, &*head, &device, &host, &with_empty.targets);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows = || Tensor::zeros([3, 2, 8], (Kind::Float, Device::Cpu));
    for offsets in [
        vec![],
        vec![0],
        vec![0, 2],
        vec![0, 4],
        vec![1, 3],
        vec![0, 2, 1, 3],
    ] {
        let refused = Batch::on_device(rows(), &offsets, StoreDtype::F16);
        assert!(refused.is_err(), "{offsets:?}");
    }
    assert!(Batch::on_device(rows(), &[0, 3], StoreDtype::F16).is_ok());
}

/// Three heads of one shape, of different seeds.
fn three(options: &HeadOptions) -> Vec<Box<AnyHead>> {
    [1, 2, 3]
        .map(|seed| head::build(options, Device::Cpu, seed).unwrap())
        .into()
}

#[test]
fn heads_as_one_have_the_losses_and_gradients_of_each_alone() {
    let inputs = Input::all();
    for (input, name) in inputs.iter().cycle().zip(HEADS) {
        let mut options = options(&format!("{name}.safetensors"));
        for classifier_size in [0, 2, 64] {
            options.classifier_size = classifier_size;
            let heads = three(&options);
            let grouped = |place: usize| {
                let all = heads.iter().map(|head| head.parameters()[place].1.detach());
                let grouped = Tensor::stack(&all.collect::<Vec<_>>(), 0);
                (
                    heads[0].parameters()[place].0.clone(),
                    grouped.set_requires_grad(true),
                )
            };
            let parameters = (0..heads[0].parameters().len()).map(grouped).collect();
            let group = head::build_group(&options, Device::Cpu, parameters).unwrap();
            let targets = input.targets(options.level);
            let dropouts: Vec<Dropout> = (0..3).map(|seed| Dropout::at(seed, 7)).collect();
            let learned = group
                .losses_and_gradients(
                    &on_device(input),
                    targets,
                    Some(Dropout::for_group(dropouts.clone())),
                )
                .unwrap();
            assert_eq!(learned.loss.size(), [3], "{name}");
            for (place, (head, dropout)) in heads.iter().zip(dropouts).enumerate() {
                let alone = head
                    .loss_and_gradients(&input.batch(), targets, Some(dropout))
                    .unwrap();
                let loss = learned.loss.double_value(&[place as i64]);
                assert!(
                    (loss - alone.loss).abs() <= TOLERANCE * alone.loss,
                    "{name}: {loss}"
                );
                let gradients = learned.gradients.iter().zip(&alone.gradients);
                for ((grouped, alone), (parameter, _)) in gradients.zip(head.parameters()) {
                    assert_eq!(
                        grouped.is_none(),
                        group.is_idle(parameter),
                        "{name}: {parameter}"
                    );
                    if let (Some(grouped), Some(alone)) = (grouped, alone) {
                        let own = grouped.select(0, place as i64);
                        assert_near(&format!("{name}: {parameter}"), &own, alone, TOLERANCE);
                    }
                }
            }
        }
    }
}

/// Twenty-four steps of three heads with different learning rates and limits, as one and alone.
#[test]
fn heads_as_one_learn_what_each_learns_alone() {
    let inputs = Input::all();
    let devices: Vec<Batch<'_>> = inputs.iter().map(on_device).collect();
    let rates = |place: usize, step: u64| Rates {
        learning_rate: [1e-3, 3e-3, 1e-2][place],
        beta1: (step < 8).then_some(0.95),
        largest_norm: [f64::INFINITY, 1.0, 0.1][place],
    };
    for name in HEADS {
        let options = options(&format!("{name}.safetensors"));
        let adam = AdamOptions {
            weight_decay: 0.01,
            decoupled: true,
            ..AdamOptions::default()
        };
        let (alone, grouped) = (three(&options), three(&options));
        let new = |heads: &[Box<AnyHead>]| -> Vec<Adam> {
            heads
                .iter()
                .map(|head| Adam::new(head.parameters(), adam))
                .collect()
        };
        let (mut single, mut shared) = (new(&alone), new(&grouped));
        let mut group = None;
        for step in 0..24 {
            // As at the beginning of an epoch, heads are put grouped anew.
            if step % 10 == 0 {
                let members = grouped.iter().zip(&mut shared);
                let mut members: Vec<Member<'_>> = members
                    .map(|(head, optimiser)| Member {
                        parameters: head.parameters(),
                        optimiser,
                    })
                    .collect();
                let grouped =
                    GroupAdam::from_members(&mut members, |name| grouped[0].is_idle(name)).unwrap();
                let parameters = grouped.parameters().unwrap();
                group = Some((
                    head::build_group(&options, Device::Cpu, parameters).unwrap(),
                    grouped,
                ));
            }
            let (head, grouped) = group.as_mut().unwrap();
            let place = step as usize % 3;
            let targets = inputs[place].targets(options.level);
            let dropouts = (0..3).map(|seed| Dropout::at(seed, step));
            let learned = head
                .losses_and_gradients(&devices[place], targets, Some(Dropout::for_group(dropouts)))
                .unwrap();
            let all: Vec<Rates> = (0..3).map(|head| rates(head, step)).collect();
            let norms = grouped.step(&learned.gradients, &all).unwrap();
            shared.iter_mut().for_each(Adam::count_step);
            for (index, head) in alone.iter().enumerate() {
                let mut own = head
                    .loss_and_gradients(
                        &inputs[place].batch(),
                        targets,
                        Some(Dropout::at(index as u64, step)),
                    )
                    .unwrap();
                let rates = rates(index, step);
                let norm = clip_gradient_norm(&mut own.gradients, rates.largest_norm).unwrap();
                single[index]
                    .step(
                        head.parameters(),
                        &own.gradients,
                        rates.learning_rate,
                        rates.beta1,
                    )
                    .unwrap();
                for (what, grouped, alone) in
                    [("loss", &learned.loss, own.loss), ("norm", &norms, norm)]
                {
                    let grouped = grouped.double_value(&[index as i64]);
                    assert!(
                        (grouped - alone).abs() <= 1e-4 * alone,
                        "{name}, head {index}, step {step}: {what} {grouped} for {alone}"
                    );
                }
            }
        }
        compare_states(name, &alone, &single, &grouped, &shared);
    }
}

/// Parameters and optimisers' states are where a checkpoint looks for them.
fn compare_states(
    name: &str,
    alone: &[Box<AnyHead>],
    single: &[Adam],
    grouped: &[Box<AnyHead>],
    shared: &[Adam],
) {
    for index in 0..3 {
        let parameters = alone[index]
            .parameters()
            .iter()
            .zip(grouped[index].parameters());
        for ((parameter, alone), (_, grouped)) in parameters {
            // Gradients that are nothing but rounding become steps of full size.
            let rounding =
                parameter.ends_with("key_projector.bias") || parameter.ends_with("in_proj_bias");
            if !rounding {
                assert_near(
                    &format!("{name}: {parameter}"),
                    &grouped.detach(),
                    &alone.detach(),
                    1e-3,
                );
            }
        }
        let state = |adam: &Adam| -> BTreeMap<String, Tensor> {
            adam.state().unwrap().into_iter().collect()
        };
        let (single, shared) = (state(&single[index]), state(&shared[index]));
        assert_eq!(
            single.keys().collect::<Vec<_>>(),
            shared.keys().collect::<Vec<_>>(),
            "{name}"
        );
        for (key, value) in &single {
            if value.kind() == Kind::Int64 {
                assert_eq!(value, &shared[key], "{name}: {key}");
            }
        }
    }
}
