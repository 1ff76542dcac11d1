//! How often one label a word, or one a text, is right: the scores of part-of-speech tagging and
//! classification.

use serde::Serialize;

use super::spans::{Averages, Counts, SpanScores, scores_ratio};

/// Labels compared one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LabelScores {
    /// Counts per class: the rows of a classification report.
    pub classes: SpanScores,
    /// Labels that are right.
    pub correct: u64,
    /// Labels compared.
    pub total: u64,
}

impl LabelScores {
    /// Adds the labels of one sentence.
    pub fn add(&mut self, gold: &[&str], predicted: &[&str]) {
        for (gold, predicted) in gold.iter().zip(predicted) {
            self.total += 1;
            self.correct += u64::from(gold == predicted);
            self.classes.add_label(gold, predicted);
        }
    }

    /// The share of labels that are right; 0 without any.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        scores_ratio(self.correct, self.total)
    }

    /// The counts of one class.
    #[must_use]
    pub fn class(&self, name: &str) -> Counts {
        self.classes.types.get(name).copied().unwrap_or_default()
    }

    /// The mean over classes, each counting the same.
    #[must_use]
    pub fn macro_average(&self) -> Averages {
        self.classes.macro_average()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_report_of_four_words() {
        let mut scores = LabelScores::default();
        scores.add(
            &["DET", "NOUN", "VERB", "NOUN"],
            &["DET", "VERB", "VERB", "NOUN"],
        );
        assert!((scores.accuracy() - 0.75).abs() < 1e-12);
        assert_eq!(
            scores.class("NOUN"),
            Counts {
                correct: 1,
                predicted: 1,
                gold: 2
            }
        );
        assert_eq!(
            scores.class("VERB"),
            Counts {
                correct: 1,
                predicted: 2,
                gold: 1
            }
        );
        // F1 of the classes: 1, 2/3, 2/3.
        assert!((scores.macro_average().f1 - 7.0 / 9.0).abs() < 1e-12);
    }
}
