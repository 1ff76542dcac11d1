//! What labels mean: the task they are for, the scheme in which spans are written, the classes there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dataset, DatasetError, Split, Task};
use crate::labels::{Evidence, Scheme, is_span_tag, to_iob2};

/// Phrase types of the CoNLL-2000 chunking task that no set of entity types has.
const PHRASES: [&str; 3] = ["NP", "VP", "PP"];

/// Puts a data set together from its splits, with tags turned into IOB2; `texts` when there is one label a text.
pub(super) fn dataset(
    id: String,
    wanted: Option<Task>,
    texts: bool,
    mut splits: Vec<Split>,
    mut notes: Vec<String>,
) -> Result<Dataset, DatasetError> {
    let counts = label_counts(&splits);
    let task = match wanted {
        Some(task) => check(task, texts, &counts, &splits)?,
        None if texts => Task::Sequence,
        None => guess(&counts),
    };
    if task.labels_words() && are_numbers(&counts) {
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

fn check(
    task: Task,
    texts: bool,
    counts: &BTreeMap<String, usize>,
    splits: &[Split],
) -> Result<Task, DatasetError> {
    let (needed, found) = match (task, texts) {
        (Task::Sequence, false) => ("one label a text", "one label a word"),
        (Task::Ner | Task::Chunk | Task::Pos, true) => ("one label a word", "one label a text"),
        (Task::Ner | Task::Chunk, _) if are_numbers(counts) => {
            ("tags such as O and B-PER", "numbers without names")
        }
        _ => return Ok(task),
    };
    let path = splits
        .first()
        .map(|split| split.path.clone())
        .unwrap_or_default();
    Err(DatasetError::Task {
        path,
        task,
        needed,
        found,
    })
}

fn are_numbers(counts: &BTreeMap<String, usize>) -> bool {
    counts.keys().all(|label| label.parse::<i64>().is_ok())
}

/// The task of labels that stand one a word.
fn guess(counts: &BTreeMap<String, usize>) -> Task {
    let total: usize = counts.values().sum();
    let tags: usize = counts
        .iter()
        .filter(|(label, _)| is_span_tag(label))
        .map(|(_, count)| count)
        .sum();
    let prefixed = counts
        .keys()
        .any(|label| label != "O" && is_span_tag(label));
    // Types without a prefix beside `O` are spans too; some sets of parts of speech have an `O`, but not for most words.
    let outside = counts.get("O").copied().unwrap_or(0);
    let mostly_outside = counts.values().all(|count| *count <= outside);
    if (prefixed && tags * 10 >= total * 9) || mostly_outside {
        let phrase = |label: &String| {
            label
                .split_once('-')
                .is_some_and(|(_, kind)| PHRASES.contains(&kind))
        };
        if counts.keys().any(phrase) {
            Task::Chunk
        } else {
            Task::Ner
        }
    } else {
        Task::Pos
    }
}

/// Turns the tags of all splits into IOB2; gives the scheme that they had.
fn convert(splits: &mut [Split], notes: &mut Vec<String>) -> Scheme {
    let mut evidence = Evidence::default();
    for split in &*splits {
        for index in 0..split.sentences.len() {
            let mut previous = "O";
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

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(labels: &[(&str, usize)]) -> Task {
        guess(
            &labels
                .iter()
                .map(|(label, count)| ((*label).to_owned(), *count))
                .collect(),
        )
    }

    #[test]
    fn tasks_are_guessed_from_labels() {
        assert_eq!(guessed(&[("O", 9), ("B-PER", 2), ("I-PER", 1)]), Task::Ner);
        assert_eq!(guessed(&[("O", 2), ("B-NP", 9), ("I-NP", 5)]), Task::Chunk);
        assert_eq!(guessed(&[("O", 9), ("PERSON", 2)]), Task::Ner);
        assert_eq!(guessed(&[("NOUN", 9), ("VERB", 2)]), Task::Pos);
        // The Twitter part-of-speech set has an O, for pronouns.
        assert_eq!(guessed(&[("N", 9), ("O", 2), ("V", 5)]), Task::Pos);
    }
}
