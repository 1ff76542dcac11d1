//! Likelihoods and gradients against sums over all sequences, written out, and on a device against
//! the CPU's.

use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

use super::field::Gradients;
use super::{Crf, Field, Sentences};
use crate::activations::memory;

/// All sequences of so many classes and words.
fn sequences(classes: usize, words: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..words {
        let longer = |one: &Vec<usize>| {
            let one = one.clone();
            (0..classes).map(move |class| [one.as_slice(), &[class]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Scores of a field and words with their right classes.
#[derive(Debug, Clone)]
struct Case {
    transitions: Vec<f32>,
    start: Vec<f32>,
    end: Vec<f32>,
    logits: Vec<Vec<f32>>,
    gold: Vec<usize>,
}

impl Case {
    fn field(&self) -> Field {
        let (start, end) = (self.start.clone(), self.end.clone());
        Field::new(self.transitions.clone(), start, end)
    }

    fn rows(&self) -> Vec<&[f32]> {
        self.logits.iter().map(Vec::as_slice).collect()
    }

    fn score(&self, sequence: &[usize]) -> f64 {
        let classes = self.start.len();
        let (first, last) = (sequence[0], sequence[sequence.len() - 1]);
        let mut sum = f64::from(self.start[first]) + f64::from(self.end[last]);
        for pair in sequence.windows(2) {
            sum += f64::from(self.transitions[pair[0] * classes + pair[1]]);
        }
        let words = self.logits.iter().zip(sequence);
        sum + words
            .map(|(row, &class)| f64::from(row[class]))
            .sum::<f64>()
    }

    /// Loss, gradients by logits `[words, classes]` and by the scores, from all sequences.
    fn by_all_sequences(&self) -> (f64, Vec<f64>, Gradients) {
        let (classes, words) = (self.start.len(), self.logits.len());
        let all = sequences(classes, words);
        let total: f64 = all.iter().map(|one| self.score(one).exp()).sum();
        let mut by_logits = vec![0.0; words * classes];
        let mut by_scores = Gradients::zeros(classes);
        let mut add = |sequence: &[usize], weight: f64| {
            for (word, class) in sequence.iter().enumerate() {
                by_logits[word * classes + class] += weight;
            }
            for pair in sequence.windows(2) {
                by_scores.transitions[pair[0] * classes + pair[1]] += weight;
            }
            by_scores.start[sequence[0]] += weight;
            by_scores.end[sequence[words - 1]] += weight;
        };
        for sequence in &all {
            add(sequence, self.score(sequence).exp() / total);
        }
        add(&self.gold, -1.0);
        (total.ln() - self.score(&self.gold), by_logits, by_scores)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..5, 1_usize..6).prop_flat_map(|(classes, words)| {
        let scores = |count| prop::collection::vec(-3.0_f32..3.0, count);
        (
            scores(classes * classes),
            scores(classes),
            scores(classes),
            prop::collection::vec(scores(classes), words),
            prop::collection::vec(0..classes, words),
        )
            .prop_map(|(transitions, start, end, logits, gold)| Case {
                transitions,
                start,
                end,
                logits,
                gold,
            })
    })
}

fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        let difference = (got - expected).abs();
        assert!(difference <= tolerance, "{what}: {got} for {expected}");
    }
}

proptest! {
    #[test]
    fn losses_and_gradients_are_those_of_all_sequences(case in cases()) {
        let (loss, expected, by_scores) = case.by_all_sequences();
        let (field, classes) = (case.field(), case.start.len());
        let mut sums = Gradients::zeros(classes);
        let mut by_logits = vec![0.0; expected.len()];
        let found = field.loss_and_gradients(&case.rows(), &case.gold, &mut sums, |word, class, by| {
            by_logits[word * classes + class] = by;
        });
        assert_near("loss", &[found, field.loss(&case.rows(), &case.gold)], &[loss; 2], 1e-9);
        assert_near("logits", &by_logits, &expected, 1e-9);
        assert_near("transitions", &sums.transitions, &by_scores.transitions, 1e-9);
        assert_near("start", &sums.start, &by_scores.start, 1e-9);
        assert_near("end", &sums.end, &by_scores.end, 1e-9);
    }

    /// The same loss and gradients, of a sentence that is long, with logits far apart, shifted and not.
    #[test]
    fn nothing_overflows(shift in -1e4_f32..1e4, spread in 0.0_f32..300.0) {
        let words = 500_usize;
        let classes = 3;
        let part = |place: usize| f32::from(u8::try_from(place * 29 % 83).unwrap()) / 83.0;
        let logits = |shift: f32| -> Vec<Vec<f32>> {
            let row = |word: usize| {
                let logit = |class: usize| shift + spread * part(word * classes + class);
                (0..classes).map(logit).collect()
            };
            (0..words).map(row).collect()
        };
        let case = Case {
            transitions: (0..9).map(|place| 40.0 * part(place)).collect(),
            start: vec![0.0, -50.0, 50.0],
            end: vec![1.0, 0.0, -1.0],
            logits: logits(shift),
            gold: (0..words).map(|word| word % classes).collect(),
        };
        let mut sums = Gradients::zeros(classes);
        let loss = case.field().loss_and_gradients(&case.rows(), &case.gold, &mut sums, |_, _, by| {
            assert!(by.abs() <= 1.0);
        });
        prop_assert!(loss.is_finite() && loss >= -1e-6, "{}", loss);
        prop_assert!(sums.transitions.iter().all(|sum| sum.is_finite()));
        let centred = Case { logits: logits(0.0), ..case.clone() };
        let other = centred.field().loss(&centred.rows(), &centred.gold);
        // The rounding of the shifted logits, at most 0.01 a word.
        prop_assert!((loss - other).abs() <= 5.0, "{} {}", loss, other);
    }

    /// Sentences of several lengths, two heads or one, unlabelled rows between.
    #[test]
    fn a_device_computes_the_same(
        lengths in prop::collection::vec(1_usize..7, 1..6),
        heads in 0_i64..3,
        seed in 0_u64..1000,
    ) {
        let classes = 4;
        let words: usize = lengths.iter().sum();
        let rows = words + words / 3;
        let mut draw = seed;
        let mut number = move || {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            f32::from(u16::try_from(draw >> 48).unwrap()) / 16384.0 - 2.0
        };
        let mut tensor = |shape: &[i64]| {
            let in_front: &[i64] = if heads == 0 { &[] } else { &[heads] };
            let shape = [in_front, shape].concat();
            let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
            let values: Vec<f32> = (0..count).map(|_| number()).collect();
            Tensor::from_slice(&values).view(shape.as_slice())
        };
        let crf = Crf {
            transitions: tensor(&[4, 4]),
            start: tensor(&[4]),
            end: tensor(&[4]),
        };
        let logits = tensor(&[i64::try_from(rows).unwrap(), 4]);
        let mut gold = Vec::new();
        let each = lengths.iter().enumerate();
        let sentence_of: Vec<usize> =
            each.flat_map(|(sentence, &length)| vec![sentence; length]).collect();
        for word in 0..words {
            gold.push(i64::try_from((word * 7 + word / 2) % classes).unwrap());
            if word % 3 == 2 {
                gold.push(-100);
            }
        }
        let sentences = Sentences::new(&gold, &sentence_of, words + 5);
        prop_assert_eq!(sentences.iter().map(<[_]>::len).collect::<Vec<_>>(), lengths);
        let found = crf.likelihood(&logits, &sentences, true).unwrap();
        for head in 0..heads.max(1) {
            let own = |tensor: &Tensor| {
                if heads == 0 { tensor.shallow_clone() } else { tensor.select(0, head) }
            };
            let alone = Crf {
                transitions: own(&crf.transitions),
                start: own(&crf.start),
                end: own(&crf.end),
            };
            let expected = alone.likelihood(&own(&logits), &sentences, false).unwrap();
            let pairs = [
                ("loss", &found.loss, &expected.loss),
                ("logits", &found.by_logits, &expected.by_logits),
                ("transitions", &found.by_parameters[0], &expected.by_parameters[0]),
                ("start", &found.by_parameters[1], &expected.by_parameters[1]),
                ("end", &found.by_parameters[2], &expected.by_parameters[2]),
            ];
            for (what, found, expected) in pairs {
                let found = own(found);
                prop_assert_eq!(found.size(), expected.size(), "{}", what);
                prop_assert_eq!((found.kind(), found.device()), (Kind::Float, Device::Cpu));
                let difference = (found - expected).abs().max().double_value(&[]);
                prop_assert!(difference < 2e-6, "{}: {}", what, difference);
            }
        }
    }
}

#[test]
fn words_of_windows_are_one_sentence_and_no_word_is_no_loss() {
    let sentences = Sentences::new(&[1, -100, 0, 1, -100, 2], &[0, 2, 2, 5], 4);
    let all: Vec<&[(usize, usize)]> = sentences.iter().collect();
    assert_eq!(all, [&[(0, 1)][..], &[(2, 0), (3, 1)], &[(5, 2)]]);
    assert_eq!(Sentences::new(&[-100], &[], 1).iter().count(), 0);
    let field = Field::new(vec![0.0; 4], vec![0.0; 2], vec![0.0; 2]);
    assert!(field.loss(&[], &[]).abs() < 1e-12);
    // Without scores of neighbours each word is by itself.
    let rows: [&[f32]; 2] = [&[0.0, 0.0], &[0.0, 0.0]];
    let loss = field.loss(&rows, &[0, 1]);
    assert!(
        (loss - 2.0 * std::f64::consts::LN_2).abs() < 1e-12,
        "{loss}"
    );
    let fields = Crf {
        transitions: Tensor::zeros([3, 2, 2], (Kind::Float, Device::Cpu)),
        start: Tensor::from_slice(&[0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]).view([3, 2]),
        end: Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)),
    };
    let second = &fields.fields(3).unwrap()[1];
    let start = second.chain().first(1);
    assert_eq!(start, Some(3.0));
    assert_eq!(memory::with_values(&fields.start, <[f32]>::len).unwrap(), 6);
}
