//! What is measured: the number that a head is chosen by, its name, and what a report says and
//! draws of it.

use super::spans::Counts;

/// A score, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// F1 over all spans.
    SpanF1,
    /// The share of labels that are right.
    Accuracy,
    /// The share of words whose head and relation are right, subtypes of relations apart.
    Las,
    /// F1 over all classes of all texts.
    SetF1,
    /// The mean of the F1 of the classes.
    MacroF1,
    /// Matthews' correlation coefficient of classes.
    Matthews,
    /// The correlation of numbers.
    Pearson,
    /// The correlation of the ranks of numbers.
    Spearman,
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
    /// The mean of the F1 of the classes.
    MacroF1,
    /// Matthews' correlation coefficient of classes.
    Matthews,
    /// The correlation of numbers.
    Pearson,
    /// The correlation of the ranks of numbers.
    Spearman,
}

impl Metric {
    /// As it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.figure().name()
    }

    /// The number of a table of scores that it is.
    #[must_use]
    pub fn figure(self) -> Figure {
        match self {
            Self::SpanF1 | Self::SetF1 => Figure::F1,
            Self::Accuracy => Figure::Accuracy,
            Self::Las => Figure::Las,
            Self::MacroF1 => Figure::MacroF1,
            Self::Matthews => Figure::Matthews,
            Self::Pearson => Figure::Pearson,
            Self::Spearman => Figure::Spearman,
        }
    }

    /// The score of counts over all classes; NaN for one that does not follow from them. Labels
    /// that are compared one by one are all predicted and all gold.
    #[must_use]
    pub fn value(self, counts: Counts) -> f64 {
        match self {
            Self::SpanF1 | Self::SetF1 => counts.f1(),
            Self::Accuracy | Self::Las => counts.recall(),
            Self::MacroF1 | Self::Matthews | Self::Pearson | Self::Spearman => f64::NAN,
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
            Self::SetF1 => "Each class of a text counts by itself.",
            Self::MacroF1 => "Each class counts the same, however often it occurs.",
            Self::Matthews => "The correlation of gold and predicted classes (Gorodkin 2004).",
            Self::Pearson => "The correlation of gold and predicted numbers.",
            Self::Spearman => "The correlation of the ranks of gold and predicted numbers.",
        }
    }

    /// What is drawn of it over the epochs, the score itself first.
    #[must_use]
    pub fn figures(self) -> &'static [Figure] {
        match self {
            Self::SpanF1 => &[Figure::F1, Figure::Precision, Figure::Recall],
            Self::Accuracy => &[Figure::Accuracy],
            Self::Las => &[Figure::Las, Figure::Uas, Figure::Clas],
            Self::SetF1 => &[Figure::F1, Figure::MacroF1],
            Self::MacroF1 => &[Figure::MacroF1],
            Self::Matthews => &[Figure::Matthews],
            Self::Pearson => &[Figure::Pearson, Figure::Spearman],
            Self::Spearman => &[Figure::Spearman],
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
            Self::MacroF1 => "macro F1",
            Self::Matthews => "Matthews",
            Self::Pearson => "Pearson",
            Self::Spearman => "Spearman",
        }
    }
}
