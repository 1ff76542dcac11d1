//! The report of a run: one HTML file without script or network, so that it opens on a cluster's
//! login node, in a mail, or on a phone. It is drawn from `config.json` and `metrics.jsonl` alone.

mod chart;
mod numbers;
mod tables;

use std::fmt::Write;

use chart::{Scale, Series, chart, smoothed};
use shared::tasks::{Figure, Task};

use crate::metrics::{Epoch, Event, Final, Step};
use crate::run::Config;

/// Points of the training loss that are drawn.
const POINTS: usize = 120;

/// Replaces what HTML would take for markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// What a run measured, sorted by kind.
struct Measured<'a> {
    steps: Vec<&'a Step>,
    epochs: Vec<&'a Epoch>,
    finals: Vec<&'a Final>,
}

impl<'a> Measured<'a> {
    fn new(events: &'a [Event]) -> Self {
        let mut measured = Self {
            steps: Vec::new(),
            epochs: Vec::new(),
            finals: Vec::new(),
        };
        for event in events {
            match event {
                Event::Step(step) => measured.steps.push(step),
                Event::Epoch(epoch) => measured.epochs.push(epoch),
                Event::Final(last) => measured.finals.push(last),
            }
        }
        measured
    }

    fn best(&self) -> Option<&'a Epoch> {
        self.epochs.iter().rev().find(|epoch| epoch.best).copied()
    }
}

/// The report of the run called `name`.
#[must_use]
pub fn render(name: &str, config: &Config, events: &[Event]) -> String {
    let measured = Measured::new(events);
    let title = format!("{} on {}", config.head.kind, config.store.dataset.id);
    let mut html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{}</style></head><body><main><header><h1>{title}</h1><p>{}</p></header>",
        include_str!("style.css"),
        escape(&format!(
            "{} · {} · run {name}",
            config.store.model.name(),
            config.task
        )),
        title = escape(&title),
    );
    html.push_str(&tiles(&measured));
    html.push_str("<div class=pair>");
    section(
        &mut html,
        "Loss",
        &loss_chart(&measured),
        &format!("{}, on a logarithmic scale.", config.loss().about()),
    );
    let note = "In per cent; the dot is the best epoch, whose weights are kept.";
    section(
        &mut html,
        "Validation score",
        &score_chart(config.task, &measured),
        note,
    );
    html.push_str("</div>");
    for last in &measured.finals {
        let note = format!(
            "Weights of epoch {}. {}",
            last.epoch,
            config.task.metric().rule()
        );
        section(
            &mut html,
            &format!("Scores on {}", last.split),
            &tables::scores(&last.scores),
            &note,
        );
    }
    let trees = measured.finals.last();
    if let Some(attachment) = trees.and_then(|last| last.scores.attachment.as_ref()) {
        section(
            &mut html,
            "By distance",
            &tables::distances(attachment),
            "Words between a word and its head; precision counts predicted arcs of that length, recall gold ones.",
        );
    }
    if let Some(last) = measured.finals.last() {
        if let Some(scores) = &last.scores.numbers {
            numbers::sections(&mut html, &last.split, scores);
        } else if !last.scores.confusion.names.is_empty() {
            let note = tables::confusion_note(&last.scores.confusion);
            section(
                &mut html,
                &format!("Confusion matrix, on {}", last.split),
                &tables::confusion(&last.scores.confusion),
                note,
            );
        }
        if let Some(attention) = &last.layer_attention {
            let layers = &config.store.layers;
            let note = format!(
                "Mean attention over the encoder's layers, in per cent, by gold class and by kind of token; 0 is the embedding \
                 output. Even attention would be {:.1} everywhere.",
                even(layers.len()),
            );
            section(
                &mut html,
                &format!("Layer attention, on {}", last.split),
                &tables::layer_attention(attention, layers),
                &note,
            );
        }
    }
    let _ = write!(
        html,
        "<section><details><summary>Settings</summary>{}</details></section>",
        tables::settings(&settings(config))
    );
    html + "</main></body></html>\n"
}

fn section(html: &mut String, heading: &str, body: &str, note: &str) {
    let note = if note.is_empty() {
        String::new()
    } else {
        format!("<p class=note>{}</p>", escape(note))
    };
    let _ = write!(
        html,
        "<section><h2>{}</h2>{body}{note}</section>",
        escape(heading)
    );
}

#[expect(clippy::cast_precision_loss, reason = "a handful of layers")]
fn even(layers: usize) -> f64 {
    100.0 / layers.max(1) as f64
}

