//! The Markdown table: what is to be reached, what was reached, and the rates behind it.

use std::fmt::Write as _;

use serde_json::Value;

use super::cases::{FACTORS, JOB_EPOCHS, Size};
use super::log::{Log, Measurement};
use super::sweep;

/// A ratio that is wanted: two cases, and the bounds.
struct Goal {
    what: &'static str,
    case: &'static str,
    other: &'static str,
    least: f64,
    aim: f64,
}

/// More is better in all of them.
const GOALS: [Goal; 6] = [
    Goal {
        what: "extraction against PyTorch, length-sorted",
        case: "extract/ours",
        other: "extract/pytorch, sorted",
        least: 1.0,
        aim: 1.2,
    },
    Goal {
        what: "extraction against PyTorch in data order, batches of 32",
        case: "extract/ours",
        other: "extract/pytorch, data order",
        least: 2.5,
        aim: 3.0,
    },
    Goal {
        what: "training epoch against the encoder in every step",
        case: "train/ours",
        other: "train/pytorch, encoder in every step",
        least: 60.0,
        aim: 100.0,
    },
    Goal {
        what: "training epoch against cached PyTorch, random batches",
        case: "train/ours",
        other: "train/pytorch, cached, random",
        least: 4.0,
        aim: 6.0,
    },
    Goal {
        what: "training epoch against cached PyTorch, batches of similar length",
        case: "train/ours",
        other: "train/pytorch, cached, bucketed",
        least: 1.5,
        aim: 2.2,
    },
    Goal {
        what: "training epoch against the head's matrix products alone",
        case: "train/ours",
        other: "train/products alone",
        least: 0.7,
        aim: 1.0,
    },
];

