//! What is measured: the number that a head is chosen by, its name, and what a report says and
//! draws of it.

use super::spans::Counts;

/// A score between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// F1 over all spans.
    SpanF1,
    /// The share of labels that are right.
    Accuracy,
    /// The share of words whose head and relation are right, subtypes of relations apart.
    Las,
}

/// A number of a table of scores that a chart may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Harmonic mean of precision and recall over all classes.
    F1,
    /// Over all classes.
    Precision,
    /// Over all classes.
    Recall,
    /// The share of labels that are right.
    Accuracy,
    /// The share of words whose head and relation are right.
    Las,
    /// The share of words whose head is right.
    Uas,
    /// F1 of content words' heads and relations.
    Clas,
}

impl Metric {
    /// As it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SpanF1 => Figure::F1.name(),
            Self::Accuracy => Figure::Accuracy.name(),
            Self::Las => Figure::Las.name(),
        }
    }

    /// The score of counts over all classes. Labels that are compared one by one are all predicted
    /// and all gold.
    #[must_use]
    pub fn value(self, counts: Counts) -> f64 {
        match self {
            Self::SpanF1 => counts.f1(),
            Self::Accuracy | Self::Las => counts.recall(),
        }
    }

    /// What counts as right, in a sentence.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::SpanF1 => "A span counts when type and both ends are right, as conlleval counts.",
            Self::Accuracy => "Each label counts by itself.",
            Self::Las => {
                "A word counts when its head and its relation, without the subtype, are right, as the CoNLL 2018 evaluation counts on gold words."
            }
        }
    }

    /// What is drawn of it over the epochs, the score itself first.
    #[must_use]
    pub fn figures(self) -> &'static [Figure] {
        match self {
            Self::SpanF1 => &[Figure::F1, Figure::Precision, Figure::Recall],
            Self::Accuracy => &[Figure::Accuracy],
            Self::Las => &[Figure::Las, Figure::Uas, Figure::Clas],
        }
    }
}

impl Figure {
    /// As it is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F1 => "F1",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Accuracy => "accuracy",
            Self::Las => "LAS",
            Self::Uas => "UAS",
            Self::Clas => "CLAS",
        }
    }
}
