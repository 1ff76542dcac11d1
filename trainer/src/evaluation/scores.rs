//! How good predictions are: the task's metric over a split, scores by class, and the confusion
//! matrix.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::tasks::spans::{Averages, SpanScores};
use shared::tasks::{Figure, LabelScores, OUTSIDE, Task, UNLABELLED, or_outside};

use crate::metrics::number;

/// More classes than this are left to the report.
const TABLE: usize = 40;

/// Precision, recall and F1 of one class or type, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class or span type; `micro` and `macro` for all together.
    pub name: String,
    /// Share of the predicted ones that are right.
    #[serde(deserialize_with = "number::or_nan")]
    pub precision: f64,
    /// Share of the gold ones that were found.
    #[serde(deserialize_with = "number::or_nan")]
    pub recall: f64,
    /// Harmonic mean of the two.
    #[serde(deserialize_with = "number::or_nan")]
    pub f1: f64,
    /// Gold ones.
    pub support: u64,
}

/// Counts of gold against predicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Classes, or span types and `O`.
    pub names: Vec<String>,
    /// `[gold, predicted]`, words of token tasks, sentences of sentence tasks.
    pub counts: Vec<Vec<usize>>,
}

/// Scores of one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Name of the task's main metric: `F1` or `accuracy`.
    pub metric: String,
    /// The main metric, between 0 and 1.
    #[serde(deserialize_with = "number::or_nan")]
    pub value: f64,
    /// Mean cross-entropy over the labelled tokens or sentences, in nats.
    #[serde(deserialize_with = "number::or_nan")]
    pub loss: f64,
    /// Share of words or sentences whose label is right.
    #[serde(deserialize_with = "number::or_nan")]
    pub accuracy: f64,
    /// Over all spans; over all words or sentences where there are no spans.
    pub micro: ClassScore,
    /// Mean over the types or classes that occur.
    pub macro_average: ClassScore,
    /// By type or class, in the order of their names.
    pub classes: Vec<ClassScore>,
    /// The confusion matrix; left out of the scores of an epoch.
    #[serde(default, skip_serializing_if = "Confusion::is_empty")]
    pub confusion: Confusion,
    /// Of dependency trees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
}

/// What is measured of dependency trees besides LAS, which is [`Scores::value`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Share of words whose head is right.
    #[serde(deserialize_with = "number::or_nan")]
    pub uas: f64,
    /// F1 of content words' heads and relations.
    #[serde(deserialize_with = "number::or_nan")]
    pub clas: f64,
    /// By the distance between a word and its head.
    pub distances: Vec<ClassScore>,
}

/// Gold and predicted labels, sentence by sentence; one label a word, or one a sentence.
#[derive(Clone, Debug, Default)]
pub struct Labelled<'a> {
    /// What the data set says.
    pub gold: Vec<Vec<&'a str>>,
    /// What the head says.
    pub predicted: Vec<Vec<&'a str>>,
}

impl Labelled<'_> {
    /// Labels of all that the data set labels; what no token stands for is predicted as `O`.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.gold
            .iter()
            .flatten()
            .copied()
            .zip(self.predicted.iter().flatten().copied())
            .filter(|&(gold, _)| gold != UNLABELLED)
            .map(|(gold, predicted)| (gold, or_outside(predicted)))
    }
}

impl Scores {
    /// Scores `labels` of `task`; `loss` is passed on.
    #[must_use]
    pub fn new(task: Task, labels: &Labelled<'_>, loss: f64) -> Self {
        let mut words = LabelScores::default();
        let (gold, predicted): (Vec<&str>, Vec<&str>) = labels.pairs().unzip();
        words.add(&gold, &predicted);
        let mut counts = SpanScores::default();
        for (gold, predicted) in labels.gold.iter().zip(&labels.predicted) {
            task.count(gold, predicted, &mut counts);
        }
        let categories = labels
            .pairs()
            .map(|(gold, predicted)| (task.category(gold), task.category(predicted)));
        let metric = task.metric();
        Self {
            metric: metric.name().to_owned(),
            value: metric.value(counts.overall()),
            loss,
            accuracy: words.accuracy(),
            micro: ClassScore::new("micro", counts.micro()),
            macro_average: ClassScore::new("macro", counts.macro_average()),
            classes: counts
                .types
                .iter()
                .map(|(name, counts)| ClassScore::new(name, counts.scores()))
                .collect(),
            confusion: Confusion::count(categories),
            attachment: None,
        }
    }

    /// The number that a chart shows.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> f64 {
        match figure {
            Figure::F1 => self.micro.f1,
            Figure::Precision => self.micro.precision,
            Figure::Recall => self.micro.recall,
            Figure::Accuracy => self.accuracy,
            Figure::Las => self.value,
            Figure::Uas => self.attachment.as_ref().map_or(f64::NAN, |one| one.uas),
            Figure::Clas => self.attachment.as_ref().map_or(f64::NAN, |one| one.clas),
        }
    }

    /// The scores as lines of a table, for the terminal; without the classes where they would fill
    /// it.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let classes = if self.classes.len() > TABLE {
            &[][..]
        } else {
            &self.classes
        };
        let rows = || classes.iter().chain([&self.micro, &self.macro_average]);
        let width = rows()
            .map(|row| row.name.chars().count())
            .max()
            .unwrap_or(0)
            .max(8);
        let mut lines = vec![format!(
            "{:width$}  {:>9}  {:>6}  {:>6}  {:>7}",
            "", "precision", "recall", "F1", "support"
        )];
        lines.extend(rows().map(|row| {
            format!(
                "{:width$}  {:>9.4}  {:>6.4}  {:>6.4}  {:>7}",
                row.name, row.precision, row.recall, row.f1, row.support
            )
        }));
        if let Some(attachment) = &self.attachment {
            let Attachment { uas, clas, .. } = attachment;
            let las = self.value;
            lines.push(format!("LAS {las:.4}  UAS {uas:.4}  CLAS {clas:.4}"));
        }
        lines
    }
}

