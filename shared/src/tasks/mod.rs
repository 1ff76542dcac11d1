//! What heads learn: one file a task. Data sets, store, training, prediction and report ask a task
//! what its targets are, how they are decoded and what is measured; none of them names a task. A
//! new task is a file with its [`Description`] and a line in the list below.

mod accuracy;
mod chunk;
pub mod correlation;
mod decoding;
mod dep;
pub mod dependencies;
mod level;
mod metric;
mod multilabel;
mod ner;
mod no_label;
mod observed;
mod output;
mod pos;
mod regression;
pub mod schemes;
mod sequence;
pub mod sets;
pub mod spans;
mod target;

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use accuracy::LabelScores;
pub use decoding::{Chain, Decoder, Decoding, largest};
pub use level::Level;
pub use metric::{Figure, Metric};
pub use no_label::{NO_CLASS, NO_TARGET, OUTSIDE, UNLABELLED};
pub use observed::Observed;
pub use output::{NO_SET, Output, number_target, target_number};
use spans::{Span, SpanScores};
pub use target::{Target, or_outside};

/// What is to be known of a task.
#[derive(Debug)]
pub struct Description {
    /// Its name, as it is typed, stored and shown.
    pub name: &'static str,
    /// Its line in `--help`.
    pub about: &'static str,
    /// What a head predicts.
    pub target: Target,
    /// How predictions can be chosen among the classes, the usual way first.
    pub decodings: &'static [Decoding],
    /// What training minimises, unless the way of choosing predictions has a loss of its own.
    pub loss: Loss,
    /// What is measured, the main metric first: by it epochs are chosen and heads compared.
    pub metrics: &'static [Metric],
    /// What data sets call the column of its labels, the most specific names first.
    pub label_columns: &'static [&'static str],
    /// Labels that hardly any other task with the same target has, by which it is recognised.
    pub typical: &'static [&'static str],
}

/// What training minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Minus the logarithm of the softmax probability of the gold class, in nats, averaged over
    /// what has a label.
    CrossEntropy,
    /// Minus the logarithm of the probability of a sentence's classes together, in nats, summed up
    /// over sentences and divided by what has a label: cross-entropy, where words do not depend on
    /// each other.
    SentenceLikelihood,
    /// Minus the logarithms of the probability of each word's head, and of its relation to it, in
    /// nats, averaged over words.
    HeadsAndRelations,
    /// Cross-entropy of whether a class is right, by the sigmoid of its logit, in nats, averaged over
    /// all classes of what has a label.
    BinaryCrossEntropy,
    /// The square of the difference from the gold number, averaged over what has one.
    SquaredError,
}

impl Loss {
    /// The loss and its unit in a few words, for axes of charts.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::CrossEntropy => "Mean cross-entropy in nats",
            Self::SentenceLikelihood => {
                "Minus the logarithm of the probability of all tags of a sentence, in nats a word"
            }
            Self::HeadsAndRelations => {
                "Mean cross-entropy of heads and of relations at them, added up, in nats"
            }
            Self::BinaryCrossEntropy => "Mean binary cross-entropy of the classes, in nats",
            Self::SquaredError => "Mean squared error",
        }
    }
}

