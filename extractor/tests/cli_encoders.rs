//! How encoders are used makes no difference to what is stored: one or two of them in turn, rows
//! made by the program or by the graph, as on a GPU; and the size of batches, which does make one,
//! stays with a store.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::collections::BTreeMap;

use common::{Toy, stderr, tree};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

/// Many parts and batches of a few sentences.
const SMALL: [&str; 4] = ["--part-bytes", "32000", "--max-batch-tokens", "64"];

/// The summary and the files of an extraction with more options.
fn extracted(toy: &Toy, root: &str, options: &[&str]) -> (Value, BTreeMap<String, Vec<u8>>) {
    let root = toy.path().join(root);
    let output = toy
        .program()
        .args(toy.arguments(&root))
        .args(SMALL)
        .args(options)
        .arg("--json")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = serde_json::from_slice(&output.stdout).unwrap();
    (summary, tree(&root))
}

#[test]
fn a_store_does_not_depend_on_how_many_encoders_take_turns() {
    let toy = Toy::repeated(3);
    let (summary, one) = extracted(&toy, "one", &[]);
    assert_eq!(summary["setup"]["encoders"], 1);
    assert_eq!(summary["setup"]["max_batch_tokens"], 64);
    assert_eq!(summary["setup"]["rows_by_graph"], false);
    assert!(summary["setup"]["nodes_on_cpu"].is_null());
    for encoders in ["2", "3"] {
        let (other, files) = extracted(&toy, encoders, &["--encoders", encoders]);
        assert_eq!(other["setup"]["encoders"].to_string(), encoders);
        assert_eq!(other["padding_share"], summary["padding_share"]);
        assert_eq!(other["tokens_encoded"], summary["tokens_encoded"]);
        assert_eq!(files, one, "{encoders} encoders");
    }
}

#[test]
fn sizes_are_typed_with_units_or_without() {
    let toy = Toy::new();
    let (_, plain) = extracted(&toy, "plain", &[]);
    let sized = |root: &str, size: &str| {
        let root = toy.path().join(root);
        let mut command = toy.program();
        command
            .args(toy.arguments(&root))
            .args(["--max-batch-tokens", "64"]);
        (command.args(["--part-bytes", size]).output().unwrap(), root)
    };
    let (output, root) = sized("units", "32kB");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(tree(&root), plain);
    let (output, _) = sized("wrong", "32 parrots");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("32 parrots") && said.contains("64MB"),
        "{said}"
    );
}

#[test]
fn a_store_does_not_depend_on_where_rows_are_made() {
    let toy = Toy::new();
    for format in ["f16", "bf16", "f32", "i8", "i4"] {
        let own = ["--store-dtype", format];
        let (summary, expected) = extracted(&toy, &format!("{format}-host"), &own);
        let graph = [
            "--store-dtype",
            format,
            "--rows",
            "device",
            "--encoders",
            "2",
        ];
        let (other, files) = extracted(&toy, &format!("{format}-device"), &graph);
        assert_eq!(
            other["setup"]["rows_by_graph"],
            !["i8", "i4"].contains(&format)
        );
        assert_eq!(other["setup"]["rows_pinned"], false);
        assert_eq!(other["identity"], summary["identity"]);
        let data = |files: &BTreeMap<String, Vec<u8>>| {
            let mut files = files.clone();
            // Sums of float32 values, taken in another order.
            files.retain(|name, _| !name.ends_with("done.json"));
            files
        };
        assert_eq!(data(&files), data(&expected), "{format}");
        toy.program()
            .arg("verify")
            .arg(toy.path().join(format!("{format}-device")))
            .assert()
            .success();
    }
}

#[test]
fn a_value_too_large_for_the_store_is_named_wherever_rows_are_made() {
    let toy = Toy::new();
    toy.enlarge_values();
    let said = |options: &[&str]| {
        let mut command = toy.extract();
        let output = command
            .args(["--store-dtype", "f16"])
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stderr(&output);
        let error = said.lines().find(|line| line.starts_with("error"));
        error.unwrap().to_owned()
    };
    let by_host = said(&[]);
    assert!(by_host.contains("is too large for float16"), "{by_host}");
    assert_eq!(said(&["--rows", "device"]), by_host);
    // Another batch may be first with two, but not another error.
    let by_two = said(&["--rows", "device", "--encoders", "2"]);
    assert_eq!(by_two, by_host);
    toy.extract()
        .args(["--rows", "device", "--store-dtype", "bf16"])
        .assert()
        .success();
}

#[test]
fn a_store_is_finished_with_the_batches_it_was_begun_with() {
    let toy = Toy::new();
    toy.extract()
        .args(["--max-batch-tokens", "64"])
        .assert()
        .success();
    let before = tree(&toy.store());
    toy.extract()
        .assert()
        .success()
        .stderr(contains("nothing to do"));
    toy.extract()
        .args(["--max-batch-tokens", "65"])
        .assert()
        .code(1)
        .stderr(contains("max_batch_tokens: stored 64, wanted 65"));
    assert_eq!(before, tree(&toy.store()));
    toy.extract()
        .args(["--overwrite", "--json"])
        .assert()
        .success()
        .stdout(contains("\"max_batch_tokens\":2048"));
    for wrong in [["--encoders", "0"], ["--encoders", "9"], ["--rows", "gpu"]] {
        toy.extract()
            .args(wrong)
            .assert()
            .code(1)
            .stderr(contains(wrong[0]).and(contains(wrong[1])));
    }
}
