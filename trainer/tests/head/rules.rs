//! Rules every head keeps, whatever its numbers: dropout is fair and repeats with its seed, sequences do not see each
//! other, what is not labelled teaches nothing, and what does not fit is said.

use cache::StoreDtype;
use shared::tasks::NO_TARGET;
use tch::Device;
use trainer::activations::Batch;
use trainer::head::{self, Dropout, HeadError, HeadKind, HeadOptions, Level};

use super::{HEADS, Input, assert_close, options, started, train};

#[test]
fn training_with_dropout_repeats_bit_by_bit_and_another_seed_differs() {
    let inputs = Input::all();
    for kind in ["adapter", "attention-fusion", "scalar-mix", "concat:0,9"] {
        let run = |seed: u64| {
            let options = HeadOptions::new(kind.parse().unwrap(), vec![0, 3, 6, 9], 32, 5);
            let head = head::build(&options, Device::Cpu, seed).unwrap();
            train(&*head, &inputs, 12, Some(seed))
        };
        let first = run(1);
        assert_eq!(first, run(1), "{kind}");
        assert_ne!(first, run(2), "{kind}");
    }
}

#[test]
fn dropout_is_fair_and_off_in_logits() {
    // The mean loss over many masks is near the loss without, and no mask gives the same.
    let inputs = Input::all();
    let mut options = options("adapter.safetensors");
    options.dropout = 0.1;
    let head = head::build(&options, Device::Cpu, 3).unwrap();
    let (batch, targets) = (inputs[0].batch(), &inputs[0].targets);
    let loss = |dropout| {
        head.loss_and_gradients(&batch, targets, dropout)
            .unwrap()
            .loss
    };
    let losses: Vec<f64> = (0..50)
        .map(|step| loss(Some(Dropout::at(1, step))))
        .collect();
    let (without, mean) = (loss(None), losses.iter().sum::<f64>() / 50.0);
    assert!(losses.iter().all(|loss| (loss - without).abs() > 1e-9));
    assert!(
        (mean - without).abs() < 0.05 * without,
        "{mean} for {without}"
    );
    assert_eq!(head.logits(&batch).unwrap(), head.logits(&batch).unwrap());
}

#[test]
fn sequences_do_not_see_each_other() {
    let input = &Input::all()[1];
    for name in HEADS {
        let (head, _) = started(name);
        let grouped = head.logits(&input.batch()).unwrap();
        let row = input.shape.0 * input.dtype.vector_bytes(input.shape.1);
        for (sequence, pair) in input.offsets.windows(2).enumerate() {
            let bytes = &input.rows[pair[0] * row..pair[1] * row];
            let alone =
                Batch::packed(bytes, &[0, pair[1] - pair[0]], input.shape, input.dtype).unwrap();
            let own = match head.options().level {
                Level::Token => grouped.narrow(0, pair[0] as i64, (pair[1] - pair[0]) as i64),
                Level::Sentence => grouped.narrow(0, sequence as i64, 1),
            };
            assert_close(
                &format!("{name}: sequence {sequence}"),
                &own,
                &head.logits(&alone).unwrap(),
            );
        }
    }
}