/// The numbers that are looked for first.
fn tiles(measured: &Measured<'_>) -> String {
    let mut html = "<div class=tiles>".to_owned();
    let mut tile = |value: String, what: &str| {
        let _ = write!(
            html,
            "<div class=tile><b>{}</b><span>{}</span></div>",
            escape(&value),
            escape(what)
        );
    };
    for last in measured.finals.iter().rev() {
        tile(
            format!("{:.2}", last.scores.value * 100.0),
            &format!("{} on {}", last.scores.metric, last.split),
        );
        if let Some(attachment) = &last.scores.attachment {
            for (name, value) in [("UAS", attachment.uas), ("CLAS", attachment.clas)] {
                let what = format!("{name} on {}", last.split);
                tile(format!("{:.2}", value * 100.0), &what);
            }
        }
    }
    if let (Some(best), Some(last)) = (measured.best(), measured.epochs.last()) {
        tile(format!("{} of {}", best.epoch, last.epoch), "best epoch");
    }
    let seconds: f64 = measured.epochs.iter().map(|epoch| epoch.seconds).sum();
    let tokens: f64 = measured
        .epochs
        .iter()
        .map(|epoch| epoch.seconds * epoch.tokens_per_second)
        .sum();
    tile(duration(seconds), "training time");
    tile(thousands(tokens / seconds.max(1e-9)), "sub-words a second");
    html + "</div>"
}

/// `1 h 02 min`, `3 min 20 s`, `4.2 s`.
pub(crate) fn duration(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of a run"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `12,345`
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[expect(clippy::cast_precision_loss, reason = "a few epochs and steps")]
fn loss_chart(measured: &Measured<'_>) -> String {
    // Steps become fractions of epochs, so that both curves have one axis.
    let per_epoch = measured
        .epochs
        .last()
        .map_or(1.0, |last| last.step as f64 / last.epoch as f64)
        .max(1.0);
    let steps: Vec<_> = measured
        .steps
        .iter()
        .map(|step| (step.step as f64 / per_epoch, step.loss))
        .collect();
    let validation = measured
        .epochs
        .iter()
        .filter_map(|epoch| Some((epoch.epoch as f64, epoch.validation.as_ref()?.loss)))
        .collect();
    let series = [
        Series {
            name: "training, with dropout",
            class: "one",
            points: smoothed(&steps, POINTS),
        },
        Series {
            name: "validation",
            class: "two",
            points: validation,
        },
    ];
    chart("epoch", Scale::Logarithmic, &series, None)
}

#[expect(clippy::cast_precision_loss, reason = "a few epochs")]
fn score_chart(task: Task, measured: &Measured<'_>) -> String {
    let validated: Vec<_> = measured
        .epochs
        .iter()
        .filter_map(|epoch| Some((epoch.epoch as f64, epoch.validation.as_ref()?)))
        .collect();
    if validated.is_empty() {
        return "<p class=note>The store has no validation split: the last epoch's weights are kept.</p>".to_owned();
    }
    let over = |figure: Figure| {
        validated
            .iter()
            .map(|(epoch, scores)| (*epoch, scores.figure(figure) * 100.0))
            .collect()
    };
    let figures = task.metric().figures().iter();
    let series: Vec<_> = figures
        .zip(["one", "two", "three"])
        .map(|(&figure, class)| Series {
            name: figure.name(),
            class,
            points: over(figure),
        })
        .collect();
    let best = measured.best();
    let marked =
        best.and_then(|best| Some((best.epoch as f64, best.validation.as_ref()?.value * 100.0)));
    chart("epoch", Scale::Linear, &series, marked)
}

/// What the run was made with, for the report and the model card.
pub(crate) fn settings(config: &Config) -> Vec<(String, String)> {
    let store = &config.store;
    let mut rows = vec![
        ("model".to_owned(), store.model.id.clone()),
        (
            "revision".to_owned(),
            store
                .model
                .revision
                .clone()
                .unwrap_or_else(|| "local files".to_owned()),
        ),
        (
            "weights digest".to_owned(),
            match store.model.random_seed {
                Some(seed) => format!("none: random weights, seed {seed}"),
                None => store.model.weights_digest.clone(),
            },
        ),
        ("data set".to_owned(), store.dataset.id.clone()),
        ("data set digest".to_owned(), store.dataset.digest.clone()),
        ("task".to_owned(), config.task.to_string()),
        ("classes".to_owned(), config.classes.join(", ")),
        (
            "layers".to_owned(),
            store
                .layers
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("hidden size".to_owned(), store.hidden.to_string()),
        ("stored as".to_owned(), store.store_dtype.to_string()),
        ("store identity".to_owned(), config.store_identity.clone()),
    ];
    for part in [
        serde_json::to_value(&config.head),
        serde_json::to_value(&config.training),
        serde_json::to_value(&config.environment),
    ] {
        let Ok(serde_json::Value::Object(fields)) = part else {
            continue;
        };
        for (field, value) in fields {
            let known = matches!(field.as_str(), "layers" | "hidden" | "classes");
            if !known && !value.is_null() {
                let text = value.as_str().map_or_else(|| plain(&value), str::to_owned);
                rows.push((field.replace('_', " "), text));
            }
        }
    }
    rows
}

/// `{"sentences":32}` as `32 sentences`.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{value} {name}"))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_text() {
        assert_eq!(
            escape("<B-\"PER\"> & co"),
            "&lt;B-&quot;PER&quot;&gt; &amp; co"
        );
    }

    #[test]
    fn durations_and_numbers_are_for_people() {
        assert_eq!(duration(4.21), "4.2 s");
        assert_eq!(duration(200.4), "3 min 20 s");
        assert_eq!(duration(3725.0), "1 h 02 min");
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(123.0), "123");
    }
}
