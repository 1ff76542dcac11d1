//! The model card of a run, its `README.md`: what another person must know to use a trained head or to
//! judge it.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use shared::tasks::{Level, Output, Task};

use crate::metrics::{Event, Final};
use crate::report;
use crate::run::Config;

/// The model card of the run called `name`.
#[must_use]
pub fn render(name: &str, config: &Config, events: &[Event], seconds: f64) -> String {
    let store = &config.store;
    let mut card = format!(
        "# {name}\n\nA head of kind `{}` for {} on the frozen hidden states of `{}`, trained on `{}`.\n",
        config.head.kind, config.task, store.model.id, store.dataset.id,
    );
    if let Some(seed) = store.model.random_seed {
        let _ = write!(
            card,
            "\nThe encoder is not trained: its weights are random (seed {seed}). A baseline for heads on trained ones.\n"
        );
    }
    let finals = || {
        events.iter().filter_map(|event| {
            if let Event::Final(last) = event {
                Some(last.as_ref())
            } else {
                None
            }
        })
    };
    if finals().next().is_some() {
        card.push_str("\n## Scores\n\n");
        card.push_str(&scores(config.task, finals()));
    }
    for last in finals() {
        if let Some(attachment) = &last.scores.attachment {
            let (uas, clas) = (attachment.uas, attachment.clas);
            let _ = write!(card, "\nOn {}: UAS {uas:.4}, CLAS {clas:.4}.\n", last.split);
        }
    }
    for last in finals().filter(|last| !last.scores.classes.is_empty()) {
        let _ = write!(
            card,
            "\nBy class, on {}:\n\n| class | precision | recall | F1 | support |\n|---|---|---|---|---|\n",
            last.split
        );
        for class in &last.scores.classes {
            let name = class.name.replace('|', "\\|");
            let _ = writeln!(
                card,
                "| {name} | {:.4} | {:.4} | {:.4} | {} |",
                class.precision, class.recall, class.f1, class.support
            );
        }
    }
    card.push_str("\n## Made with\n\n| | |\n|---|---|\n");
    for (field, value) in report::settings(config) {
        let _ = writeln!(card, "| {field} | {} |", value.replace('|', "\\|"));
    }
    let _ = writeln!(card, "| training time | {} |", report::duration(seconds));
    let _ = writeln!(card, "| finished | {} |", today());
    card.push_str("\nThe weights are in `adapter.safetensors`, curves and maps in `report.html`, predictions in `predictions.*`.\n");
    card
}

/// The scores of each split: those of numbers, or of labels.
fn scores<'e>(task: Task, finals: impl Iterator<Item = &'e Final>) -> String {
    let metrics = task.description().metrics.iter().skip(1);
    let others: Vec<&str> = metrics.map(|metric| metric.name()).collect();
    let of_numbers = task.output() == Output::Number;
    let columns: &[&str] = if of_numbers {
        &["root mean squared error", "mean absolute error"]
    } else {
        &["precision", "recall", "loss"]
    };
    let others = if task.level() == Level::Sentence {
        others
    } else {
        Vec::new()
    };
    let all = [
        &["split", "metric", "value"],
        &others[..],
        columns,
        &["epoch"],
    ]
    .concat();
    let mut table = format!("| {} |\n{}|\n", all.join(" | "), "|---".repeat(all.len()));
    for Final {
        split,
        epoch,
        scores,
        ..
    } in finals
    {
        let _ = write!(table, "| {split} | {} | {:.4}", scores.metric, scores.value);
        let named = scores.named(task);
        let others = named.iter().filter(|(name, _)| others.contains(name));
        let values: Vec<f64> = match &scores.numbers {
            Some(numbers) => vec![numbers.root_mean_squared_error, numbers.mean_absolute_error],
            None => vec![scores.micro.precision, scores.micro.recall, scores.loss],
        };
        for value in others.map(|(_, value)| *value).chain(values) {
            let _ = write!(table, " | {value:.4}");
        }
        let _ = writeln!(table, " | {epoch} |");
    }
    table
}

/// The date in UTC, `2026-08-25`.
fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (year, month, day) = date(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The Gregorian date of a day after 1970-01-01, found by counting years and months.
fn date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), (1970, 1, 1));
        // `date -u -d 2000-02-29 +%s` / 86400
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(date(20_454), (2026, 1, 1));
    }
}
