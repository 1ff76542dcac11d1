//! The shapes that targets have, and what follows from a shape whatever the task is: how labels are
//! counted, what a missing one is.

use super::spans::SpanScores;
use super::{Level, OUTSIDE, Observed, Output, UNLABELLED, dependencies};

/// What a head predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A tag for every word; the tags of a sentence make spans.
    SpanTags,
    /// A class for every word.
    WordClass,
    /// A class for every text.
    TextClass,
    /// A head in the sentence and a class for every word.
    Dependencies,
    /// Any number of classes for every text.
    TextSet,
    /// A number for every text.
    Number,
}

impl Target {
    /// What a target belongs to.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::SpanTags | Self::WordClass | Self::Dependencies => Level::Token,
            Self::TextClass | Self::TextSet | Self::Number => Level::Sentence,
        }
    }

    /// What a head computes.
    #[must_use]
    pub fn output(self) -> Output {
        match self {
            Self::SpanTags | Self::WordClass | Self::TextClass | Self::Dependencies => {
                Output::Class
            }
            Self::TextSet => Output::Set,
            Self::Number => Output::Number,
        }
    }

    /// Whether labels look like these targets. Relations look like any classes of words: that they
    /// are relations has to be said.
    #[must_use]
    pub fn suits(self, labels: &Observed) -> bool {
        labels.level == self.level()
            && match self {
                Self::SpanTags => labels.are_span_tags(),
                Self::WordClass => true,
                Self::TextClass => !labels.sets && !labels.are_scores(),
                Self::TextSet => labels.sets,
                Self::Number => !labels.sets && labels.are_scores(),
                Self::Dependencies => false,
            }
    }

    /// Whether labels can be these targets.
    ///
    /// # Errors
    /// What is needed and what is there, in words.
    pub fn check(self, labels: &Observed) -> Result<(), (&'static str, &'static str)> {
        if labels.level != self.level() {
            Err((self.level().about(), labels.level.about()))
        } else if self == Self::SpanTags && labels.are_numbers() {
            Err(("tags such as O and B-PER", "numbers without names"))
        } else if labels.sets && self != Self::TextSet {
            Err(("one label a text", "lists of labels"))
        } else {
            Ok(())
        }
    }

    /// What stands for a missing gold label in a file of predictions: a word outside spans makes no
    /// span; where labels are counted one by one, [`Self::LEFT_OUT`] leaves the word out.
    #[must_use]
    pub fn missing(self) -> &'static str {
        match self {
            Self::SpanTags => OUTSIDE,
            Self::WordClass
            | Self::TextClass
            | Self::Dependencies
            | Self::TextSet
            | Self::Number => Self::LEFT_OUT,
        }
    }

    /// In place of a label that does not count.
    pub const LEFT_OUT: &'static str = "-";

    pub(super) fn category(self, label: &str) -> &str {
        match self {
            Self::SpanTags => label.split_once('-').map_or(label, |(_, kind)| kind),
            Self::WordClass | Self::TextClass | Self::TextSet | Self::Number => label,
            Self::Dependencies => dependencies::universal(label),
        }
    }

    pub(super) fn count(self, gold: &[&str], predicted: &[&str], counts: &mut SpanScores) {
        match self {
            Self::SpanTags => return counts.add(&tags(gold), &tags(predicted)),
            Self::TextSet if gold.contains(&UNLABELLED) => return,
            Self::TextSet => return counts.add_sets(gold, predicted),
            Self::WordClass | Self::TextClass | Self::Number | Self::Dependencies => {}
        }
        let pairs = gold.iter().zip(predicted);
        for (gold, predicted) in pairs.filter(|(gold, _)| **gold != UNLABELLED) {
            counts.add_label(gold, or_outside(predicted));
        }
    }
}

/// Labels without gaps: what has none is in no span.
fn tags<'a>(labels: &[&'a str]) -> Vec<&'a str> {
    labels.iter().map(|&label| or_outside(label)).collect()
}

/// The label, [`OUTSIDE`] if there is none.
#[must_use]
pub fn or_outside(label: &str) -> &str {
    if label == UNLABELLED { OUTSIDE } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_gold_labels_are_in_no_span_and_are_not_counted_one_by_one() {
        let counted = |target: Target, gold: &[&str], predicted: &[&str]| {
            let mut counts = SpanScores::default();
            target.count(gold, predicted, &mut counts);
            let all = counts.overall();
            (all.correct, all.predicted, all.gold)
        };
        let (gold, predicted) = (["B-LOC", "", "B-PER"], ["B-LOC", "B-LOC", ""]);
        assert_eq!(counted(Target::SpanTags, &gold, &predicted), (1, 2, 2));
        assert_eq!(counted(Target::WordClass, &gold, &predicted), (1, 2, 2));
        assert_eq!(
            counted(Target::WordClass, &["", "X"], &["X", "X"]),
            (1, 1, 1)
        );
        assert_eq!(
            counted(Target::SpanTags, &["", "O"], &["B-X", "O"]),
            (0, 1, 0)
        );
    }

    #[test]
    fn sets_are_compared_class_by_class() {
        let counted = |gold: &[&str], predicted: &[&str]| {
            let mut counts = SpanScores::default();
            Target::TextSet.count(gold, predicted, &mut counts);
            let all = counts.overall();
            (all.correct, all.predicted, all.gold)
        };
        assert_eq!(counted(&["a", "b"], &["b", "c", "d"]), (1, 3, 2));
        assert_eq!(counted(&[], &["b"]), (0, 1, 0));
        assert_eq!(counted(&["a"], &[]), (0, 0, 1));
        assert_eq!(counted(&[], &[]), (0, 0, 0));
        assert_eq!(counted(&[UNLABELLED], &["b"]), (0, 0, 0));
    }
}