#[test]
fn windows_of_a_sentence_are_pooled_together() {
    let input = &Input::all()[0];
    let (head, _) = started("scalar-mix-sequence");
    // Sequences 1 and 2 are windows of one sentence: the same as one sequence, as no token looks at another.
    let pool = vec![0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let pooled = head
        .logits(&input.batch().with_pool(pool).unwrap())
        .unwrap();
    let mut offsets = input.offsets.clone();
    offsets.remove(2);
    let whole = Batch::packed(input.rows.as_slice(), &offsets, input.shape, input.dtype).unwrap();
    assert_close("pooled", &pooled, &head.logits(&whole).unwrap());
    for bad in [
        vec![0; 3],
        vec![1; 12],
        vec![0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    ] {
        assert!(input.batch().with_pool(bad).is_err());
    }
}

/// A field goes over the words of a sentence, however many windows it is in. No token looks at another
/// in these heads.
#[test]
fn a_field_goes_over_all_windows_of_a_sentence() {
    let input = &Input::all()[0];
    let mut offsets = input.offsets.clone();
    offsets.remove(2);
    let whole = Batch::packed(input.rows.as_slice(), &offsets, input.shape, input.dtype).unwrap();
    let pool = vec![0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let pooled = input.batch().with_pool(pool).unwrap();
    for name in ["attention-fusion-crf", "scalar-mix-crf", "last-crf"] {
        let (head, _) = started(name);
        let learned = |batch: &Batch<'_>| {
            let result = head
                .loss_and_gradients(batch, &input.targets, None)
                .unwrap();
            let gradient = result.gradients.last().unwrap().as_ref().unwrap().copy();
            (result.loss, gradient)
        };
        let (one, other) = (learned(&pooled), learned(&whole));
        assert!(
            (one.0 - other.0).abs() < 1e-6,
            "{name}: {} {}",
            one.0,
            other.0
        );
        assert_close(name, &one.1, &other.1);
        let parted = learned(&input.batch());
        assert!((one.0 - parted.0).abs() > 1e-5, "{name}: {}", parted.0);
    }
}

#[test]
fn a_batch_without_labels_teaches_nothing() {
    let input = &Input::all()[0];
    for name in HEADS {
        let (head, _) = started(name);
        let targets = vec![NO_TARGET; input.targets(head.options().level).len()];
        let result = head
            .loss_and_gradients(&input.batch(), &targets, None)
            .unwrap();
        assert_eq!(result.loss, 0.0);
        assert!(result.gradients.iter().all(Option::is_none), "{name}");
    }
}

#[test]
fn a_sequence_without_tokens_does_no_harm() {
    let input = &Input::all()[0];
    for name in ["adapter", "adapter-no-tailor-attention", "adapter-sequence"] {
        let (head, _) = started(name);
        let mut offsets = input.offsets.clone();
        offsets.insert(3, offsets[3]);
        let batch =
            Batch::packed(input.rows.as_slice(), &offsets, input.shape, input.dtype).unwrap();
        let mut targets = input.targets(head.options().level).to_vec();
        if head.options().level == Level::Sentence {
            targets.insert(3, NO_TARGET);
        }
        let expected = head
            .loss_and_gradients(&input.batch(), input.targets(head.options().level), None)
            .unwrap();
        let got = head.loss_and_gradients(&batch, &targets, None).unwrap();
        assert!((got.loss - expected.loss).abs() < 1e-6, "{name}");
        for (got, expected) in got.gradients.iter().zip(&expected.gradients) {
            if let (Some(got), Some(expected)) = (got, expected) {
                assert_close(name, got, expected);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let input = &Input::all()[0];
    let (head, _) = started("adapter");
    let batch = input.batch();
    let error = |targets: &[i64]| {
        head.loss_and_gradients(&batch, targets, None)
            .err()
            .unwrap()
    };
    assert!(matches!(
        error(&input.targets[1..]),
        HeadError::Targets {
            expected: 70,
            got: 69
        }
    ));
    let mut wrong = input.targets.clone();
    wrong[4] = 5;
    assert!(matches!(
        error(&wrong),
        HeadError::Class { got: 5, classes: 5 }
    ));

    let two_layers =
        Batch::packed(vec![0; 2 * 2 * 32 * 4], &[0, 2], (2, 32), StoreDtype::F32).unwrap();
    let error = head.logits(&two_layers).unwrap_err();
    assert!(
        error.to_string().contains("[4 layers, 32 hidden]"),
        "{error}"
    );

    let options = HeadOptions::new(HeadKind::Layer(4), vec![0, 3, 6, 9], 32, 5);
    let error = head::build(&options, Device::Cpu, 1).err().unwrap();
    assert!(error.to_string().contains("layer 4"), "{error}");
    assert!(Batch::packed(vec![0; 5], &[0, 2], (2, 32), StoreDtype::F32).is_err());
    assert!(Batch::packed(vec![], &[0], (2, 32), StoreDtype::F32).is_err());
}

#[test]
fn fresh_parameters_start_as_pytorchs_do() {
    let options = HeadOptions::new(HeadKind::Adapter, (0..13).collect(), 768, 9);
    let head = head::build(&options, Device::Cpu, 1).unwrap();
    let same = head::build(&options, Device::Cpu, 1).unwrap();
    let other = head::build(&options, Device::Cpu, 2).unwrap();
    let xavier = (6.0_f64 / 64.0).sqrt();
    let linear = (1.0_f64 / 768.0).sqrt();
    for (index, (name, tensor)) in head.parameters().iter().enumerate() {
        assert_eq!(tensor, &same.parameters()[index].1, "{name}");
        let (low, high) = (
            tensor.min().double_value(&[]),
            tensor.max().double_value(&[]),
        );
        let bound = match name.as_str() {
            name if name.ends_with("in_proj_bias")
                || name.ends_with("out_proj.bias")
                || name.ends_with("FF.0.bias") =>
            {
                0.0
            }
            name if name.ends_with("in_proj_weight") => xavier,
            name if name.ends_with("out_proj.weight") => (6.0_f64 / 32.0).sqrt(),
            name if name.ends_with("dim_reducer.weight") => (6.0_f64 / 784.0).sqrt(),
            name if name.starts_with("classifier.pip.1") => 1.0 / 16.0,
            name if name.ends_with("FF.0.weight") => {
                assert_eq!((low, high), (1.0, 1.0));
                continue;
            }
            _ => linear,
        };
        assert!(
            low >= -bound - 1e-7 && high <= bound + 1e-7,
            "{name}: {low} to {high} of {bound}"
        );
        if bound > 0.0 {
            // Matrices fill their range; a bias of 9 or 16 numbers may not.
            let least = if tensor.numel() > 200 { 1.9 } else { 0.5 };
            assert!(
                high - low > least * bound,
                "{name}: {low} to {high} of {bound}"
            );
            assert_ne!(tensor, &other.parameters()[index].1, "{name}");
        }
    }
}

/// The inputs after each other and again, as one batch of many parts.
pub(super) fn long(times: usize) -> Input {
    let mut long = Input::all().swap_remove(0);
    let (rows, offsets, targets, sentence_targets) = (
        long.rows.clone(),
        long.offsets.clone(),
        long.targets.clone(),
        long.sentence_targets.clone(),
    );
    for _ in 1..times {
        let last = long.offsets[long.offsets.len() - 1];
        long.rows.extend(&rows);
        long.offsets
            .extend(offsets[1..].iter().map(|offset| last + offset));
        long.targets.extend(&targets);
        long.sentence_targets.extend(&sentence_targets);
    }
    long
}

#[test]
fn a_batch_of_many_parts_is_the_same_on_any_number_of_threads() {
    let input = long(20);
    assert!(input.batch().parts().len() > 2);
    for name in HEADS {
        let (head, _) = started(name);
        let targets = input.targets(head.options().level);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            // The head goes to the pool's thread and back: it is not for several at once.
            let (batch, mut head) = (input.batch(), Some(started(name).0));
            pool.build().unwrap().install(|| {
                let head = head.take().unwrap();
                let dropout = Some(Dropout::at(4, 2));
                let result = head.loss_and_gradients(&batch, targets, dropout).unwrap();
                (result.loss, result.gradients, head.logits(&batch).unwrap())
            })
        };
        let (loss, gradients, logits) = on(1);
        for threads in [2, 3] {
            let other = on(threads);
            assert_eq!((loss, &logits), (other.0, &other.2), "{name}");
            assert!(gradients == other.1, "{name}: gradients");
        }
    }
}

#[test]
fn the_parts_of_a_batch_add_up_to_the_whole() {
    let (one, many) = (&Input::all()[0], long(20));
    for name in HEADS {
        let (head, _) = started(name);
        let of = |input: &Input| {
            let targets = input.targets(head.options().level);
            head.loss_and_gradients(&input.batch(), targets, None)
                .unwrap()
        };
        // The same twenty times over has the same mean.
        let (one, many) = (of(one), of(&many));
        assert!((one.loss - many.loss).abs() < 1e-5 * one.loss, "{name}");
        for ((parameter, _), (one, many)) in head
            .parameters()
            .iter()
            .zip(one.gradients.iter().zip(&many.gradients))
        {
            match (one, many) {
                (Some(one), Some(many)) => assert_close(parameter, many, one),
                (one, many) => assert!(one.is_none() && many.is_none(), "{name}: {parameter}"),
            }
        }
    }
}
