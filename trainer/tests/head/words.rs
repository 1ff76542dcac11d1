//! `--subword`: words of several tokens, against what a head makes of each token.

use shared::heads::Subword;
use shared::tasks::NO_TARGET;
use tch::{Kind, Tensor};
use trainer::activations::{Batch, BatchError};
use trainer::head::{Dropout, Head};

use super::device::{assert_same, on_device};
use super::{Input, assert_close, changed, started};

/// Heads of tokens: some mix the tokens of a sequence, some weigh layers, some do neither.
const HEADS: [&str; 6] = [
    "adapter",
    "adapter-no-tailor-attention",
    "attention-fusion",
    "scalar-mix",
    "last",
    "scalar-mix-crf",
];

/// Words that begin at the tokens with a label and go on to the next one, but not to the last token
/// of the sequence; tokens before them are words of their own without a label.
fn words(input: &Input) -> Vec<u32> {
    let mut words = vec![0_u32; input.targets.len()];
    for pair in input.offsets.windows(2) {
        let mut begun = None;
        for token in pair[0]..pair[1] {
            if input.targets[token] != NO_TARGET {
                begun = Some(token);
            }
            match begun {
                Some(begun) if token == begun || token + 1 < pair[1] => words[begun] += 1,
                Some(_) => {}
                None => words[token] = 1,
            }
        }
    }
    assert!(words.iter().any(|&length| length > 2));
    words
}

fn with_words(input: &Input) -> Batch<'_> {
    input.batch().with_words(words(input)).unwrap()
}

fn of(name: &str, subword: Subword) -> Box<dyn Head> {
    changed(name, |options| options.subword = subword).0
}

/// The logits of words at their first tokens, from those of all tokens.
fn pooled(logits: &Tensor, words: &[u32], subword: Subword) -> Tensor {
    let mut rows = Vec::new();
    for (token, &length) in words.iter().enumerate() {
        let all = logits.narrow(0, token as i64, i64::from(length.max(1)));
        rows.push(match subword {
            _ if length == 0 => all.get(0).zeros_like(),
            Subword::First => all.get(0),
            Subword::Last => all.get(i64::from(length) - 1),
            Subword::Mean => all.mean_dim([0].as_slice(), false, Kind::Float),
        });
    }
    Tensor::stack(&rows, 0)
}

#[test]
fn the_logits_of_words_are_those_of_their_tokens() {
    for input in &Input::all() {
        let words = words(input);
        for name in HEADS {
            let of_tokens = started(name).0.logits(&input.batch()).unwrap();
            for subword in [Subword::Last, Subword::Mean] {
                let found = of(name, subword).logits(&with_words(input)).unwrap();
                let what = format!("{name} {subword}");
                assert_close(&what, &found, &pooled(&of_tokens, &words, subword));
            }
            // The first one is as ever, at all tokens.
            let first = of(name, Subword::First);
            assert_eq!(first.logits(&with_words(input)).unwrap(), of_tokens);
        }
    }
}

/// The last token of each word is what its label moves to.
#[test]
fn learning_from_last_tokens_is_learning_from_labels_that_stand_there() {
    for input in &Input::all() {
        let mut moved = vec![NO_TARGET; input.targets.len()];
        for (token, &length) in words(input).iter().enumerate() {
            if input.targets[token] != NO_TARGET {
                moved[token + length as usize - 1] = input.targets[token];
            }
        }
        for name in HEADS {
            for dropout in [None, Some(Dropout::at(2, 7))] {
                let learn = |head: &dyn Head, batch: &Batch<'_>, targets: &[i64]| {
                    let found = head.loss_and_gradients(batch, targets, dropout.clone());
                    let found = found.unwrap();
                    (found.loss, found.gradients)
                };
                let last = of(name, Subword::Last);
                let (loss, gradients) = learn(&*last, &with_words(input), &input.targets);
                let (expected, plain) = learn(&*started(name).0, &input.batch(), &moved);
                assert!((loss - expected).abs() < 1e-6 * expected.abs(), "{name}");
                for (found, expected) in gradients.iter().zip(&plain) {
                    match (found, expected) {
                        (Some(found), Some(expected)) => assert_close(name, found, expected),
                        (None, None) => {}
                        _ => panic!("{name}: a gradient with one of them only"),
                    }
                }
            }
        }
    }
}

/// The mean cross-entropy of the logits at the labelled words.
fn loss_of(logits: &Tensor, targets: &[i64]) -> f64 {
    let reduction = tch::Reduction::Mean;
    let targets = Tensor::from_slice(targets);
    let logits = logits.to_kind(Kind::Double);
    let loss = logits.cross_entropy_loss::<&Tensor>(&targets, None, reduction, NO_TARGET, 0.0);
    loss.double_value(&[])
}

/// Loss and gradient of means: the slope of the plain loss along the gradient is its square norm.
#[test]
fn means_of_tokens_have_the_slope_that_their_gradient_says() {
    let input = &Input::all()[0];
    let words = words(input);
    for name in HEADS.iter().filter(|name| !name.ends_with("crf")) {
        let (mean, plain) = (of(name, Subword::Mean), started(name).0);
        let plain_loss = || {
            let logits = plain.logits(&input.batch()).unwrap();
            loss_of(&pooled(&logits, &words, Subword::Mean), &input.targets)
        };
        let found = mean.loss_and_gradients(&with_words(input), &input.targets, None);
        let found = found.unwrap();
        let expected = plain_loss();
        assert!((found.loss - expected).abs() < 1e-5 * expected, "{name}");

        let pairs = || plain.parameters().iter().zip(&found.gradients);
        let norm: f64 = pairs()
            .filter_map(|(_, gradient)| gradient.as_ref())
            .map(|gradient| (gradient * gradient).sum(Kind::Double).double_value(&[]))
            .sum();
        let step = 0.01 / norm.sqrt();
        let moved = |step: f64| {
            tch::no_grad(|| {
                for ((_, parameter), gradient) in pairs() {
                    if let Some(gradient) = gradient {
                        let _ = parameter.shallow_clone().g_add_(&(gradient * step));
                    }
                }
            });
        };
        moved(step);
        let above = plain_loss();
        moved(-2.0 * step);
        let slope = (above - plain_loss()) / (2.0 * step);
        assert!((slope / norm - 1.0).abs() < 1e-2, "{name}: {slope}, {norm}");
    }
}

#[test]
fn words_are_the_same_on_a_device() {
    for input in &Input::all() {
        for name in HEADS {
            for subword in [Subword::Last, Subword::Mean] {
                let device = on_device(input).with_words(words(input)).unwrap();
                let what = format!("{name} {subword}");
                let head = of(name, subword);
                assert_same(&what, &*head, &device, &with_words(input), &input.targets);
            }
        }
    }
}

#[test]
fn words_that_are_none_are_refused() {
    let input = &Input::all()[0];
    let ends_late = {
        let mut words = vec![0; input.targets.len()];
        words[input.offsets[1] - 1] = 2;
        words
    };
    let overlap = {
        let mut words = vec![0; input.targets.len()];
        let first = input.offsets.windows(2).find(|pair| pair[1] > pair[0] + 3);
        let first = first.unwrap()[0];
        (words[first], words[first + 1]) = (2, 1);
        words
    };
    for wrong in [ends_late, overlap, vec![1]] {
        let refused = input.batch().with_words(wrong);
        assert!(matches!(refused, Err(BatchError::Words { .. })));
    }
}
