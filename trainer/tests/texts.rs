//! What users read, word for word: help, errors, the model card and the report of a run. A text that changes shows as a
//! difference of a file in `snapshots/`, so that it is read by whoever reviews the change.
//!
//! `INSTA_UPDATE=always cargo test -p trainer --test texts` writes the files anew.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, and what was skipped is said"
)]

use std::path::Path;

use insta::assert_snapshot;
use testing::labelled::{Recipe, build};
use testing::place::Place;

/// The program that is tested.
const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");

/// The program's answer to a line of arguments: its exit status, stdout and stderr. What belongs to this machine, the
/// folder and the version, is named instead.
fn answer(place: &Place, line: &str) -> String {
    let output = place.trainer(line).env("COLUMNS", "100").output().unwrap();
    let folder = place.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let [stdout, stderr] = texts.map(|text| {
        text.replace(folder, "FOLDER")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
    });
    format!(
        "trainer {line}\nexit status {}\n\n{stdout}{stderr}",
        output.status.code().unwrap()
    )
}

/// Compares with the file of a plain name; `filters` are pairs of a regular expression and what stands for it.
fn named(name: &str, text: &str, filters: &[(&str, &str)]) {
    let filters = filters.to_vec();
    insta::with_settings!({
        prepend_module_to_snapshot => false,
        omit_expression => true,
        filters => filters,
    }, {
        assert_snapshot!(name, text);
    });
}

#[test]
fn help() {
    let place = Place::new(TRAINER, &Recipe::default());
    named("help", &answer(&place, "--help"), &[]);
    named("help-sweep", &answer(&place, "sweep --help"), &[]);
}

/// Each a mistake that people make.
#[test]
fn errors() {
    let place = Place::new(TRAINER, &Recipe::default());
    place.succeed("--cache cache --epochs 1 --limit-train 8 --name done --quiet");
    build(
        &place.path("other"),
        &Recipe {
            weights: "9999",
            ..Recipe::default()
        },
    );
    for (name, line) in [
        ("error-no-model", "--cache cache --epochs 1 --model missing"),
        (
            "error-no-data-set",
            "--cache cache --epochs 1 --dataset missing",
        ),
        ("error-no-store", "--cache nowhere --epochs 1"),
        (
            "error-no-labels-of-the-task",
            "--cache cache --epochs 1 --task pos",
        ),
        (
            "error-no-such-layer",
            "--cache cache --epochs 1 --head layer:7",
        ),
        (
            "error-run-exists",
            "--cache cache --epochs 1 --limit-train 8 --name done",
        ),
        (
            "error-other-settings",
            "--cache cache --epochs 2 --limit-train 8 --name done --resume",
        ),
        (
            "error-other-identity",
            "eval --run runs/done --cache other --split test",
        ),
        ("error-no-run", "eval --run runs/missing --cache cache"),
        ("error-no-such-option", "--cache cache --epoch 1"),
    ] {
        named(name, &answer(&place, line), &[]);
    }
}

#[test]
fn error_without_a_gpu() {
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let place = Place::new(TRAINER, &Recipe::default());
    let line = "--cache cache --epochs 1 --device cuda";
    named("error-no-gpu", &answer(&place, line), &[]);
}

/// Scores, times and versions differ between machines; everything else of the model card and the report does not.
#[test]
fn model_card_and_report() {
    let place = Place::new(TRAINER, &Recipe::default());
    place.succeed("--cache cache --epochs 2 --lr 1e-2 --batch-size 8 --name run --quiet");
    let machine = [
        (
            r"(?m)^(\| (?:training time|finished|libtorch|trainer|device) \| ).*$",
            "${1}… |",
        ),
        (r"(?m)^(\| \w+ \| F1 \|.*\| )\d+ \|$", "${1}… |"),
        (r"\b\d+\.\d{4}\b", "N"),
    ];
    named("model-card", &place.text("runs/run/README.md"), &machine);
    let report = text_of(&place.text("runs/run/report.html"));
    named("report", &report, &[(r"\b\d[\d.,]*\b", "N")]);
}

/// What a browser shows of a page without its drawings: the texts between tags, a line each.
fn text_of(html: &str) -> String {
    let html = without(&without(html, "<style>", "</style>"), "<svg", "</svg>");
    let texts = html.split('<').filter_map(|piece| piece.split_once('>'));
    let lines = texts.map(|(_, text)| text.trim());
    let lines: Vec<&str> = lines.filter(|text| !text.is_empty()).collect();
    lines.join("\n")
}

/// A text without what stands between `begin` and `end`, and without these.
fn without(text: &str, begin: &str, end: &str) -> String {
    let mut pieces = text.split(begin);
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        kept.push_str(piece.split_once(end).map_or("", |(_, rest)| rest));
    }
    kept
}
