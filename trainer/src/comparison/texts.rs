//! Predictions read back from lines of JSON: numbers, sets of labels, pairs of texts.

use std::path::Path;

use shared::tasks::Task;
use shared::tasks::correlation::Moments;
use shared::tasks::spans::{Counts, SpanScores};

use super::ComparisonError;
use crate::text_predictions::{Answer, Line};

/// The lines of a file.
///
/// # Errors
/// When it cannot be read, or a line is none of a file of predictions.
pub fn read(path: &Path) -> Result<Vec<Line>, ComparisonError> {
    let text = fs_err::read_to_string(path)?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| ComparisonError::Line {
            path: path.to_owned(),
            line: number,
            why: error.to_string(),
        })
    };
    (1..).zip(text.lines()).map(line).collect()
}

/// What each line adds to the main metric of a task of classes or sets.
pub(super) fn counts(task: Task, lines: &[Line]) -> Vec<Counts> {
    let count = |line: &Line| {
        let mut counts = SpanScores::default();
        if line.gold.is_some() {
            task.count(&labels(&line.gold), &labels(&line.predicted), &mut counts);
        }
        counts.overall()
    };
    lines.iter().map(count).collect()
}

fn labels(answer: &Option<Answer>) -> Vec<&str> {
    match answer {
        Some(Answer::Labels(labels)) => labels.iter().map(String::as_str).collect(),
        Some(Answer::Label(label)) => vec![label],
        Some(Answer::Number(_)) | None => Vec::new(),
    }
}

/// What each line adds to the correlation of numbers, which are counted from the means of the file,
/// so that no digits are lost.
pub(super) fn moments(lines: &[Line]) -> Vec<Moments> {
    let number = |answer: &Option<Answer>| match answer {
        Some(Answer::Number(number)) => Some(f64::from(*number)),
        _ => None,
    };
    let pair = |line: &Line| number(&line.gold).zip(number(&line.predicted));
    let pairs: Vec<(f64, f64)> = lines.iter().filter_map(pair).collect();
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of texts are far below 2^52"
    )]
    let count = pairs.len() as f64;
    let gold_mean = pairs.iter().map(|(gold, _)| gold).sum::<f64>() / count;
    let predicted_mean = pairs.iter().map(|(_, predicted)| predicted).sum::<f64>() / count;
    let moments = lines.iter().map(|line| {
        pair(line).map_or_else(Moments::default, |(gold, predicted)| {
            Moments::of(gold - gold_mean, predicted - predicted_mean)
        })
    });
    moments.collect()
}

#[cfg(test)]
mod tests {
    use shared::tasks::correlation::pearson;

    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.test.jsonl");
        fs_err::write(&path, text).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn lines_add_up_to_the_metric() {
        let numbers = lines(
            "{\"text\":\"a\",\"gold\":1,\"predicted\":1.5}\n{\"text\":\"b\",\"gold\":null,\"predicted\":9}\n\
             {\"text\":\"c\",\"gold\":3,\"predicted\":2}\n{\"text\":\"d\",\"gold\":5,\"predicted\":5}\n",
        );
        let all = moments(&numbers)
            .into_iter()
            .fold(Moments::default(), Moments::plus);
        let expected = pearson(&[1.0, 3.0, 5.0], &[1.5, 2.0, 5.0]);
        assert!((all.correlation() - expected).abs() < 1e-12);
        let sets = lines(
            "{\"text\":\"a\",\"gold\":[\"x\",\"y\"],\"predicted\":[\"y\",\"z\"]}\n\
             {\"text\":\"b\",\"gold\":[],\"predicted\":[]}\n{\"text\":\"c\",\"gold\":null,\"predicted\":[\"x\"]}\n",
        );
        let counts: Vec<_> = counts(Task::Multilabel, &sets)
            .iter()
            .map(|counts| (counts.correct, counts.predicted, counts.gold))
            .collect();
        assert_eq!(counts, [(1, 2, 2), (0, 0, 0), (0, 0, 0)]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        fs_err::write(&path, "{\"text\":\"a\",\"gold\":1,\"predicted\":1}\n{}\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("p.jsonl line 2"), "{error}");
    }
}
