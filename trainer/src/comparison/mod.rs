//! Whether one head is significantly better than another: runs on the same data side by side, with a
//! paired bootstrap over the sentences of their predictions.

mod bootstrap;
mod tagged;
mod texts;

use std::path::{Path, PathBuf};

use cache::DatasetIdentity;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::tasks::spans::{Counts, SpanScores};
use shared::tasks::{Output, Target, Task, UNLABELLED};

use crate::predictions::Format;
use crate::run::RunError;
use crate::summary::Summary;
use crate::text_predictions::Line;

pub use bootstrap::{Difference, Resampled, Sums};
pub use tagged::{Sentence, read, read_trees};
pub use texts::read as read_texts;

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
    /// A file of predictions of texts with a line that is none.
    #[error("{} line {line}: expected an object with text, gold and predicted: {why}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
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
            Self::Columns { .. } | Self::Line { .. } | Self::Data { .. } => ExitStatus::User,
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

/// Resamples the sentences of `split`, from the predictions of all runs on it.
///
/// # Errors
/// When a run has no such predictions, or they are on other sentences.
pub fn resampled(
    summaries: &[Summary],
    split: &str,
    (resamples, seed): (usize, u64),
) -> Result<Resampled, ComparisonError> {
    let of_texts = |summary: &Summary| file(summary, split, Format::Texts).is_file();
    if !summaries.iter().any(of_texts) {
        let counts = counts(summaries, split)?;
        return Ok(Resampled::new(&counts, resamples, seed));
    }
    let same = |one: &Line, other: &Line| {
        (&one.text, &one.text_pair, &one.gold) == (&other.text, &other.text_pair, &other.gold)
    };
    let place = |_: &Line, place: usize| place + 1;
    let all = all(summaries, split, Format::Texts, read_texts, (same, place))?;
    let is_number = |summary: &Summary| summary.config.task.output() == Output::Number;
    if summaries.iter().any(is_number) {
        let moments: Vec<_> = all.iter().map(|lines| texts::moments(lines)).collect();
        return Ok(Resampled::new(&moments, resamples, seed));
    }
    let runs = summaries.iter().zip(&all);
    let counts = runs.map(|(summary, lines)| texts::counts(summary.config.task, lines));
    Ok(Resampled::new(&counts.collect::<Vec<_>>(), resamples, seed))
}

/// The counts of each sentence for each run, `[runs][sentences]`, from the predictions on `split`.
///
/// # Errors
/// When a run has no such predictions, or they are on other sentences.
pub fn counts(summaries: &[Summary], split: &str) -> Result<Vec<Vec<Counts>>, ComparisonError> {
    let same =
        |one: &Sentence, other: &Sentence| (&one.words, &one.gold) == (&other.words, &other.gold);
    let line = |sentence: &Sentence, _| sentence.line;
    let of_trees = |summary: &Summary| summary.config.task.has_heads();
    let all = if summaries.iter().any(of_trees) {
        all(summaries, split, Format::Trees, read_trees, (same, line))?
    } else {
        all(summaries, split, Format::Columns, read, (same, line))?
    };
    let runs = summaries.iter().zip(&all);
    let counts = runs.map(|(summary, sentences)| {
        let task = summary.config.task;
        let counts = sentences.iter().map(|sentence| count(task, sentence));
        counts.collect()
    });
    Ok(counts.collect())
}

fn file(summary: &Summary, split: &str, format: Format) -> PathBuf {
    summary.folder.join(format.file_name(split))
}

/// The predictions of all runs, which are on the same sentences.
fn all<T>(
    summaries: &[Summary],
    split: &str,
    format: Format,
    read: impl Fn(&Path) -> Result<Vec<T>, ComparisonError>,
    (same, line): (impl Fn(&T, &T) -> bool, impl Fn(&T, usize) -> usize),
) -> Result<Vec<Vec<T>>, ComparisonError> {
    let mut all: Vec<Vec<T>> = Vec::new();
    for summary in summaries {
        let sentences = read(&file(summary, split, format))?;
        if let Some(first) = all.first() {
            let mut pairs = first.iter().zip(&sentences);
            let differing = pairs.position(|(one, other)| !same(one, other));
            let place = differing
                .or((first.len() != sentences.len()).then_some(first.len().min(sentences.len())));
            if let Some(place) = place {
                let at = |sentences: &[T]| {
                    let sentence = sentences.get(place);
                    sentence.map_or("no such sentence".to_owned(), |sentence| {
                        format!("line {}", line(sentence, place))
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
        all.push(sentences);
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
