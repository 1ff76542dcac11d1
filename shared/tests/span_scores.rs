//! Span scores are those of the Python package `seqeval`, on sequences that are mostly illegal somewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::tasks::spans::{Averages, SpanScores};

/// Precision, recall, F1 and support.
type Row = (f64, f64, f64, u64);

#[derive(Deserialize)]
struct Fixture {
    all: BTreeMap<String, Row>,
    cases: Vec<(String, String, BTreeMap<String, Row>)>,
}

#[test]
fn scores_equal_those_of_seqeval() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/span_scores.json")).unwrap();
    assert_eq!(fixture.cases.len(), 1_000);
    let mut all = SpanScores::default();
    for (gold, predicted, expected) in &fixture.cases {
        let (gold, predicted): (Vec<&str>, Vec<&str>) =
            (gold.split(' ').collect(), predicted.split(' ').collect());
        let mut scores = SpanScores::default();
        scores.add(&gold, &predicted);
        all.add(&gold, &predicted);
        compare(&scores, expected, &format!("{gold:?} {predicted:?}"));
    }
    compare(&all, &fixture.all, "all sentences together");
}

fn compare(scores: &SpanScores, expected: &BTreeMap<String, Row>, case: &str) {
    // Three rows are averages.
    assert_eq!(scores.types.len(), expected.len() - 3, "{case}");
    for (name, row) in expected {
        let got = match name.as_str() {
            "micro avg" => scores.micro(),
            "macro avg" => scores.macro_average(),
            "weighted avg" => scores.weighted(),
            kind => scores.types[kind].scores(),
        };
        let Averages {
            precision,
            recall,
            f1,
            support,
        } = got;
        for (got, expected) in [(precision, row.0), (recall, row.1), (f1, row.2)] {
            assert!(
                (got - expected).abs() < 1e-12,
                "{name}: {got:?}, expected {row:?}, of {case}"
            );
        }
        assert_eq!(support, row.3, "{name} of {case}");
    }
}
