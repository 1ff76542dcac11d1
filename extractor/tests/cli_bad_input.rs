//! Bad input: one clear error, exit 1, and nothing left behind that the next run trips over.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::Path;

use common::{Toy, stderr};

/// Breaks something, expects one error that says `says`, mends it and expects that the same command works.
fn one_error_then_mended(says: &str, damage: impl FnOnce(&Toy), mend: impl FnOnce(&Toy)) {
    let toy = Toy::new();
    damage(&toy);
    let output = toy.extract().output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.matches("error:").count(), 1, "{message}");
    assert!(message.contains(says), "expected {says:?} in: {message}");
    assert!(output.stdout.is_empty());
    mend(&toy);
    let output = toy.extract().output().unwrap();
    assert!(
        output.status.success(),
        "after mending: {}",
        stderr(&output)
    );
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    fs_err::write(path, change(fs_err::read_to_string(path).unwrap())).unwrap();
}

/// Damages a file of the model; mending puts the original back.
fn damaged_model(file: &str, says: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let original = fs_err::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/toy-bert")
            .join(file),
    )
    .unwrap();
    let changed = change(original.clone());
    one_error_then_mended(
        says,
        |toy| match changed {
            Some(changed) => fs_err::write(toy.model().join(file), changed).unwrap(),
            None => fs_err::remove_file(toy.model().join(file)).unwrap(),
        },
        |toy| fs_err::write(toy.model().join(file), original).unwrap(),
    );
}

#[test]
fn no_model_folder() {
    let hidden = |toy: &Toy| toy.path().join("elsewhere");
    one_error_then_mended(
        "there is no model folder",
        |toy| fs_err::rename(toy.model(), hidden(toy)).unwrap(),
        |toy| fs_err::rename(hidden(toy), toy.model()).unwrap(),
    );
}

#[test]
fn a_broken_configuration() {
    damaged_model("config.json", "config.json", |bytes| {
        Some(bytes[..bytes.len() / 2].to_vec())
    });
    damaged_model("config.json", "config.json", |_| None);
    damaged_model("config.json", "num_attention_heads", |bytes| {
        Some(
            String::from_utf8(bytes)
                .unwrap()
                .replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 3")
                .into(),
        )
    });
}

#[test]
fn a_family_that_is_not_supported() {
    damaged_model("config.json", "deberta-v2", |bytes| {
        Some(
            String::from_utf8(bytes)
                .unwrap()
                .replace("\"model_type\": \"bert\"", "\"model_type\": \"deberta-v2\"")
                .into(),
        )
    });
}

#[test]
fn broken_weights() {
    damaged_model("model.safetensors", "no weights", |_| None);
    damaged_model("model.safetensors", "model.safetensors", |bytes| {
        Some(bytes[..bytes.len() - 100].to_vec())
    });
}

#[test]
fn a_tokenizer_that_is_not_the_model_s() {
    damaged_model("tokenizer.json", "tokenizer.json", |bytes| {
        Some(bytes[..bytes.len() / 2].to_vec())
    });
    damaged_model("tokenizer.json", "vocabulary ends at 300", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let id = text
            .split("\"the\":")
            .nth(1)
            .and_then(|rest| rest.split([',', '}']).next())
            .unwrap();
        Some(
            text.replace(&format!("\"the\":{id}"), "\"the\":9999")
                .into(),
        )
    });
}

#[test]
fn no_data_set() {
    let hidden = |toy: &Toy| toy.path().join("elsewhere");
    one_error_then_mended(
        "names",
        |toy| fs_err::rename(toy.dataset(), hidden(toy)).unwrap(),
        |toy| fs_err::rename(hidden(toy), toy.dataset()).unwrap(),
    );
}

#[test]
fn a_label_column_that_is_not_there() {
    let toy = Toy::new();
    let output = toy
        .extract()
        .args(["--label-column", "5"])
        .output()
        .unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.matches("error:").count(), 1, "{message}");
    assert!(
        message.contains("train.conll") && message.contains('5'),
        "{message}"
    );
    assert!(!toy.root().exists());
    toy.extract().assert().success();
}

#[test]
fn an_empty_file() {
    let file = |toy: &Toy| toy.dataset().join("train.conll");
    let kept = |toy: &Toy| toy.path().join("kept");
    one_error_then_mended(
        "train.conll",
        |toy| {
            fs_err::rename(file(toy), kept(toy)).unwrap();
            fs_err::write(file(toy), "").unwrap();
        },
        |toy| fs_err::rename(kept(toy), file(toy)).unwrap(),
    );
}

#[test]
fn a_sentence_of_only_unknown_characters_is_no_error() {
    let toy = Toy::new();
    edit(&toy.dataset().join("train.conll"), |text| {
        format!("{text}☃ O\n∮ B-NAME\n\n\u{200b} B-NAME\n\n")
    });
    let output = toy.extract().arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let lost = summary["words_without_sub_word"].as_array().unwrap();
    assert_eq!(
        (lost.len(), &lost[0]["text"], &lost[0]["label"]),
        (1, &"\u{200b}".into(), &"B-NAME".into())
    );
    let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
    let train = store.split(shared::datasets::SplitName::Train).unwrap();
    let ids = train.input_ids();
    // [CLS] [UNK] [UNK] [SEP], then a sentence of which nothing but its special tokens is left.
    assert_eq!(ids[ids.len() - 6..], [2, 1, 1, 3, 2, 3]);
}

#[test]
fn a_store_that_is_incomplete_is_refused_by_readers_and_finished_by_the_same_command() {
    let toy = Toy::new();
    toy.extract().assert().success();
    fs_err::remove_file(toy.store().join("done.json")).unwrap();
    for command in ["inspect", "verify"] {
        let output = toy
            .program()
            .arg(command)
            .arg(toy.store())
            .output()
            .unwrap();
        let message = stderr(&output);
        let expected = i32::from(command == "verify");
        assert_eq!(output.status.code(), Some(expected), "{command}: {message}");
        let said = message + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("incomplete"), "{command}: {said}");
    }
    toy.extract().assert().success();
    toy.program()
        .arg("verify")
        .arg(toy.store())
        .assert()
        .success();
}

#[test]
fn something_else_in_the_way_is_left_alone() {
    let toy = Toy::new();
    fs_err::create_dir_all(toy.store()).unwrap();
    fs_err::write(toy.store().join("thesis.txt"), "mine").unwrap();
    let output = toy.extract().arg("--overwrite").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(
        fs_err::read(toy.store().join("thesis.txt")).unwrap(),
        b"mine"
    );
}

#[test]
fn a_path_with_a_slip_is_told_as_one() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("data")).unwrap();
    let model = fs_err::canonicalize(toy.model()).unwrap();
    let model = model.to_str().unwrap();
    for arguments in [
        ["--model", model, "--dataset", "data/mials"],
        ["--model", "data/mials", "--dataset", "x"],
    ] {
        let mut program = toy.program();
        program
            .current_dir(folder.path())
            .args(["--out", "x"])
            .args(arguments);
        let output = program.output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains("there is no file or folder data/mials"),
            "{message}"
        );
    }
}