/// The whole report.
pub(super) fn markdown(log: &Log, machine: &Value) -> String {
    let mut text = String::from("# This project and PyTorch, side by side\n\n");
    let of = |name: &str| match &machine[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let _ = writeln!(
        text,
        "Written by `cargo xtask bench`. Machine: {}, {} cores ({}), {} GiB, Linux {}; {} threads on both sides; \
         sentences of {}. Ratios are of one round, medians over the rounds with their range; more is better unless \
         said otherwise.\n",
        of("cpu"),
        of("cores"),
        of("widest_vectors"),
        of("memory_gib"),
        of("kernel"),
        of("threads"),
        of("data"),
    );
    let sizes = Size::ALL.map(|size| (size.to_string(), format!("{size}/")));
    text.push_str(
        "| measure | encoder | at least | aim | measured | range |\n|---|---|---|---|---|---|\n",
    );
    for (size, prefix) in &sizes {
        for goal in GOALS {
            let (case, other) = (
                format!("{prefix}{}", goal.case),
                format!("{prefix}{}", goal.other),
            );
            let ratio = log.ratio(&case, &other, |one, other| one.rate() / other.rate());
            row(&mut text, goal.what, size, (goal.least, goal.aim), ratio);
        }
        let job = log.ratio(
            &format!("{prefix}job/ours"),
            &format!("{prefix}train/pytorch, encoder in every step"),
            |ours, theirs| {
                let epoch = ours.tokens / theirs.rate();
                f64::from(JOB_EPOCHS) * epoch / ours.wall
            },
        );
        let what = "20 epochs with extraction and both start-ups, against 20 with the encoder in every step (extrapolated from its rate)";
        row(&mut text, what, size, (30.0, 40.0), job);
    }
    sweeps(&mut text, log, &sizes);
    shares(&mut text, log, &sizes);
    scaling(&mut text, log);
    rates(&mut text, log);
    text
}

fn row(
    text: &mut String,
    what: &str,
    size: &str,
    (least, aim): (f64, f64),
    ratio: Option<(f64, f64, f64)>,
) {
    let Some((median, low, high)) = ratio else {
        return;
    };
    let missed = if median < least { " (not reached)" } else { "" };
    let _ = writeln!(
        text,
        "| {what} | {size} | {least} | {aim} | **{median:.2}**{missed} | {low:.2} to {high:.2} |"
    );
}

/// Time of a sweep against the same runs alone, where less is better.
fn sweeps(text: &mut String, log: &Log, sizes: &[(String, String)]) {
    for (size, prefix) in sizes {
        let [together, alone] =
            [sweep::TOGETHER, sweep::ALONE].map(|what| format!("{prefix}{what}"));
        let ratio = log.ratio(&together, &alone, |one, other| one.wall / other.wall);
        if let Some((median, low, high)) = ratio {
            let missed = if median > 0.8 { " (not reached)" } else { "" };
            let _ = writeln!(
                text,
                "| sweep of 8 heads on one pass, against 8 runs one after another (less is better) | {size} | 0.8 | 0.6 | **{median:.2}**{missed} | {low:.2} to {high:.2} |"
            );
        }
    }
}

/// Shares of the extraction, where less is better.
fn shares(text: &mut String, log: &Log, sizes: &[(String, String)]) {
    for (size, prefix) in sizes {
        let case = format!("{prefix}extract/ours");
        for (what, number, most) in [
            (
                "share of extraction outside ONNX Runtime (less is better)",
                (|one: &Measurement| one.outside_encoder) as fn(&Measurement) -> Option<f64>,
                "8 % | 3 %",
            ),
            (
                "padding in what is computed (less is better)",
                |one| one.padding,
                "3 % | ",
            ),
        ] {
            if let Some(share) = log.median(&case, number) {
                let _ = writeln!(
                    text,
                    "| {what} | {size} | {most} | **{:.1} %** | |",
                    100.0 * share
                );
            }
        }
    }
}

/// Growth of time and memory over data, and speed over threads.
fn scaling(text: &mut String, log: &Log) {
    let last = FACTORS[FACTORS.len() - 1];
    for what in ["extract", "train"] {
        let (first, most) = (
            format!("scale/{:02}x/{what}", FACTORS[0]),
            format!("scale/{last:02}x/{what}"),
        );
        // The last over the first: by rates, so that it does not matter how exactly 16 times the words were met.
        if let Some((median, low, high)) =
            log.ratio(&first, &most, |one, other| one.rate() / other.rate())
        {
            let _ = writeln!(
                text,
                "| {what}: time over {last} times the data, divided by {last} (less is better) | minilm | 1.1 | 1.0 | **{median:.2}** | {low:.2} to {high:.2} |"
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
        let memory = log.ratio(&most, &first, |one, other| {
            one.peak_anonymous as f64 / other.peak_anonymous as f64
        });
        if let Some((median, low, high)) = memory {
            let _ = writeln!(
                text,
                "| {what}: peak anonymous memory, {last} times the data against once (flat is 1) | minilm | flat | flat | **{median:.2}** | {low:.2} to {high:.2} |"
            );
        }
        let (one, two) = (format!("threads/1/{what}"), format!("threads/2/{what}"));
        if let Some((median, low, high)) = log.ratio(&two, &one, |two, one| two.rate() / one.rate())
        {
            let _ = writeln!(
                text,
                "| {what}: two threads against one | minilm | | 2 | **{median:.2}** | {low:.2} to {high:.2} |"
            );
        }
    }
}

/// The numbers themselves.
fn rates(text: &mut String, log: &Log) {
    text.push_str(
        "\nMedians of each case; the machine is shared, so compare within a column only.\n\n\
         | case | real tokens/s | seconds | whole process, s | peak anonymous, MB |\n|---|---|---|---|---|\n",
    );
    for name in log.names() {
        let of = |number: fn(&Measurement) -> f64| {
            log.median(name, |one| Some(number(one)))
                .unwrap_or_default()
        };
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
        let memory = of(|one| one.peak_anonymous as f64);
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.2} | {:.1} | {:.0} |",
            of(Measurement::rate),
            of(|one| one.seconds),
            of(|one| one.wall),
            memory / 1e6
        );
    }
    for (plot, parts) in [
        ("rates", ["/extract/", "/train/"]),
        ("scaling", ["scale/"; 2]),
    ] {
        let drawn = |name: &str| parts.iter().any(|part| name.contains(part));
        if log.names().any(drawn) {
            let _ = writeln!(text, "\n![{plot}]({plot}.png)");
        }
    }
}
