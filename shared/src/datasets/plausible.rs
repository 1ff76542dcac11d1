//! Whether labels can be classes at all. A score or a running number in place of a label trains
//! without an error, and what comes out means nothing.

use std::collections::BTreeSet;

use super::{DatasetError, Split};
use crate::tasks::Level;

/// Labels above which half of them must occur twice.
const FEW: usize = 50;
/// Texts from which on not every one may have a class of its own.
const SEVERAL: usize = 10;

/// # Errors
/// When the labels are numbers with a fraction, or nearly as many as there are texts.
pub(super) fn check(splits: &[Split], level: Level) -> Result<(), DatasetError> {
    let Some(largest) = splits.iter().max_by_key(|split| split.sentences.len()) else {
        return Ok(());
    };
    let path = || largest.path.clone();
    let names: BTreeSet<&str> = splits
        .iter()
        .flat_map(|split| split.sentences.label_counts())
        .filter(|(_, count)| *count > 0)
        .map(|(name, _)| name)
        .collect();
    let numbers = || names.iter().map(|name| name.parse::<f64>());
    if numbers().all(|number| number.is_ok())
        && let Some(example) = names.iter().find(|name| is_fraction(name))
    {
        return Err(DatasetError::Scores {
            path: path(),
            example: (*example).to_owned(),
        });
    }
    let of_largest = counts(std::slice::from_ref(largest));
    for (labels, classes) in [of_largest, (counts(splits).0, names.len())] {
        let each_its_own = level == Level::Sentence && labels >= SEVERAL && classes == labels;
        if each_its_own || (labels > FEW && classes * 2 > labels) {
            return Err(DatasetError::TooManyClasses {
                path: path(),
                classes,
                labels,
            });
        }
    }
    Ok(())
}

/// How many labels there are, and how many different ones.
fn counts(splits: &[Split]) -> (usize, usize) {
    let counts = splits
        .iter()
        .flat_map(|split| split.sentences.label_counts());
    counts
        .filter(|(_, count)| *count > 0)
        .fold((0, 0), |(labels, classes), (_, count)| {
            (labels + count, classes + 1)
        })
}

fn is_fraction(label: &str) -> bool {
    label
        .parse::<f64>()
        .is_ok_and(|number| number.is_finite() && number.fract() != 0.0)
}
