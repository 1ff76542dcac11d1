//! How good predictions are: the task's metric over a split, scores by class, and the confusion
//! matrix.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::tasks::spans::{Averages, SpanScores};
use shared::tasks::{Figure, LabelScores, Metric, OUTSIDE, Output, Task, UNLABELLED, or_outside};

use super::NumberScores;
use super::matthews::matthews;
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
    /// Name of the task's main metric: `F1`, `accuracy` or `Pearson`.
    pub metric: String,
    /// The main metric, at most 1.
    #[serde(deserialize_with = "number::or_nan")]
    pub value: f64,
    /// Mean loss over the labelled tokens or sentences: cross-entropy in nats, or squared error.
    #[serde(deserialize_with = "number::or_nan")]
    pub loss: f64,
    /// Share of words or sentences whose label is right, or all whose labels are; NaN for numbers.
    #[serde(deserialize_with = "number::or_nan")]
    pub accuracy: f64,
    /// Over all spans; over all words or sentences where there are no spans. Not written for
    /// numbers, and so the next two.
    #[serde(default, skip_serializing_if = "ClassScore::is_none")]
    pub micro: ClassScore,
    /// Mean over the types or classes that occur.
    #[serde(default, skip_serializing_if = "ClassScore::is_none")]
    pub macro_average: ClassScore,
    /// By type or class, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassScore>,
    /// Matthews' correlation coefficient, for tasks that have it; 0 where one side has one class.
    #[serde(
        default,
        deserialize_with = "number::or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub matthews: Option<f64>,
    /// Scores of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberScores>,
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

/// Gold and predicted labels, sentence by sentence; one label a word, or one a sentence, or all of
/// it for tasks of sets.
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
        let sets = task.output() == Output::Set;
        let mut words = LabelScores::default();
        // Of sets it is the whole that is right or not.
        let (gold, predicted): (Vec<&str>, Vec<&str>) = if sets {
            let texts = labels.gold.iter().zip(&labels.predicted);
            let texts = texts.filter(|(gold, _)| !gold.contains(&UNLABELLED));
            texts
                .map(|(gold, predicted)| ("", if gold == predicted { "" } else { "other" }))
                .unzip()
        } else {
            labels.pairs().unzip()
        };
        words.add(&gold, &predicted);
        let mut counts = SpanScores::default();
        for (gold, predicted) in labels.gold.iter().zip(&labels.predicted) {
            task.count(gold, predicted, &mut counts);
        }
        let categories = labels
            .pairs()
            .map(|(gold, predicted)| (task.category(gold), task.category(predicted)));
        let metric = task.metric();
        let has_matthews = task.description().metrics.contains(&Metric::Matthews);
        let confusion = if sets {
            Confusion::default()
        } else {
            Confusion::count(categories)
        };
        Self {
            matthews: has_matthews.then(|| matthews(&confusion.counts)),
            numbers: None,
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
            confusion,
            attachment: None,
        }
    }

    /// The scores of predicted numbers; `loss` is passed on.
    #[must_use]
    pub fn of_numbers(numbers: NumberScores, loss: f64) -> Self {
        Self {
            metric: Metric::Pearson.name().to_owned(),
            value: numbers.pearson,
            loss,
            accuracy: f64::NAN,
            micro: ClassScore::default(),
            macro_average: ClassScore::default(),
            classes: Vec::new(),
            matthews: None,
            numbers: Some(numbers),
            confusion: Confusion::default(),
            attachment: None,
        }
    }

    /// Without what is too large to be logged every epoch.
    #[must_use]
    pub fn of_epoch(mut self) -> Self {
        self.confusion = Confusion::default();
        if let Some(numbers) = &mut self.numbers {
            numbers.drawn.clear();
        }
        self
    }

    /// All metrics of `task` by name, the main one first.
    #[must_use]
    pub fn named(&self, task: Task) -> Vec<(&'static str, f64)> {
        let metrics = task.description().metrics.iter();
        let figures = metrics.map(|metric| metric.figure());
        figures
            .map(|figure| (figure.name(), self.figure(figure)))
            .collect()
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
            Figure::MacroF1 => self.macro_average.f1,
            Figure::Matthews => self.matthews.unwrap_or(f64::NAN),
            Figure::Pearson => self
                .numbers
                .as_ref()
                .map_or(f64::NAN, |numbers| numbers.pearson),
            Figure::Spearman => self
                .numbers
                .as_ref()
                .map_or(f64::NAN, |numbers| numbers.spearman),
        }
    }

    /// The scores as lines of a table, for the terminal; without the classes where they would fill
    /// it.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        if let Some(numbers) = &self.numbers {
            let mut lines = vec![format!("{:24}{:>8}", "texts", numbers.count)];
            let named = numbers.named().into_iter();
            lines.extend(named.map(|(name, value)| format!("{name:24}{value:>8.4}")));
            return lines;
        }
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
        if let Some(matthews) = self.matthews {
            lines.push(format!("Matthews' correlation {matthews:.4}"));
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
    /// Whether it is of nothing.
    fn is_none(&self) -> bool {
        self.name.is_empty()
    }

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
    fn sets_count_class_by_class_and_as_a_whole() {
        let labels = Labelled {
            gold: vec![vec!["a", "b"], vec![], vec!["c"], vec![UNLABELLED], vec![]],
            predicted: vec![vec!["a", "b"], vec![], vec!["a"], vec!["a"], vec!["b"]],
        };
        let scores = Scores::new(Task::Multilabel, &labels, 0.5);
        assert_eq!(scores.metric, "F1");
        // 2 right of 4 predicted and 3 gold; 2 of 4 texts as a whole.
        assert!((scores.value - 4.0 / 7.0).abs() < 1e-12);
        assert!((scores.accuracy - 0.5).abs() < 1e-12);
        // F1 of a: 2/3, of b: 2/3, of c: 0.
        assert!((scores.macro_average.f1 - 4.0 / 9.0).abs() < 1e-12);
        assert_eq!(scores.classes.len(), 3);
        assert!(scores.confusion.is_empty() && scores.matthews.is_none());
    }

    #[test]
    fn texts_have_matthews_correlation_and_numbers_scores_of_their_own() {
        let labels = labelled(&["a", "b", "a", "c"], &["a", "b", "b", "c"]);
        let scores = Scores::new(Task::Sequence, &labels, 0.5);
        // sklearn.metrics.matthews_corrcoef
        assert!((scores.matthews.unwrap() - 0.7).abs() < 1e-9, "{scores:?}");
        assert!(scores.table().last().unwrap().contains("0.7000"));
        let names: Vec<_> = scores.named(Task::Sequence);
        assert_eq!(names[1].0, "macro F1");
        let numbers = NumberScores::new(&[1.0, 2.0, 4.0], &[1.0, 3.0, 4.0]);
        let scores = Scores::of_numbers(numbers, 0.25);
        let json = serde_json::to_string(&scores).unwrap();
        assert!(
            json.contains("\"accuracy\":null") && !json.contains("micro"),
            "{json}"
        );
        let back: Scores = serde_json::from_str(&json).unwrap();
        assert_eq!(back.numbers, scores.numbers);
        assert!(back.accuracy.is_nan() && back.table().len() == 5);
        assert!(scores.of_epoch().numbers.unwrap().drawn.is_empty());
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
