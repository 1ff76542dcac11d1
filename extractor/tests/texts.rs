//! What users read, word for word: help and errors. A text that changes shows as a difference of a file in
//! `snapshots/`, so that it is read by whoever reviews the change.
//!
//! `INSTA_UPDATE=always cargo test -p extractor --test texts` writes the files anew.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, and what was skipped is said"
)]

mod common;

use std::path::Path;

use common::{Toy, program};
use insta::assert_snapshot;

/// The program's answer to a line of arguments: its exit status, stdout and stderr. What belongs to this machine, the
/// folder and the version, is named instead.
fn answer(toy: &Toy, line: &str) -> String {
    let output = program(toy.path())
        .env("COLUMNS", "100")
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let folder = toy.path().to_str().unwrap();
    let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let [stdout, stderr] = texts.map(|text| {
        text.replace(folder, "FOLDER")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
    });
    format!(
        "extractor {line}\nexit status {}\n\n{stdout}{stderr}",
        output.status.code().unwrap()
    )
}

/// Compares with the file of a plain name; where ONNX Runtime is on this machine is left out.
fn named(name: &str, text: &str) {
    insta::with_settings!({
        prepend_module_to_snapshot => false,
        omit_expression => true,
        filters => vec![(r"/\S*/libonnxruntime\.so[.0-9]*", "ONNX-RUNTIME")],
    }, {
        assert_snapshot!(name, text);
    });
}

#[test]
fn help() {
    let toy = Toy::new();
    named("help", &answer(&toy, "--help"));
    named("help-predict", &answer(&toy, "predict --help"));
    named("help-plan", &answer(&toy, "plan --help"));
    named("help-convert", &answer(&toy, "convert --help"));
}

/// Each a mistake that people make; the toy is as it was afterwards.
#[test]
fn errors_of_input() {
    let toy = Toy::new();
    for (name, line) in [
        (
            "error-no-model",
            "--model missing --dataset names --out cache",
        ),
        (
            "error-model-of-the-hub-offline",
            "--model someone/missing --dataset names --out cache",
        ),
        (
            "error-no-data-set",
            "--model toy-bert --dataset missing --out cache",
        ),
        (
            "error-bad-column",
            "--model toy-bert --dataset names --out cache --label-column 5",
        ),
        (
            "error-no-such-layer",
            "--model toy-bert --dataset names --out cache --layers 7",
        ),
        ("error-no-such-option", "--model toy-bert --datset names"),
        ("error-no-store", "verify cache/toy-bert--names.zarr"),
        (
            "error-no-run",
            "predict --run runs/missing --model toy-bert",
        ),
    ] {
        named(name, &answer(&toy, line));
    }
}

#[test]
fn error_of_a_store_of_another_identity() {
    let toy = Toy::new();
    toy.extract().arg("--quiet").assert().success();
    let line = "--model toy-bert --dataset names --out cache --layers 0,-1 --quiet";
    named("error-other-identity", &answer(&toy, line));
}

#[test]
fn error_without_a_gpu() {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/onnxruntime/capi");
    let for_cuda = libraries.join("libonnxruntime_providers_cuda.so").exists();
    if for_cuda || std::env::var_os("ORT_DYLIB_PATH").is_some() {
        println!(
            "skipped: what is missing depends on the ONNX Runtime, which is not the one for the CPU"
        );
        return;
    }
    let line = "--model toy-bert --dataset names --out cache --device cuda";
    named("error-no-gpu", &answer(&Toy::new(), line));
}
