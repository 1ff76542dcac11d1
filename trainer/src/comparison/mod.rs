//! Whether one head is significantly better than another: runs on the same data side by side, with a
//! paired bootstrap over the sentences of their predictions.

mod bootstrap;
mod tagged;

use std::path::PathBuf;

use cache::DatasetIdentity;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::tasks::spans::{Counts, SpanScores};
use shared::tasks::{Target, Task, UNLABELLED};

use crate::predictions;
use crate::run::RunError;
use crate::summary::Summary;

pub use bootstrap::{Difference, Resampled};
pub use tagged::{Sentence, read, read_trees};

/// Why runs cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file cannot be read; the message names it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A file of predictions that has no three columns.
    #[error("{} line {line}: expected token, gold and predicted label, got {got:?}", .path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The line.
        got: String,
    },
    /// Runs of different data or tasks.
    #[error(
        "{} and {} differ in {what}: {one} and {other}; only runs on the same data can be compared",
        .first.display(), .second.display()
    )]
    Data {
        /// A run.
        first: PathBuf,
        /// The one that differs from it.
        second: PathBuf,
        /// In what.
        what: &'static str,
        /// What the first has.
        one: String,
        /// What the second has.
        other: String,
    },
}

impl HasExitStatus for ComparisonError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Run(error) => error.exit_status(),
            Self::Io(error) => error.exit_status(),
            Self::Columns { .. } | Self::Data { .. } => ExitStatus::User,
        }
    }
}

/// Checks that all runs learned the same task on the same data.
///
/// # Errors
/// Names the first two that differ.
pub fn check(summaries: &[Summary]) -> Result<(), ComparisonError> {
    for pair in summaries.windows(2) {
        let (one, other) = (&pair[0].config, &pair[1].config);
        if one.task != other.task {
            let (one, other) = (one.task.to_string(), other.task.to_string());
            return Err(differ(&pair[0], &pair[1], "task", one, other));
        }
        let (one, other) = (&one.store.dataset, &other.store.dataset);
        if one.digest != other.digest {
            let shown = |data: &DatasetIdentity| format!("{} ({})", data.id, data.digest);
            return Err(differ(
                &pair[0],
                &pair[1],
                "data set",
                shown(one),
                shown(other),
            ));
        }
    }
    Ok(())
}

fn differ(
    first: &Summary,
    second: &Summary,
    what: &'static str,
    one: String,
    other: String,
) -> ComparisonError {
    ComparisonError::Data {
        first: first.folder.clone(),
        second: second.folder.clone(),
        what,
        one,
        other,
    }
}

/// The counts of each sentence for each run, `[runs][sentences]`, from the predictions on `split`.
///
/// # Errors
/// When a run has no such predictions, or they are on other sentences.
pub fn counts(summaries: &[Summary], split: &str) -> Result<Vec<Vec<Counts>>, ComparisonError> {
    let mut all = Vec::new();
    let mut first: Option<Vec<Sentence>> = None;
    for summary in summaries {
        let task = summary.config.task;
        let path = summary.folder.join(predictions::file_name(split, task));
        let sentences = if task.has_heads() {
            read_trees(&path)?
        } else {
            read(&path)?
        };
        if let Some(first) = &first {
            let same = |(one, other): (&Sentence, &Sentence)| {
                (&one.words, &one.gold) == (&other.words, &other.gold)
            };
            let differing = first.iter().zip(&sentences).position(|pair| !same(pair));
            let place = differing
                .or((first.len() != sentences.len()).then_some(first.len().min(sentences.len())));
            if let Some(place) = place {
                let at = |sentences: &[Sentence]| {
                    let sentence = sentences.get(place);
                    sentence.map_or("no such sentence".to_owned(), |sentence| {
                        format!("line {}", sentence.line)
                    })
                };
                return Err(differ(
                    &summaries[0],
                    summary,
                    "the sentences of their predictions",
                    at(first),
                    at(&sentences),
                ));
            }
        }
        all.push(
            sentences
                .iter()
                .map(|sentence| count(task, sentence))
                .collect(),
        );
        first.get_or_insert(sentences);
    }
    Ok(all)
}

fn labels(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

/// What one sentence adds to the main metric. A gold label that does not count was written as
/// [`Target::LEFT_OUT`].
fn count(task: Task, sentence: &Sentence) -> Counts {
    let gold: Vec<&str> = labels(&sentence.gold)
        .into_iter()
        .map(|label| match label {
            Target::LEFT_OUT if !task.has_spans() => UNLABELLED,
            label => label,
        })
        .collect();
    let mut counts = SpanScores::default();
    task.count(&gold, &labels(&sentence.predicted), &mut counts);
    counts.overall()
}
