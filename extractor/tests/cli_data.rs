//! Data as people have it, through the command line: the real sets beside the repository with one command each, and
//! files and formats that are named.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::Path;

use common::{Toy, real_data, stderr};
use predicates::str::contains;
use serde_json::Value;

/// `extractor` on a data set with no option beyond; only the embeddings are kept, so that it takes seconds.
fn summary(toy: &Toy, dataset: &Path) -> Value {
    let mut command = toy.program();
    command.arg("--model").arg(toy.model());
    command.arg("--dataset").arg(dataset);
    command.arg("--out").arg(toy.root());
    let output = command.args(["--layers", "0", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut inspect = toy.program();
    inspect
        .arg("inspect")
        .arg(summary["store"].as_str().unwrap());
    let output = inspect.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_real_set_becomes_a_store_with_one_command() {
    let Some(folder) = real_data() else { return };
    // Words as an independent reader counts them, see shared/tests/fixtures/make_real_data.py.
    let independent = include_str!("../../shared/tests/fixtures/real_data.json");
    let independent: Value = serde_json::from_str(independent).unwrap();
    let sets = [
        ("uner-ewt", "ner", [12_543, 2_001, 2_077]),
        ("wnut17", "ner", [3_394, 1_009, 1_287]),
        ("broad-twitter", "ner", [6_338, 1_001, 2_001]),
        ("ud-ewt", "pos", [12_544, 2_001, 2_077]),
        // A tenth of the 10,003 sentences of train is held out.
        ("banking77", "sequence", [9_003, 1_000, 3_080]),
    ];
    let toy = Toy::new();
    for (name, task, sentences) in sets {
        let found = summary(&toy, &folder.join(name));
        assert_eq!(found["manifest"]["dataset"]["task"], task, "{name}");
        for (split, sentences) in ["train", "validation", "test"].into_iter().zip(sentences) {
            let size = &found["manifest"]["splits"][split];
            assert_eq!(size["sentences"], sentences, "{name} {split}");
            let words = &independent[name][split]["words"];
            if !words.is_null() {
                assert_eq!(size["words"], *words, "{name} {split}");
            }
        }
    }
}

#[test]
fn files_of_splits_are_named_one_by_one() {
    let toy = Toy::new();
    let rename = |from: &str, to: &str| {
        let to = toy.path().join(to);
        fs_err::rename(toy.dataset().join(from), &to).unwrap();
        to
    };
    let (train, test) = (
        rename("train.conll", "a.data"),
        rename("test.conll", "b.data"),
    );
    let mut command = toy.program();
    command
        .arg("--model")
        .arg(toy.model())
        .arg("--out")
        .arg(toy.root());
    command.arg("--train").arg(train).arg("--test").arg(&test);
    command.args([
        "--dataset",
        "my-names",
        "--format",
        "columns",
        "--split-seed",
        "7",
    ]);
    command.assert().success().stderr(contains(
        "4 of the 44 sentences of train were taken for it (seed 7; --split-seed takes others, --validation names a file)",
    ));
    assert!(toy.root().join("toy-bert--my-names.zarr").is_dir());

    let mut command = toy.command("plan");
    command
        .args(["--format", "jsonl"])
        .assert()
        .code(1)
        .stderr(contains("not a JSON object on one line"));
    let mut command = toy.command("plan");
    command
        .args(["--format", "parquet"])
        .assert()
        .code(1)
        .stderr(contains("parquet"));
    let mut command = toy.program();
    command
        .arg("plan")
        .arg("--model")
        .arg(toy.model())
        .arg("--train")
        .arg(toy.path().join("c.data"));
    command.assert().code(1).stderr(contains("c.data"));
    let mut command = toy.program();
    command
        .arg("plan")
        .arg("--model")
        .arg(toy.model())
        .arg("--test")
        .arg(&test)
        .args(["--format", "parquet"]);
    command.assert().code(1).stderr(contains("b.data"));
    let mut command = toy.command("plan");
    command
        .args(["--dataset-config", "x"])
        .assert()
        .code(1)
        .stderr(contains("is on disk"));
}
