//! Which classes a text has, where it may have any number: those whose probability, the sigmoid of
//! their logit, reaches a threshold. Both programs choose here, so that they choose alike.

/// The probability that a class is right.
#[must_use]
pub fn probability(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// The classes of a text with these logits `[classes]`, in their order; `thresholds` `[classes]` are
/// probabilities.
#[must_use]
pub fn chosen(logits: &[f32], thresholds: &[f64]) -> Vec<usize> {
    let classes = logits.iter().zip(thresholds).enumerate();
    let chosen = classes.filter(|(_, (logit, threshold))| probability(**logit) >= **threshold);
    chosen.map(|(class, _)| class).collect()
}

/// The threshold with which the F1 of a class is highest, from the probability of each text and
/// whether it has the class: half-way between two neighbouring probabilities; of equally good ones
/// the one next to 0.5. 0.5 where no text has the class, or no threshold finds one.
#[must_use]
pub fn best_threshold(mut texts: Vec<(f64, bool)>) -> f64 {
    const USUAL: f64 = 0.5;
    let gold = texts.iter().filter(|(_, has)| *has).count();
    texts.retain(|(probability, _)| probability.is_finite());
    texts.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let (mut best, mut threshold) = ((0, 1), USUAL);
    let mut correct = 0;
    for (place, (probability, has)) in texts.iter().enumerate() {
        correct += usize::from(*has);
        let next = texts.get(place + 1).map_or(0.0, |(next, _)| *next);
        // Equal ones are predicted together.
        if texts.get(place + 1).is_some() && next >= *probability {
            continue;
        }
        let between = f64::midpoint(*probability, next);
        // The F1 is twice the correct ones over all predicted and gold ones.
        let (twice, all) = (2 * correct, place + 1 + gold);
        let order = (twice * best.1).cmp(&(best.0 * all));
        let is_nearer = (between - USUAL).abs() < (threshold - USUAL).abs();
        if order.is_gt() || (order.is_eq() && twice > 0 && is_nearer) {
            (best, threshold) = ((twice, all), between);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn f1(texts: &[(f64, bool)], threshold: f64) -> f64 {
        let count = |is_so: &dyn Fn(&(f64, bool)) -> bool| {
            f64::from(u32::try_from(texts.iter().filter(|text| is_so(text)).count()).unwrap())
        };
        let correct = count(&|(probability, has)| *has && *probability >= threshold);
        let both = count(&|(probability, _)| *probability >= threshold) + count(&|(_, has)| *has);
        if both > 0.0 {
            2.0 * correct / both
        } else {
            0.0
        }
    }

    #[test]
    fn classes_are_chosen_by_the_sigmoid() {
        assert_eq!(chosen(&[0.0, -0.01, 2.0, -9.0], &[0.5; 4]), [0, 2]);
        assert_eq!(
            chosen(&[0.0, -0.01, 2.0, -9.0], &[0.6, 0.1, 0.9, 0.0]),
            [1, 3]
        );
        assert!(chosen(&[f32::NAN], &[0.5]).is_empty());
        assert!((probability(1.5) - 0.817_574_476).abs() < 1e-9);
        assert!(probability(-1000.0) >= 0.0 && probability(1000.0) <= 1.0);
    }

    #[test]
    fn what_says_nothing_leaves_the_usual_threshold() {
        assert!((best_threshold(vec![]) - 0.5).abs() < 1e-12);
        assert!((best_threshold(vec![(0.9, false), (0.2, false)]) - 0.5).abs() < 1e-12);
        assert!((best_threshold(vec![(0.2, true), (0.1, false)]) - 0.15).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn no_other_threshold_has_a_higher_f1(
            texts in prop::collection::vec((0_u8..12, any::<bool>()), 1..30)
        ) {
            let texts: Vec<(f64, bool)> =
                texts.into_iter().map(|(tenths, has)| (f64::from(tenths) / 12.0, has)).collect();
            let found = f1(&texts, best_threshold(texts.clone()));
            let most = (0..=24).map(|step| f1(&texts, f64::from(step) / 24.0 + 1e-9));
            let most = most.fold(0.0, f64::max);
            prop_assert!(found >= most - 1e-12, "{found} {most}");
        }
    }
}