impl Confusion {
    pub(super) fn count<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for pair in pairs {
            *counted.entry(pair).or_default() += 1;
        }
        let mut names: Vec<&str> = counted
            .keys()
            .flat_map(|&(gold, predicted)| [gold, predicted])
            .collect();
        // No span at all is what all types are confused with most: it goes last.
        names.sort_unstable_by_key(|&name| (name == OUTSIDE, name));
        names.dedup();
        let row = |gold: &str| {
            names
                .iter()
                .map(|&predicted| counted.get(&(gold, predicted)).copied().unwrap_or(0))
                .collect()
        };
        let counts = names.iter().map(|&gold| row(gold)).collect();
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            counts,
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The `most` largest confusions: gold, predicted, how often.
    #[must_use]
    pub fn largest(&self, most: usize) -> Vec<(&str, &str, usize)> {
        let mut found: Vec<_> = self
            .counts
            .iter()
            .enumerate()
            .flat_map(|(gold, row)| {
                row.iter()
                    .enumerate()
                    .filter(move |&(predicted, &count)| predicted != gold && count > 0)
                    .map(move |(predicted, &count)| {
                        (
                            self.names[gold].as_str(),
                            self.names[predicted].as_str(),
                            count,
                        )
                    })
            })
            .collect();
        found.sort_by_key(|&(_, _, count)| std::cmp::Reverse(count));
        found.truncate(most);
        found
    }
}

impl ClassScore {
    pub(super) fn new(name: &str, scores: Averages) -> Self {
        let Averages {
            precision,
            recall,
            f1,
            support,
        } = scores;
        Self {
            name: name.to_owned(),
            precision,
            recall,
            f1,
            support,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled<'a>(gold: &[&'a str], predicted: &[&'a str]) -> Labelled<'a> {
        Labelled {
            gold: vec![gold.to_vec()],
            predicted: vec![predicted.to_vec()],
        }
    }

    #[test]
    fn spans_count_as_a_whole() {
        let labels = labelled(
            &["B-PER", "I-PER", "O", "B-LOC"],
            &["B-PER", "O", "O", "B-LOC"],
        );
        let scores = Scores::new(Task::Ner, &labels, 0.5);
        assert_eq!(scores.metric, "F1");
        assert!((scores.value - 0.5).abs() < 1e-12);
        assert!((scores.accuracy - 0.75).abs() < 1e-12);
        assert_eq!(scores.confusion.names, ["LOC", "PER", "O"]);
        assert_eq!(scores.confusion.counts, [[1, 0, 0], [0, 1, 1], [0, 0, 1]]);
        assert_eq!(scores.confusion.largest(5), [("PER", "O", 1)]);
    }

    #[test]
    fn what_has_no_label_is_not_scored_and_what_was_not_predicted_is_wrong() {
        let labels = labelled(&["NOUN", UNLABELLED, "DET"], &["NOUN", "VERB", UNLABELLED]);
        let scores = Scores::new(Task::Pos, &labels, 0.5);
        assert!((scores.accuracy - 0.5).abs() < 1e-12);
        assert!(scores.classes.iter().all(|class| class.name != "VERB"));
        let labels = labelled(
            &["B-LOC", UNLABELLED, "B-PER"],
            &["B-LOC", UNLABELLED, UNLABELLED],
        );
        let scores = Scores::new(Task::Ner, &labels, 0.5);
        assert!((scores.micro.precision - 1.0).abs() < 1e-12);
        assert!((scores.micro.recall - 0.5).abs() < 1e-12);
    }

    #[test]
    fn other_labels_count_one_by_one() {
        let labels = labelled(
            &["DET", "NOUN", "VERB", "NOUN"],
            &["DET", "VERB", "VERB", "NOUN"],
        );
        let scores = Scores::new(Task::Pos, &labels, 0.5);
        assert_eq!(scores.metric, "accuracy");
        assert!((scores.value - 0.75).abs() < 1e-12);
        assert!((scores.micro.f1 - 0.75).abs() < 1e-12);
        assert_eq!(
            scores
                .classes
                .iter()
                .map(|class| class.support)
                .collect::<Vec<_>>(),
            [1, 2, 1]
        );
    }

    #[test]
    fn the_table_lines_up() {
        let table = Scores::new(
            Task::Ner,
            &labelled(&["B-creative-work"], &["B-creative-work"]),
            0.0,
        )
        .table();
        assert_eq!(
            table[0],
            "               precision  recall      F1  support"
        );
        assert_eq!(
            table[1],
            "creative-work     1.0000  1.0000  1.0000        1"
        );
        assert_eq!(table.len(), 4);
    }
}
