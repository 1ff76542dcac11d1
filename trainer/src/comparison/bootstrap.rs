//! The paired bootstrap over sentences (Efron and Tibshirani 1993, *An Introduction to the
//! Bootstrap*; Berg-Kirkpatrick, Burkett and Klein 2012, *An Empirical Investigation of Statistical
//! Significance in NLP*): test sets are drawn from the test set, with replacement, and all heads
//! are scored on the same ones.

use serde::Serialize;
use shared::tasks::correlation::Moments;
use shared::tasks::spans::Counts;

use crate::batches::Random;

/// What sentences add to a score.
pub trait Sums: Copy + Default {
    /// Of the sentences of both.
    #[must_use]
    fn plus(self, more: Self) -> Self;
    /// The score of all sentences that were added.
    fn score(&self) -> f64;
}

impl Sums for Counts {
    fn plus(self, more: Self) -> Self {
        Self::plus(self, more)
    }

    fn score(&self) -> f64 {
        self.f1()
    }
}

impl Sums for Moments {
    fn plus(self, more: Self) -> Self {
        Self::plus(self, more)
    }

    fn score(&self) -> f64 {
        self.correlation()
    }
}

/// Scores of some runs on many drawn test sets.
#[derive(Debug)]
pub struct Resampled {
    /// On the test set itself, one a run.
    observed: Vec<f64>,
    /// On the drawn ones, `[resamples][runs]`.
    drawn: Vec<Vec<f64>>,
}

/// How far two heads, each trained with some seeds, are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean score of the one less that of the other.
    pub difference: f64,
    /// 2.5 % of the drawn differences are below.
    pub low: f64,
    /// 2.5 % of the drawn differences are above.
    pub high: f64,
    /// How likely a difference at least as large is, either way, if the two are equally good.
    pub p: f64,
}

impl Resampled {
    /// Scores runs with `counts [runs][sentences]` on so many test sets drawn from `seed`.
    #[must_use]
    pub fn new<S: Sums>(counts: &[Vec<S>], resamples: usize, seed: u64) -> Self {
        let sentences = counts.first().map_or(0, Vec::len);
        let mut random = Random::new(seed, 0);
        let mut drawn = Vec::with_capacity(resamples);
        for _ in 0..resamples {
            let mut sums = vec![S::default(); counts.len()];
            for _ in 0..sentences {
                let sentence = random.below(sentences);
                for (sum, counts) in sums.iter_mut().zip(counts) {
                    *sum = sum.plus(counts[sentence]);
                }
            }
            drawn.push(sums.iter().map(S::score).collect());
        }
        let all = |counts: &Vec<S>| counts.iter().fold(S::default(), |sum, one| sum.plus(*one));
        Self {
            observed: counts.iter().map(|counts| all(counts).score()).collect(),
            drawn,
        }
    }

