//! How good predicted numbers are: their correlation with the gold ones, and how far off they are.

use serde::{Deserialize, Serialize};
use shared::tasks::correlation::{pearson, spearman};

use crate::metrics::number;

/// More texts than this are drawn by some of them.
const DRAWN: usize = 1_000;

/// Scores of predicted numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberScores {
    /// Texts that were scored.
    pub count: usize,
    /// The correlation of predicted and gold numbers; NaN where one of them does not vary.
    #[serde(deserialize_with = "number::or_nan")]
    pub pearson: f64,
    /// The correlation of their ranks.
    #[serde(deserialize_with = "number::or_nan")]
    pub spearman: f64,
    /// The square root of the mean squared error, in the unit of the numbers.
    #[serde(deserialize_with = "number::or_nan")]
    pub root_mean_squared_error: f64,
    /// The mean of the absolute error.
    #[serde(deserialize_with = "number::or_nan")]
    pub mean_absolute_error: f64,
    /// Gold and predicted number of texts, as many as a chart can show, spread evenly over all; left
    /// out of the scores of an epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<(f32, f32)>,
}

impl NumberScores {
    /// Of numbers at the same places; those that are NaN on one side, which say that there is none,
    /// are left out.
    #[must_use]
    pub fn new(gold: &[f32], predicted: &[f32]) -> Self {
        let pairs = gold.iter().copied().zip(predicted.iter().copied());
        let pairs: Vec<(f32, f32)> = pairs
            .filter(|(gold, predicted)| !gold.is_nan() && !predicted.is_nan())
            .collect();
        let wide = |&(one, other): &(f32, f32)| (f64::from(one), f64::from(other));
        let (one, other): (Vec<f64>, Vec<f64>) = pairs.iter().map(wide).unzip();
        let errors = || one.iter().zip(&other).map(|(one, other)| other - one);
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of texts are far below 2^52"
        )]
        let mean = |sum: f64| sum / pairs.len() as f64;
        Self {
            count: pairs.len(),
            pearson: pearson(&one, &other),
            spearman: spearman(&one, &other),
            root_mean_squared_error: mean(errors().map(|error| error * error).sum()).sqrt(),
            mean_absolute_error: mean(errors().map(f64::abs).sum()),
            drawn: (0..pairs.len().min(DRAWN))
                .map(|place| pairs[place * pairs.len() / pairs.len().min(DRAWN)])
                .collect(),
        }
    }

    /// The scores by name, the main one first.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("Pearson", self.pearson),
            ("Spearman", self.spearman),
            ("root mean squared error", self.root_mean_squared_error),
            ("mean absolute error", self.mean_absolute_error),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_partner_are_left_out() {
        let gold = [1.0, f32::NAN, 3.0, 5.0, 2.0];
        let predicted = [1.5, 9.0, 2.0, 5.0, f32::NAN];
        let scores = NumberScores::new(&gold, &predicted);
        // scipy.stats.pearsonr([1, 3, 5], [1.5, 2, 5]).statistic
        assert!((scores.pearson - 0.924_473_452).abs() < 1e-8, "{scores:?}");
        assert!((scores.spearman - 1.0).abs() < 1e-12);
        assert!((scores.mean_absolute_error - 0.5).abs() < 1e-9);
        assert!((scores.root_mean_squared_error - (1.25_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert_eq!(scores.drawn, [(1.0, 1.5), (3.0, 2.0), (5.0, 5.0)]);
        assert!(NumberScores::new(&gold, &[0.5; 5]).pearson.is_nan());
        assert_eq!(NumberScores::new(&[], &[]).count, 0);
    }

    #[test]
    fn many_texts_are_drawn_by_some_of_them() {
        let numbers: Vec<f32> = (0..3_500_u16).map(f32::from).collect();
        let scores = NumberScores::new(&numbers, &numbers);
        assert_eq!((scores.count, scores.drawn.len()), (3_500, DRAWN));
        assert!(scores.drawn.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(scores.drawn.last().is_some_and(|(last, _)| *last > 3_490.0));
    }
}
