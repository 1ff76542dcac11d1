//! What labels mean: the task they are for, the scheme in which spans are written, the classes
//! there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Dataset, DatasetError, LineError, Source, Split, SplitName, numbers, plausible, spans,
};
use crate::tasks::{Level, OUTSIDE, Observed, Output, Task, UNLABELLED};

/// A split of fewer words may well have one class only.
const FEW_WORDS: usize = 200;

/// Puts a data set together from its splits, with tags turned into IOB2.
pub(super) fn dataset(
    id: String,
    source: &Source,
    (level, sets): (Level, bool),
    mut splits: Vec<Split>,
    mut notes: Vec<String>,
) -> Result<Dataset, DatasetError> {
    let counts = label_counts(&splits);
    let labels = Observed {
        level,
        sets,
        counts,
    };
    let mut task = task(source.task, &labels, &splits)?;
    check_heads(&splits, task)?;
    match task.output() {
        Output::Class => plausible::check(&splits, level)?,
        Output::Set => {}
        Output::Number => {
            notes.extend(numbers::convert(&mut splits)?);
            if source.task.is_none() {
                notes.push(taken_for(task));
            }
            return Ok(Dataset {
                id,
                task,
                scheme: None,
                classes: Vec::new(),
                splits,
                notes,
                warnings: Vec::new(),
            });
        }
    }
    check_empty(&splits, &labels, task)?;
    if task.labels_words() && labels.are_numbers() {
        notes.push("the labels are numbers without names".to_owned());
    }
    let mut warnings = Vec::new();
    let mut scheme = None;
    if task.has_spans() {
        let told = spans::convert(&mut splits, &labels.counts, source.scheme)?;
        notes.extend(told.notes);
        warnings.extend(told.warnings);
        scheme = Some(told.scheme);
        // Phrases are known by their types, which may have been written in another way.
        let counts = label_counts(&splits);
        let guessed = Task::guess(&Observed {
            level,
            sets,
            counts,
        });
        task = source
            .task
            .or(guessed.filter(|task| task.has_spans()))
            .unwrap_or(task);
    }
    if source.task.is_none() {
        notes.push(taken_for(task));
    }
    let classes: BTreeSet<&String> = splits
        .iter()
        .flat_map(|split| split.sentences.label_names())
        .filter(|label| *label != UNLABELLED)
        .collect();
    let classes: Vec<String> = classes.into_iter().cloned().collect();
    if classes.is_empty() {
        return Err(DatasetError::Empty {
            path: first_path(&splits),
            what: if sets {
                "no text has a label"
            } else {
                "every word is without a label, `_`"
            },
        });
    }
    if task.output() == Output::Class {
        warnings.extend(splits.iter().filter_map(one_class));
    }
    Ok(Dataset {
        id,
        task,
        scheme,
        classes,
        splits,
        notes,
        warnings,
    })
}

fn taken_for(task: Task) -> String {
    format!("the labels are taken for those of task `{task}` (--task for another)")
}

/// The task that the user named, or that the labels are for.
fn task(wanted: Option<Task>, labels: &Observed, splits: &[Split]) -> Result<Task, DatasetError> {
    match wanted {
        Some(task) => task
            .target()
            .check(labels)
            .map(|()| task)
            .map_err(|(needed, found)| DatasetError::Task {
                path: first_path(splits),
                task,
                needed,
                found,
            }),
        None => Task::guess(labels).ok_or_else(|| DatasetError::NoTask {
            path: first_path(splits),
            found: labels.level.about(),
        }),
    }
}

/// Refuses labels without heads for a task that has these.
fn check_heads(splits: &[Split], task: Task) -> Result<(), DatasetError> {
    let lacks = |split: &&Split| !split.sentences.is_empty() && split.sentences.heads(0).is_none();
    match splits.iter().find(lacks) {
        Some(split) if task.has_heads() => Err(DatasetError::Task {
            path: split.path.clone(),
            task,
            needed: "a head and a relation for every word, in the columns of CoNLL-U",
            found: "labels without heads",
        }),
        _ => Ok(()),
    }
}

fn first_path(splits: &[Split]) -> std::path::PathBuf {
    splits
        .first()
        .map(|split| split.path.clone())
        .unwrap_or_default()
}

/// Empty labels say that words are in no span where other tags have a letter and nothing else says
/// so; elsewhere somebody forgot them.
fn check_empty(splits: &[Split], labels: &Observed, task: Task) -> Result<(), DatasetError> {
    let means_outside = task.has_spans()
        && labels
            .names()
            .all(|label| label == UNLABELLED || label.len() > 1);
    let empty = splits
        .iter()
        .find_map(|split| Some((split, split.sentences.first_empty()?)));
    match empty {
        Some((split, (line, column))) if !means_outside => Err(DatasetError::Line {
            path: split.path.clone(),
            line,
            cause: LineError::EmptyField {
                what: "label",
                column,
            },
        }),
        _ => Ok(()),
    }
}

/// Says that a split has a single class, where that is no accident of its size.
fn one_class(split: &Split) -> Option<String> {
    let mut labels = split
        .sentences
        .label_counts()
        .filter(|(label, count)| *label != UNLABELLED && *count > 0);
    let (only, count) = labels.next()?;
    if labels.next().is_some() || (split.name != SplitName::Train && count < FEW_WORDS) {
        return None;
    }
    let what = match split.name {
        SplitName::Train => "a head can learn nothing from it",
        _ => "nothing can be measured on it",
    };
    let spans = if only == OUTSIDE { " (no span)" } else { "" };
    Some(format!(
        "{}: every label of {} is `{only}`{spans}: {what}",
        split.path.display(),
        split.name
    ))
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
