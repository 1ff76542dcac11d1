//! UAS, LAS and CLAS against a plain counting in Python (`fixtures/make_attachment.py`).

use serde::Deserialize;
use shared::tasks::dependencies::{Arc, AttachmentScores};

#[derive(Deserialize)]
struct Expected {
    uas: f64,
    las: f64,
    clas: f64,
}

/// Heads from 1, 0 for the root, and relations of the gold tree and of the predicted one.
type Case = (Vec<usize>, Vec<String>, Vec<usize>, Vec<String>, Expected);

#[derive(Deserialize)]
struct Fixture {
    all: Expected,
    cases: Vec<Case>,
}

fn compare(scores: &AttachmentScores, expected: &Expected, case: usize) {
    for (name, found, expected) in [
        ("UAS", scores.uas(), expected.uas),
        ("LAS", scores.las(), expected.las),
        ("CLAS", scores.clas(), expected.clas),
    ] {
        assert!((found - expected).abs() < 1e-12, "{name} of {case}");
    }
}

#[test]
fn scores_of_a_thousand_trees_are_those_of_a_plain_counting() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/attachment.json")).unwrap();
    assert_eq!(fixture.cases.len(), 1_000);
    let mut all = AttachmentScores::default();
    for (case, (gold_heads, gold, heads, predicted, expected)) in fixture.cases.iter().enumerate() {
        let gold: Vec<Arc<'_>> = tree(gold_heads, gold);
        let predicted: Vec<Arc<'_>> = tree(heads, predicted);
        let mut scores = AttachmentScores::default();
        scores.add(&gold, &predicted);
        all.add(&gold, &predicted);
        compare(&scores, expected, case);
        let by_relation = scores.relations.overall();
        assert_eq!(by_relation.correct, scores.labelled);
        let by_distance: u64 = scores.distances.values().map(|counts| counts.correct).sum();
        assert_eq!(by_distance, scores.labelled);
    }
    compare(&all, &fixture.all, usize::MAX);
}

fn tree<'a>(heads: &[usize], relations: &'a [String]) -> Vec<Arc<'a>> {
    let pairs = heads.iter().zip(relations);
    let arc = |(head, relation): (&usize, &'a String)| Arc {
        head: head.checked_sub(1),
        relation,
    };
    pairs.map(arc).collect()
}
