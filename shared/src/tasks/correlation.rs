//! How well predicted numbers agree with gold ones: the correlation of the numbers (Pearson) and of
//! their ranks (Spearman), as `scipy.stats.pearsonr` and `spearmanr` have them.

/// Sums over pairs of numbers, from which their correlation follows; those of two sets of pairs add
/// up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    count: f64,
    sums: [f64; 2],
    squares: [f64; 2],
    products: f64,
}

impl Moments {
    /// Of one pair. Digits are lost where both are far from 0: centre them first.
    #[must_use]
    pub fn of(one: f64, other: f64) -> Self {
        Self {
            count: 1.0,
            sums: [one, other],
            squares: [one * one, other * other],
            products: one * other,
        }
    }

    /// Of the pairs of both.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let both = |one: [f64; 2], other: [f64; 2]| [one[0] + other[0], one[1] + other[1]];
        Self {
            count: self.count + more.count,
            sums: both(self.sums, more.sums),
            squares: both(self.squares, more.squares),
            products: self.products + more.products,
        }
    }

    /// The correlation of the pairs; NaN where one side does not vary.
    #[must_use]
    pub fn correlation(&self) -> f64 {
        let spread =
            |side: usize| self.squares[side] - self.sums[side] * self.sums[side] / self.count;
        let common = self.products - self.sums[0] * self.sums[1] / self.count;
        // What rounding leaves of nothing is no spread.
        let varies = |side: usize| spread(side) > 1e-13 * self.squares[side];
        if !varies(0) || !varies(1) {
            return f64::NAN;
        }
        (common / (spread(0).sqrt() * spread(1).sqrt())).clamp(-1.0, 1.0)
    }
}

/// Pearson's correlation of the numbers at the same places; NaN for less than two pairs, or where
/// one side does not vary.
#[must_use]
pub fn pearson(one: &[f64], other: &[f64]) -> f64 {
    let (first, second) = (mean(one), mean(other));
    let pairs = one.iter().zip(other);
    let moments = pairs.map(|(one, other)| Moments::of(one - first, other - second));
    moments
        .fold(Moments::default(), Moments::plus)
        .correlation()
}

/// Spearman's correlation: Pearson's of the ranks, equal numbers sharing the mean of theirs.
#[must_use]
pub fn spearman(one: &[f64], other: &[f64]) -> f64 {
    pearson(&ranks(one), &ranks(other))
}

/// The rank of each number from 1 on, equal ones sharing the mean of theirs.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&one, &other| numbers[one].total_cmp(&numbers[other]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0.0;
    // Not by `total_cmp`: 0 and -0 are equal.
    #[expect(clippy::float_cmp, reason = "equal numbers, not near ones")]
    for equal in order.chunk_by(|&one, &other| numbers[one] == numbers[other]) {
        let count = float(equal.len());
        for &place in equal {
            ranks[place] = before + (count + 1.0) / 2.0;
        }
        before += count;
    }
    ranks
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / float(numbers.len())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of texts are far below 2^52"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by `make_correlations.py` beside the file, with scipy.
    const SCIPY: &str = include_str!("../../tests/fixtures/correlations.json");

    #[derive(serde::Deserialize)]
    struct Case {
        one: Vec<f64>,
        other: Vec<f64>,
        pearson: f64,
        spearman: f64,
    }

    #[test]
    fn correlations_are_those_of_scipy_with_ties() {
        let cases: Vec<Case> = serde_json::from_str(SCIPY).unwrap();
        assert!(cases.len() > 20);
        for (number, case) in cases.iter().enumerate() {
            let near = |got: f64, expected: f64| (got - expected).abs() < 1e-10;
            let got = pearson(&case.one, &case.other);
            assert!(near(got, case.pearson), "{number}: {got} {}", case.pearson);
            let got = spearman(&case.one, &case.other);
            assert!(
                near(got, case.spearman),
                "{number}: {got} {}",
                case.spearman
            );
        }
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert!(pearson(&[1.0, 2.0], &[3.0, 3.0]).is_nan());
        assert!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).is_nan());
        assert!(pearson(&[], &[]).is_nan() && spearman(&[1.0], &[2.0]).is_nan());
        assert_eq!(
            ranks(&[0.0, 5.0, -0.0, 5.0, 5.0]),
            [1.5, 4.0, 1.5, 4.0, 4.0]
        );
    }

    proptest! {
        #[test]
        fn ranks_count_what_is_smaller_and_half_of_what_is_equal(
            numbers in prop::collection::vec(-4_i8..4, 1..40)
        ) {
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            #[allow(clippy::float_cmp)]
            for (number, rank) in numbers.iter().zip(ranks(&numbers)) {
                let smaller = numbers.iter().filter(|other| *other < number).count();
                let equal = numbers.iter().filter(|other| *other == number).count();
                prop_assert_eq!(rank, float(smaller) + (float(equal) + 1.0) / 2.0);
            }
        }

        #[test]
        fn moments_of_parts_add_up(
            pairs in prop::collection::vec((-5.0_f64..5.0, -5.0_f64..5.0), 3..40),
            cut in 1_usize..39,
        ) {
            let sum = |pairs: &[(f64, f64)]| {
                let moments = pairs.iter().map(|&(one, other)| Moments::of(one, other));
                moments.fold(Moments::default(), Moments::plus)
            };
            let (first, second) = pairs.split_at(cut.min(pairs.len()));
            let (one, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let whole = sum(first).plus(sum(second)).correlation();
            prop_assert!((whole - pearson(&one, &other)).abs() < 1e-9);
        }
    }
}