    /// The mean score of the runs `one` against that of the runs `other`.
    #[must_use]
    pub fn difference(&self, one: &[usize], other: &[usize]) -> Difference {
        let apart = |scores: &[f64]| mean(scores, one) - mean(scores, other);
        let difference = apart(&self.observed);
        let mut drawn: Vec<f64> = self.drawn.iter().map(|scores| apart(scores)).collect();
        drawn.sort_by(f64::total_cmp);
        // Were the two equally good, differences would spread around 0 as they now do around the
        // observed one. Equal sums may differ in their last digit.
        let extreme = drawn
            .iter()
            .filter(|drawn| (*drawn - difference).abs() >= difference.abs() - 1e-12);
        let share = |count: usize| ratio(count + 1, drawn.len() + 1);
        Difference {
            difference,
            low: quantile(&drawn, 0.025).unwrap_or(difference),
            high: quantile(&drawn, 0.975).unwrap_or(difference),
            p: share(extreme.count()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a few runs, some thousands of draws"
)]
fn ratio(count: usize, total: usize) -> f64 {
    count as f64 / total.max(1) as f64
}

fn mean(scores: &[f64], runs: &[usize]) -> f64 {
    runs.iter().map(|&run| scores[run]).sum::<f64>() / ratio(runs.len(), 1)
}

/// The value below which this share of sorted values lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among some thousands"
)]
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(triples: &[(u64, u64, u64)]) -> Vec<Counts> {
        let one = |&(correct, predicted, gold): &(u64, u64, u64)| Counts {
            correct,
            predicted,
            gold,
        };
        triples.iter().map(one).collect()
    }

    /// Every one of the 5^5 test sets that can be drawn from five sentences, each as likely.
    #[test]
    fn few_sentences_against_all_that_can_be_drawn() {
        let one = [(2, 3, 3), (1, 1, 2), (0, 1, 0), (3, 3, 4), (1, 2, 1)];
        let other = [(1, 3, 3), (1, 2, 2), (0, 0, 0), (1, 2, 4), (1, 1, 1)];
        let f1 = |triples: &[(u64, u64, u64); 5], drawn: &[usize; 5]| {
            let (mut correct, mut both) = (0, 0);
            for &sentence in drawn {
                let (right, predicted, gold) = triples[sentence];
                correct += right;
                both += predicted + gold;
            }
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let f1 = if both == 0 {
                0.0
            } else {
                2.0 * correct as f64 / both as f64
            };
            f1
        };
        let apart = |drawn: &[usize; 5]| f1(&one, drawn) - f1(&other, drawn);
        let observed = apart(&[0, 1, 2, 3, 4]);
        let all: Vec<f64> = (0..3125_usize)
            .map(|number| apart(&[1, 5, 25, 125, 625].map(|power| number / power % 5)))
            .collect();
        let extreme = all
            .iter()
            .filter(|drawn| (*drawn - observed).abs() >= observed.abs() - 1e-9);
        let exact = ratio(extreme.count(), 3125);

        let resampled = Resampled::new(&[counts(&one), counts(&other)], 20_000, 1);
        let found = resampled.difference(&[0], &[1]);
        assert!((found.difference - observed).abs() < 1e-12);
        // Three standard errors of a share of 20,000 draws.
        assert!((found.p - exact).abs() < 0.011, "{} {exact}", found.p);
        let mut sorted = all;
        sorted.sort_by(f64::total_cmp);
        assert!((found.low - sorted[78]).abs() < 0.05 && (found.high - sorted[3046]).abs() < 0.05);
    }

    /// For accuracies the difference is a mean of independent numbers, whose spread is known.
    #[test]
    fn accuracies_against_the_normal_approximation() {
        // Of 1,000 sentences: 60 right in one only, 30 in the other only, 800 in both.
        let right = |from: usize, to: usize| -> Vec<Counts> {
            let of = |sentence: usize| (u64::from((from..to).contains(&sentence)), 1, 1);
            counts(&(0..1000).map(of).collect::<Vec<_>>())
        };
        let resampled = Resampled::new(&[right(0, 860), right(60, 890)], 10_000, 2);
        let found = resampled.difference(&[0], &[1]);
        assert!((found.difference - 0.03).abs() < 1e-12);
        let deviation = ((0.09_f64 - 0.03 * 0.03) / 1000.0).sqrt();
        assert!((found.low - (0.03 - 1.96 * deviation)).abs() < 0.002);
        assert!((found.high - (0.03 + 1.96 * deviation)).abs() < 0.002);
        // z = 3.178: two-sided 0.00148.
        assert!((found.p - 0.0015).abs() < 0.0015, "{}", found.p);
    }

    #[test]
    fn a_run_is_no_better_than_itself_and_the_seed_settles_the_draws() {
        let one = counts(&[(1, 2, 3), (0, 1, 1), (2, 2, 2)]);
        let other = counts(&[(1, 2, 3), (1, 1, 1), (2, 2, 2)]);
        let resampled = Resampled::new(&[one.clone(), one.clone(), other.clone()], 500, 3);
        let same = resampled.difference(&[0], &[1]);
        assert!((same.p - 1.0).abs() < 1e-12 && same.difference.abs() < 1e-12);
        let again = Resampled::new(&[one.clone(), one, other], 500, 3);
        assert_eq!(
            resampled.difference(&[0, 1], &[2]),
            again.difference(&[0, 1], &[2])
        );
    }
}
