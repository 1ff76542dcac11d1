//! Eight heads on the same store: on one pass, and one run after another as without `trainer sweep`.

use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::Value;

use super::cases::{Case, Place, Size};
use super::log::Measurement;
use super::measure;
use crate::demo;

/// Options of `trainer train`, which are the keys of a sweep, and their values.
const HEADS: [&[(&str, &str)]; 8] = [
    &[("head", "adapter")],
    &[("head", "adapter"), ("lr", "3e-3")],
    &[("head", "adapter"), ("no-tailor", "true")],
    &[("head", "adapter"), ("no-tailor-attention", "true")],
    &[("head", "attention-fusion")],
    &[("head", "scalar-mix")],
    &[("head", "last")],
    &[("head", "concat:0,3,6")],
];
const EPOCHS: &str = "2";
/// Name of both cases and of the sweep.
pub(super) const TOGETHER: &str = "sweep/8 heads on one pass";
pub(super) const ALONE: &str = "sweep/8 heads one after another";

/// The two cases of one size, on the store that the extraction left in `folder`.
pub(super) fn cases<'a>(place: &'a Place<'_>, size: Size, folder: &Path) -> Vec<Case<'a>> {
    let (one, other) = (folder.to_owned(), folder.to_owned());
    vec![
        Case::new(format!("{size}/{TOGETHER}"), move || together(place, &one)),
        Case::new(format!("{size}/{ALONE}"), move || alone(place, &other)),
    ]
}

fn together(place: &Place<'_>, folder: &Path) -> Result<Measurement> {
    let config = place.work.join("eight.toml");
    let table = |keys: &&[(&str, &str)]| {
        let line = |(key, value): &(&str, &str)| match *value {
            "true" => format!("{key} = true\n"),
            value if *key == "lr" => format!("{key} = {value}\n"),
            value => format!("{key} = \"{value}\"\n"),
        };
        format!("[[run]]\n{}", keys.iter().map(line).collect::<String>())
    };
    let runs: String = HEADS.iter().map(table).collect();
    fs::write(&config, format!("[defaults]\nepochs = {EPOCHS}\n{runs}"))?;
    let mut command = demo::program(place.project, &place.programs, "trainer")?;
    command
        .arg("sweep")
        .arg("--cache")
        .arg(folder.join("cache"));
    command.arg("--config").arg(&config);
    command.arg("--out").arg(place.work.join("runs"));
    command.args(["--overwrite", "--quiet", "--json", "--device", "cpu"]);
    command.args(["--threads", &place.threads.to_string()]);
    let ran = measure::run(&mut command)?;
    let groups = ran.said["groups"].as_array().into_iter().flatten();
    let runs = groups.flat_map(|group| group["runs"].as_array().into_iter().flatten());
    let tokens = runs.map(|run| tokens(Path::new(run["folder"].as_str().unwrap_or_default())));
    Ok(measurement(
        tokens.sum::<Result<f64>>()?,
        ran.wall,
        ran.peak_anonymous,
    ))
}

fn alone(place: &Place<'_>, folder: &Path) -> Result<Measurement> {
    let (mut all, mut wall, mut peak) = (0.0, 0.0, 0);
    for keys in HEADS {
        let mut command = demo::program(place.project, &place.programs, "trainer")?;
        command.arg("--cache").arg(folder.join("cache"));
        command.arg("--out").arg(place.work.join("runs"));
        command.args(["--name", "alone", "--overwrite", "--quiet", "--json"]);
        command.args(["--device", "cpu", "--epochs", EPOCHS]);
        command.args(["--threads", &place.threads.to_string()]);
        for (key, value) in keys {
            command.arg(format!("--{key}"));
            if *value != "true" {
                command.arg(value);
            }
        }
        let ran = measure::run(&mut command)?;
        all += tokens(&place.work.join("runs/alone"))?;
        wall += ran.wall;
        peak = peak.max(ran.peak_anonymous);
    }
    Ok(measurement(all, wall, peak))
}

/// The tokens that a run was trained on.
fn tokens(run: &Path) -> Result<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl"))?;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("{\"event\":\"epoch\""));
    let tokens = lines.map(|line| {
        let epoch: Value = serde_json::from_str(line)?;
        let rate = epoch["tokens_per_second"].as_f64();
        let product = epoch["seconds"]
            .as_f64()
            .zip(rate)
            .map(|(seconds, rate)| seconds * rate);
        product.context("an epoch without tokens")
    });
    tokens.sum()
}

/// Whole processes: a sweep also saves starting up seven times.
fn measurement(tokens: f64, wall: f64, peak_anonymous: u64) -> Measurement {
    Measurement {
        tokens,
        seconds: wall,
        wall,
        peak_anonymous,
        padding: None,
        outside_encoder: None,
    }
}