/// Declares the tasks: a name in the code and the file of the description.
macro_rules! tasks {
    ($($(#[$doc:meta])* $task:ident = $file:ident,)+) => {
        /// What the labels of a data set are, and what a head learns from them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Task {
            $($(#[$doc])* $task,)+
        }

        impl Task {
            /// All of them, in the order in which they are sorted and listed.
            pub const ALL: &'static [Self] = &[$(Self::$task,)+];

            /// What is to be known of it.
            #[must_use]
            pub fn description(self) -> &'static Description {
                match self {
                    $(Self::$task => &$file::TASK,)+
                }
            }
        }
    };
}

tasks! {
    /// Named entities.
    Ner = ner,
    /// Phrases.
    Chunk = chunk,
    /// Parts of speech, or anything else with one label a word.
    Pos = pos,
    /// One label a text.
    Sequence = sequence,
    /// A head and a relation a word.
    Dep = dep,
    /// Any number of labels a text.
    Multilabel = multilabel,
    /// A number a text.
    Regression = regression,
}

impl Task {
    /// The task that labels are for: of those whose targets the labels can be, the first of which a
    /// typical label occurs, else the first.
    #[must_use]
    pub fn guess(labels: &Observed) -> Option<Self> {
        let mut fitting = Self::ALL
            .iter()
            .copied()
            .filter(|task| task.target().suits(labels));
        let first = fitting.clone().next();
        fitting
            .find(|task| labels.names().any(|label| task.is_typical(label)))
            .or(first)
    }

    /// What a head predicts.
    #[must_use]
    pub fn target(self) -> Target {
        self.description().target
    }

    /// What a head for it computes.
    #[must_use]
    pub fn output(self) -> Output {
        self.target().output()
    }

    /// What has a label: every word, or every text.
    #[must_use]
    pub fn level(self) -> Level {
        self.target().level()
    }

    /// Whether there is one label a word, rather than one a text.
    #[must_use]
    pub fn labels_words(self) -> bool {
        self.level() == Level::Token
    }

    /// Whether words have heads beside their labels.
    #[must_use]
    pub fn has_heads(self) -> bool {
        self.target() == Target::Dependencies
    }

    /// Whether labels are tags of spans.
    #[must_use]
    pub fn has_spans(self) -> bool {
        self.target() == Target::SpanTags
    }

    /// Whether its predictions can be chosen so.
    #[must_use]
    pub fn has_decoding(self, decoding: Decoding) -> bool {
        self.description().decodings.contains(&decoding)
    }

    /// The metric by which epochs are chosen and heads compared.
    #[must_use]
    pub fn metric(self) -> Metric {
        self.description().metrics[0]
    }

    /// Whether a label is one of [`Description::typical`].
    #[must_use]
    pub fn is_typical(self, label: &str) -> bool {
        self.description().typical.contains(&label)
    }

    /// What a label counts as in tables by class: the type of a span, `PER` for `B-PER`, or the
    /// label itself.
    #[must_use]
    pub fn category(self, label: &str) -> &str {
        self.target().category(label)
    }

    /// The spans that a sentence's labels make; none for tasks without spans.
    #[must_use]
    pub fn spans<'a>(self, labels: &[&'a str]) -> Option<Vec<Span<'a>>> {
        self.has_spans().then(|| spans::spans(labels))
    }

    /// Adds one sentence to the counts of the main metric; [`UNLABELLED`] where there is no gold
    /// label, or no token from which one could be predicted.
    pub fn count(self, gold: &[&str], predicted: &[&str], counts: &mut SpanScores) {
        self.target().count(gold, predicted, counts);
    }
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.description().name)
    }
}

impl ValueEnum for Task {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let Description { name, about, .. } = self.description();
        Some(PossibleValue::new(*name).help(*about))
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.description().name)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let is_called = |task: &&Self| task.description().name == name;
        Self::ALL.iter().find(is_called).copied().ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            serde::de::Error::custom(format!("unknown task `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_complete_and_is_read_as_it_is_written() {
        for (place, task) in Task::ALL.iter().enumerate() {
            let description = task.description();
            assert!(!description.metrics.is_empty(), "{task}");
            let loss = description.loss.about();
            let of_classes = loss.contains("cross-entropy");
            assert_eq!(of_classes, task.output() != Output::Number, "{task}");
            assert_eq!(
                loss.contains("binary"),
                task.output() == Output::Set,
                "{task}"
            );
            assert_eq!(description.decodings[0], Decoding::default(), "{task}");
            for decoding in [Decoding::Viterbi, Decoding::Crf] {
                assert_eq!(task.has_decoding(decoding), task.has_spans(), "{task}");
            }
            assert!(!description.label_columns.is_empty(), "{task}");
            let json = serde_json::to_string(task).unwrap();
            assert_eq!(json, format!("\"{task}\""));
            assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), *task);
            assert_eq!(Task::from_str(description.name, false), Ok(*task));
            let same = |other: &&Task| other.description().name == description.name;
            assert_eq!(Task::ALL.iter().filter(same).count(), 1, "{task} twice");
            assert!(Task::ALL[..place].iter().max() < Some(task), "{task}");
        }
        let error = serde_json::from_str::<Task>("\"parsing\"").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("ner, chunk, pos, sequence, multilabel, regression"),
            "{error}"
        );
    }
}
