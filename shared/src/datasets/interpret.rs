//! What labels mean: the task they are for, the scheme in which spans are written, the classes
//! there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dataset, DatasetError, Split, plausible};
use crate::tasks::schemes::{Evidence, Scheme, to_iob2};
use crate::tasks::{Level, OUTSIDE, Observed, Task};

/// Puts a data set together from its splits, with tags turned into IOB2.
pub(super) fn dataset(
    id: String,
    wanted: Option<Task>,
    level: Level,
    mut splits: Vec<Split>,
    mut notes: Vec<String>,
) -> Result<Dataset, DatasetError> {
    plausible::check(&splits, level)?;
    let counts = label_counts(&splits);
    let labels = Observed { level, counts };
    let path = || splits.first().map(|split| split.path.clone());
    let task = match wanted {
        Some(task) => task
            .target()
            .check(&labels)
            .map(|()| task)
            .map_err(|(needed, found)| DatasetError::Task {
                path: path().unwrap_or_default(),
                task,
                needed,
                found,
            })?,
        None => Task::guess(&labels).ok_or_else(|| DatasetError::NoTask {
            path: path().unwrap_or_default(),
            found: level.about(),
        })?,
    };
    if task.labels_words() && labels.are_numbers() {
        notes.push("the labels are numbers without names".to_owned());
    }
    let scheme = task.has_spans().then(|| convert(&mut splits, &mut notes));
    let classes: BTreeSet<&String> = splits
        .iter()
        .flat_map(|split| split.sentences.label_names())
        .collect();
    let classes = classes.into_iter().cloned().collect();
    Ok(Dataset {
        id,
        task,
        scheme,
        classes,
        splits,
        notes,
    })
}

/// How often every label occurs, over all splits.
fn label_counts(splits: &[Split]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for split in splits {
        for (name, count) in split.sentences.label_counts() {
            *counts.entry(name.to_owned()).or_default() += count;
        }
    }
    counts
}

/// Turns the tags of all splits into IOB2; gives the scheme that they had.
fn convert(splits: &mut [Split], notes: &mut Vec<String>) -> Scheme {
    let mut evidence = Evidence::default();
    for split in &*splits {
        for index in 0..split.sentences.len() {
            let mut previous = OUTSIDE;
            for tag in split.sentences.labels(index) {
                evidence.add(previous, tag);
                previous = tag;
            }
        }
    }
    let scheme = evidence.scheme();
    let mut changed = 0;
    if scheme != Scheme::Iob2 || !evidence.is_clean_iob2() {
        for split in splits {
            split.sentences.relabel(|tags| {
                let new = to_iob2(scheme, tags);
                changed += tags
                    .iter()
                    .zip(&new)
                    .filter(|(old, new)| *old != new)
                    .count();
                new
            });
        }
    }
    if scheme == Scheme::Iob2 && changed > 0 {
        notes.push(format!(
            "{changed} tags that IOB2 does not allow were read as the beginning of a span"
        ));
    }
    scheme
}
