//! `trainer compare`: a table of runs, and whether their differences are significant.

use std::path::{Path, PathBuf};

use shared::exit::ExitStatus;
use shared::terminal::Terminal;
use trainer_options::CompareArgs;

use super::CommandError;
use crate::comparison::{self, Difference};
use crate::summary::{self, Summary};

/// Shows runs side by side, and tests each kind of head against the first.
pub(super) fn run(options: &CompareArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let folders = folders(&options.runs)?;
    let summaries = folders.iter().map(|folder| Summary::read(folder));
    let summaries = summaries.collect::<Result<Vec<_>, _>>()?;
    comparison::check(&summaries)?;
    let split = options.split.to_string();
    let draws = (options.resamples, options.seed);
    let resampled = comparison::resampled(&summaries, &split, draws)?;
    let groups = summary::groups(&summaries);

    for line in runs(&summaries) {
        terminal.status(line);
    }
    terminal.status("\nMean and standard deviation over the seeds, in per cent:");
    for line in summary::table(&groups) {
        terminal.status(line);
    }
    let against = |group: &summary::Group| resampled.difference(&groups[0].members, &group.members);
    let differences: Vec<Difference> = groups.iter().skip(1).map(against).collect();
    if !differences.is_empty() {
        let (first, draws) = (&groups[0].label, options.resamples);
        terminal.status(format!(
            "\n{first} on {split} against the others, in per cent; paired bootstrap over the sentences, {draws} draws:"
        ));
    }
    for (group, found) in groups.iter().skip(1).zip(&differences) {
        terminal.status(line(&group.label, found));
    }
    if options.json {
        let run = |summary: &Summary| {
            serde_json::json!({
                "run": summary.folder, "head": summary.config.head_name(), "seed": summary.config.training.seed,
                "best_epoch": summary.best_epoch, "metric": summary.metric, "scores": summary.scores,
            })
        };
        let difference = |(group, found): (&summary::Group, &Difference)| serde_json::json!({ "one": groups[0].label, "other": group.label, "split": split, "found": found });
        let tested: Vec<_> = groups
            .iter()
            .skip(1)
            .zip(&differences)
            .map(difference)
            .collect();
        let result = serde_json::json!({
            "runs": summaries.iter().map(run).collect::<Vec<_>>(),
            "groups": groups,
            "differences": tested,
        });
        terminal.result(result.to_string());
    }
    Ok(ExitStatus::Success)
}

/// Runs as they are given; a sweep is all its runs.
fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let is_run = |folder: &Path| folder.join("config.json").is_file();
    let mut folders = Vec::new();
    for folder in given {
        if is_run(folder) || !folder.is_dir() {
            folders.push(folder.clone());
            continue;
        }
        let mut below = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            if is_run(&path) {
                below.push(path);
            }
        }
        below.sort();
        if below.is_empty() {
            // Says that it is no run.
            below.push(folder.clone());
        }
        folders.extend(below);
    }
    Ok(folders)
}

/// A line a run.
fn runs(summaries: &[Summary]) -> Vec<String> {
    let width = summaries
        .iter()
        .map(|summary| summary.name().chars().count());
    let width = width.max().unwrap_or(0).max(4);
    let head = summaries
        .iter()
        .map(|summary| summary.config.head_name().chars().count());
    let head = head.max().unwrap_or(0).max(4);
    let mut lines = vec![format!(
        "{:width$}  {:head$}  {:>10}  {:>8}  {:>10}  {:>6}",
        "run", "head", "best epoch", "metric", "validation", "test"
    )];
    lines.extend(summaries.iter().map(|summary| {
        let score = |split: &str| {
            let score = summary.scores.get(split);
            score.map_or_else(|| "-".to_owned(), |score| format!("{:.2}", 100.0 * score))
        };
        let (name, kind) = (summary.name(), summary.config.head_name());
        let (epoch, metric) = (summary.best_epoch, &summary.metric);
        let (validation, test) = (score("validation"), score("test"));
        format!(
            "{name:width$}  {kind:head$}  {epoch:>10}  {metric:>8}  {validation:>10}  {test:>6}"
        )
    }));
    lines
}

/// `last: +1.23 (95 % interval 0.40 to 2.05), p = 0.004`
fn line(label: &str, found: &Difference) -> String {
    let [difference, low, high] =
        [found.difference, found.low, found.high].map(|value| 100.0 * value);
    format!(
        "  {label}: {difference:+.2} (95 % interval {low:+.2} to {high:+.2}), p = {:.4}",
        found.p
    )
}
