//! Matthews' correlation coefficient of any number of classes (Gorodkin 2004, *Comparing two K-category
//! assignments by a K-category correlation coefficient*).

/// The coefficient of counts `[gold, predicted]`; 0 where all gold ones or all predicted ones are of
/// one class.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn matthews(counts: &[Vec<usize>]) -> f64 {
    let classes = 0..counts.len();
    let gold: Vec<f64> = counts
        .iter()
        .map(|row| row.iter().sum::<usize>() as f64)
        .collect();
    let column = |class: usize| counts.iter().map(|row| row[class]).sum::<usize>() as f64;
    let predicted: Vec<f64> = classes.clone().map(column).collect();
    let correct = classes.map(|class| counts[class][class]).sum::<usize>() as f64;
    let all: f64 = gold.iter().sum();
    let product = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).map(|(one, other)| one * other).sum()
    };
    let spread = |side: &[f64]| all * all - product(side, side);
    let both = (spread(&gold) * spread(&predicted)).sqrt();
    if both > 0.0 {
        (correct * all - product(&gold, &predicted)) / both
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: the covariance of gold and predicted classes, each as a vector with a 1, over the
    /// roots of their variances.
    fn by_definition(pairs: &[(usize, usize)], classes: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let count = pairs.len() as f64;
        let is = |value: usize, class: usize| if value == class { 1.0 } else { 0.0 };
        let covariance = |one: &dyn Fn(&(usize, usize)) -> usize,
                          other: &dyn Fn(&(usize, usize)) -> usize| {
            (0..classes)
                .map(|class| {
                    let mean = |of: &dyn Fn(&(usize, usize)) -> usize| {
                        pairs.iter().map(|pair| is(of(pair), class)).sum::<f64>() / count
                    };
                    let (first, second) = (mean(one), mean(other));
                    pairs
                        .iter()
                        .map(|pair| {
                            (is(one(pair), class) - first) * (is(other(pair), class) - second)
                        })
                        .sum::<f64>()
                })
                .sum::<f64>()
        };
        let (gold, predicted) = (
            |pair: &(usize, usize)| pair.0,
            |pair: &(usize, usize)| pair.1,
        );
        let both = (covariance(&gold, &gold) * covariance(&predicted, &predicted)).sqrt();
        if both > 1e-9 {
            covariance(&gold, &predicted) / both
        } else {
            0.0
        }
    }

    proptest! {
        #[test]
        fn counts_give_what_the_definition_does(
            pairs in prop::collection::vec((0_usize..4, 0_usize..4), 1..60)
        ) {
            let mut counts = vec![vec![0; 4]; 4];
            pairs.iter().for_each(|&(gold, predicted)| counts[gold][predicted] += 1);
            let (got, expected) = (matthews(&counts), by_definition(&pairs, 4));
            prop_assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        }
    }
}
