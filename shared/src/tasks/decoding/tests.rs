//! Chains against all sequences that there are, and against the rules of the tags.

use clap::ValueEnum;
use proptest::prelude::*;

use super::super::schemes::{Scheme, to_iob2};
use super::{Chain, Decoder, Decoding, largest};

const CLASSES: [&str; 5] = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"];

/// All sequences of so many classes and words.
fn sequences(classes: usize, words: usize) -> impl Iterator<Item = Vec<usize>> {
    let count = classes.pow(u32::try_from(words).unwrap());
    (0..count).map(move |mut number| {
        let digit = |_| {
            let class = number % classes;
            number /= classes;
            class
        };
        (0..words).map(digit).collect()
    })
}

/// The score of a sequence; none where it is not allowed.
fn score(chain: &Chain, logits: &[Vec<f32>], sequence: &[usize]) -> Option<f64> {
    let mut sum = f64::from(chain.first(sequence[0])?);
    sum += f64::from(chain.last(sequence[sequence.len() - 1]));
    for pair in sequence.windows(2) {
        sum += f64::from(chain.step(pair[0], pair[1])?);
    }
    let logits = logits.iter().zip(sequence);
    Some(
        sum + logits
            .map(|(row, &class)| f64::from(row[class]))
            .sum::<f64>(),
    )
}

fn decoded(chain: &Chain, logits: &[Vec<f32>]) -> Vec<usize> {
    let rows: Vec<Option<&[f32]>> = logits.iter().map(|row| Some(row.as_slice())).collect();
    let classes = Decoder::Sentence(chain.clone()).words(&rows);
    classes.into_iter().map(Option::unwrap).collect()
}

/// No sequence has a higher score than the one that was chosen.
fn assert_best(chain: &Chain, logits: &[Vec<f32>]) {
    let classes = logits[0].len();
    let all = sequences(classes, logits.len());
    let highest = all.filter_map(|sequence| score(chain, logits, &sequence));
    let highest = highest.fold(f64::NEG_INFINITY, f64::max);
    let own = score(chain, logits, &decoded(chain, logits)).unwrap();
    assert!((own - highest).abs() < 1e-9, "{own} for {highest}");
}

fn logits(classes: usize, words: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(-4.0_f32..4.0, classes), words)
}

/// Numbers that no sum is spoilt by, and those that spoil sums.
fn any_logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0_f32..4.0,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(f32::MAX),
    ]
}

proptest! {
    #[test]
    fn the_best_legal_tags_are_chosen(logits in logits(5, 1..6)) {
        assert_best(&Chain::of_legal_tags(&CLASSES), &logits);
    }

    #[test]
    fn the_best_sequence_by_learned_scores_is_chosen(
        logits in logits(3, 1..6),
        transitions in prop::collection::vec(-3.0_f32..3.0, 9),
        ends in prop::collection::vec(-3.0_f32..3.0, 6),
    ) {
        let (start, end) = ends.split_at(3);
        assert_best(&Chain::of_scores(&transitions, start, end), &logits);
    }

    /// Whatever the numbers are: a legal sequence is its own in IOB2. Words without logits are in no span.
    #[test]
    fn tags_are_always_legal(
        words in prop::collection::vec(
            (prop::collection::vec(any_logit(), 5), prop::bool::weighted(0.9)), 0..20),
    ) {
        let decoder = Decoder::Sentence(Chain::of_legal_tags(&CLASSES));
        let rows: Vec<Option<&[f32]>> =
            words.iter().map(|(row, seen)| seen.then_some(row.as_slice())).collect();
        let classes = decoder.words(&rows);
        for (class, (_, seen)) in classes.iter().zip(&words) {
            prop_assert_eq!(class.is_some(), *seen);
        }
        let tags: Vec<&str> =
            classes.iter().map(|class| class.map_or("O", |class| CLASSES[class])).collect();
        prop_assert_eq!(to_iob2(Scheme::Iob2, &tags), tags);
    }

    /// Where the largest logits are legal tags already, these are chosen.
    #[test]
    fn legal_tags_stay_as_they_are(logits in logits(5, 1..8)) {
        let rows: Vec<Option<&[f32]>> = logits.iter().map(|row| Some(row.as_slice())).collect();
        let single = Decoder::Single.words(&rows);
        let tags: Vec<&str> = single.iter().map(|class| CLASSES[class.unwrap()]).collect();
        let chosen = Decoder::Sentence(Chain::of_legal_tags(&CLASSES)).words(&rows);
        prop_assert_eq!(to_iob2(Scheme::Iob2, &tags) == tags, chosen == single);
    }
}

#[test]
fn a_span_is_begun_before_it_is_gone_on_with() {
    let chain = Chain::of_legal_tags(&["O", "B-PER", "I-PER", "I-LOC"]);
    // By itself each word would be I-PER, I-PER, I-LOC.
    let logits = [
        vec![0.0, 1.0, 3.0, 0.0],
        vec![0.0, 0.0, 2.0, 0.0],
        vec![0.5, 0.0, 0.0, 4.0],
    ];
    // No class begins a LOC.
    assert_eq!(decoded(&chain, &logits), [1, 2, 0]);
    let alone = Decoder::Single.words(&logits.each_ref().map(|row| Some(row.as_slice())));
    assert_eq!(alone, [Some(2), Some(2), Some(3)]);
}

#[test]
fn words_on_both_sides_of_one_without_logits_are_neighbours_by_learned_scores() {
    // A class is much better beside another one.
    let chain = Chain::of_scores(&[-9.0, 0.0, 0.0, -9.0], &[0.0, 0.0], &[0.0, 0.0]);
    let row: &[f32] = &[1.0, 0.5];
    let classes = Decoder::Sentence(chain).words(&[Some(row), None, Some(row), Some(row)]);
    assert_eq!(classes, [Some(0), None, Some(1), Some(0)]);
}

#[test]
fn classes_that_cannot_begin_are_no_reason_to_fail() {
    let chain = Chain::of_legal_tags(&["I-A", "I-B"]);
    assert_eq!(decoded(&chain, &[vec![0.0, 1.0], vec![1.0, 0.0]]), [1, 0]);
    let none: [&str; 0] = [];
    assert!(decoded(&Chain::of_legal_tags(&none), &[]).is_empty());
}

#[test]
fn equal_sequences_are_told_apart_by_the_first_classes() {
    let chain = Chain::of_legal_tags(&["B-A", "O"]);
    assert_eq!(decoded(&chain, &vec![vec![1.0, 1.0]; 3]), [0, 0, 0]);
    assert_eq!(Decoding::default(), Decoding::Argmax);
}

#[test]
fn equal_logits_give_the_first_class() {
    assert_eq!(largest(&[0.0, 2.0, 2.0, -1.0]), 1);
    assert_eq!(largest(&[0.5, 0.7, 0.7]), 1);
    assert_eq!(largest(&[f32::NAN, 0.7]), 0);
}

#[test]
fn names_are_typed_and_stored_alike() {
    for decoding in Decoding::value_variants() {
        let name = decoding.name();
        assert_eq!(Decoding::from_str(name, false).as_ref(), Ok(decoding));
        let json = serde_json::to_string(decoding).unwrap();
        assert_eq!(json, format!("\"{name}\""));
    }
}
