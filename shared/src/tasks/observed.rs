//! The labels of a data set as they are found, before it is known what they are for.

use std::collections::BTreeMap;

use super::schemes::look_like_spans;
use super::{Level, UNLABELLED};

/// All labels of a data set.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Whether there is one a word or one a text.
    pub level: Level,
    /// Whether a text has a list of labels.
    pub sets: bool,
    /// How often each occurs.
    pub counts: BTreeMap<String, usize>,
}

impl Observed {
    /// The different labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(String::as_str)
    }

    /// Whether all labels are numbers: indices of classes whose names are lost.
    #[must_use]
    pub fn are_numbers(&self) -> bool {
        self.names()
            .filter(|label| *label != UNLABELLED)
            .all(|label| label.parse::<i64>().is_ok())
    }

    /// Whether all labels are numbers and one has a fraction: they measure something.
    #[must_use]
    pub fn are_scores(&self) -> bool {
        let numbers = || self.names().map(str::parse::<f64>);
        numbers().all(|number| number.is_ok())
            && numbers()
                .flatten()
                .any(|number| number.is_finite() && number.fract() != 0.0)
    }

    /// Whether most labels are tags of spans, with a prefix for some; types without a prefix beside
    /// `O` are spans too. Some sets of parts of speech have an `O`, but not for most words.
    #[must_use]
    pub fn are_span_tags(&self) -> bool {
        look_like_spans(&self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use super::*;

    fn guessed(level: Level, labels: &[(&str, usize)]) -> Option<Task> {
        let counts = labels
            .iter()
            .map(|(label, count)| ((*label).to_owned(), *count));
        Task::guess(&Observed {
            level,
            sets: false,
            counts: counts.collect(),
        })
    }

    #[test]
    fn tasks_are_guessed_from_labels() {
        let of_words = |labels: &[(&str, usize)]| guessed(Level::Token, labels).unwrap();
        assert_eq!(of_words(&[("O", 9), ("B-PER", 2), ("I-PER", 1)]), Task::Ner);
        assert_eq!(of_words(&[("O", 2), ("B-NP", 9), ("I-NP", 5)]), Task::Chunk);
        assert_eq!(of_words(&[("O", 9), ("PERSON", 2)]), Task::Ner);
        assert_eq!(of_words(&[("NOUN", 9), ("VERB", 2)]), Task::Pos);
        // The Twitter part-of-speech set has an O, for pronouns.
        assert_eq!(of_words(&[("N", 9), ("O", 2), ("V", 5)]), Task::Pos);
        let texts = guessed(Level::Sentence, &[("O", 9), ("B-PER", 2)]);
        assert_eq!(texts, Some(Task::Sequence));
        let texts = guessed(Level::Sentence, &[("1", 9), ("-2", 2)]);
        assert_eq!(texts, Some(Task::Sequence), "whole numbers may be classes");
        let texts = guessed(Level::Sentence, &[("1", 9), ("2.5", 2)]);
        assert_eq!(texts, Some(Task::Regression));
        let sets = Observed {
            level: Level::Sentence,
            sets: true,
            counts: [("a".to_owned(), 3)].into(),
        };
        assert_eq!(Task::guess(&sets), Some(Task::Multilabel));
    }
}
