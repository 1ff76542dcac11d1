//! Precision, recall and F1 of predicted spans, per type and averaged.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::spans;

/// How many items of a kind there are in the gold labels and in the predictions, and how many of
/// those agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Predicted items that are gold ones.
    pub correct: u64,
    /// Predicted items.
    pub predicted: u64,
    /// Gold items, the support.
    pub gold: u64,
}

impl Counts {
    /// `correct / predicted`; 0 when nothing was predicted.
    #[must_use]
    pub fn precision(&self) -> f64 {
        ratio(self.correct, self.predicted)
    }

    /// `correct / gold`; 0 when there is nothing to find.
    #[must_use]
    pub fn recall(&self) -> f64 {
        ratio(self.correct, self.gold)
    }

    /// The harmonic mean of precision and recall; 0 when both are.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall > 0.0 {
            2.0 * precision * recall / (precision + recall)
        } else {
            0.0
        }
    }

    /// The three scores and the support as plain numbers.
    #[must_use]
    pub fn scores(&self) -> Averages {
        Averages {
            precision: self.precision(),
            recall: self.recall(),
            f1: self.f1(),
            support: self.gold,
        }
    }

    /// The counts of two groups together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            correct: self.correct + other.correct,
            predicted: self.predicted + other.predicted,
            gold: self.gold + other.gold,
        }
    }
}

/// Scores of one row of a report.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Averages {
    /// Precision, 0 to 1.
    pub precision: f64,
    /// Recall, 0 to 1.
    pub recall: f64,
    /// F1, 0 to 1.
    pub f1: f64,
    /// Number of gold items.
    pub support: u64,
}

/// Counts per type (or class), added up sentence by sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SpanScores {
    /// Per type, in bytewise order; a type that was only predicted is there too.
    pub types: BTreeMap<String, Counts>,
}

impl SpanScores {
    /// Adds the spans of one sentence, given by its gold and its predicted tags.
    pub fn add(&mut self, gold: &[&str], predicted: &[&str]) {
        let gold: HashSet<_> = spans(gold).into_iter().collect();
        let predicted: HashSet<_> = spans(predicted).into_iter().collect();
        for span in &gold {
            let counts = self.counts(span.kind);
            counts.gold += 1;
            counts.correct += u64::from(predicted.contains(span));
        }
        for span in &predicted {
            self.counts(span.kind).predicted += 1;
        }
    }

    /// Adds one label that is compared by itself.
    pub(crate) fn add_label(&mut self, gold: &str, predicted: &str) {
        let counts = self.counts(gold);
        counts.gold += 1;
        counts.correct += u64::from(gold == predicted);
        self.counts(predicted).predicted += 1;
    }

    /// Adds the labels of a text of which any number may be right.
    pub(crate) fn add_sets(&mut self, gold: &[&str], predicted: &[&str]) {
        for label in gold {
            let counts = self.counts(label);
            counts.gold += 1;
            counts.correct += u64::from(predicted.contains(label));
        }
        for label in predicted {
            self.counts(label).predicted += 1;
        }
    }

    /// The counts of one type, to be changed.
    pub(crate) fn counts(&mut self, kind: &str) -> &mut Counts {
        self.types.entry(kind.to_owned()).or_default()
    }

    /// All types together.
    #[must_use]
    pub fn overall(&self) -> Counts {
        self.types
            .values()
            .fold(Counts::default(), |sum, counts| sum.plus(*counts))
    }

    /// Scores over all spans alike: what is quoted as "the F1".
    #[must_use]
    pub fn micro(&self) -> Averages {
        self.overall().scores()
    }

    /// The mean over types, each counting the same.
    #[must_use]
    pub fn macro_average(&self) -> Averages {
        self.average(|_| 1)
    }

    /// The mean over types, each counting by its support.
    #[must_use]
    pub fn weighted(&self) -> Averages {
        self.average(|counts| counts.gold)
    }

    fn average(&self, weight: impl Fn(&Counts) -> u64) -> Averages {
        let total: u64 = self.types.values().map(&weight).sum();
        let mut sum = Averages {
            support: self.overall().gold,
            ..Averages::default()
        };
        for counts in self.types.values() {
            let share = ratio(weight(counts), total);
            sum.precision += share * counts.precision();
            sum.recall += share * counts.recall();
            sum.f1 += share * counts.f1();
        }
        sum
    }
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of spans stay far below 2^53"
    )]
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
