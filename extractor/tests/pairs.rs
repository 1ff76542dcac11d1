//! Pairs of texts: hidden states with token types against `transformers`, and the way from a data
//! set to predictions.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

mod common;

use std::fmt::Write as _;

use common::expected::{fixtures, floats, integers};
use common::trained::Trained;
use common::{Toy, stderr};
use extractor::encoder::{Batch, Encoder, EncoderOptions};
use extractor::model::ModelFiles;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use shared::datasets::SplitName;

#[test]
fn hidden_states_of_pairs_are_those_of_transformers() {
    const TOLERANCE: f32 = 1e-4;
    let bytes = fs_err::read(fixtures().join("pairs.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| integers(tensors.tensor(name).unwrap().data());
    let shape = tensors.tensor("input_ids").unwrap().shape().to_vec();
    let lengths = numbers("lengths");
    let typed = |token_types: Vec<i32>| Batch {
        input_ids: numbers("input_ids"),
        lengths: lengths.clone(),
        token_types,
        rows: shape[0],
        width: shape[1],
    };
    let (mut checkpoints, mut with_types) = (0, 0);
    for name in tensors.names() {
        let Some(checkpoint) = name.strip_suffix(".hidden_states") else {
            continue;
        };
        checkpoints += 1;
        let expected = floats(tensors.tensor(name).unwrap().data());
        let folder = fixtures().join("checkpoints").join(checkpoint);
        let files = ModelFiles::in_folder(&folder).unwrap();
        let options = EncoderOptions {
            token_types: true,
            ..EncoderOptions::default()
        };
        let mut encoder = Encoder::load(&files, &options).unwrap();
        let mut largest = |types: Vec<i32>| {
            let (states, hidden) = (encoder.layers_in_model(), encoder.hidden());
            let outputs = encoder.encode(&typed(types)).unwrap();
            let mut largest = 0.0_f32;
            for state in 0..states {
                let layer = outputs.layer(state);
                for (row, &length) in lengths.iter().enumerate() {
                    for token in 0..usize::try_from(length).unwrap() {
                        for unit in 0..hidden {
                            let place =
                                ((state * shape[0] + row) * shape[1] + token) * hidden + unit;
                            largest =
                                largest.max((layer[[row, token, unit]] - expected[place]).abs());
                        }
                    }
                }
            }
            largest
        };
        let difference = largest(numbers("token_types"));
        assert!(difference < TOLERANCE, "{checkpoint}: {difference}");
        // Without types the states are others, where the encoder has some.
        let has_types = files.spec().unwrap().has_token_types();
        let difference = largest(Vec::new());
        assert_eq!(difference > 0.01, has_types, "{checkpoint}: {difference}");
        with_types += usize::from(has_types);
    }
    assert!(
        checkpoints > 8 && with_types > 5,
        "{checkpoints} {with_types}"
    );
}

/// Pairs of toy sentences, which are of one kind if both are of the same length.
fn pairs(toy: &Toy) {
    for split in ["train", "validation", "test"] {
        let file = toy.dataset().join(format!("{split}.conll"));
        let columns = fs_err::read_to_string(&file).unwrap();
        let sentences = columns.trim_start_matches("-DOCSTART- O\n\n").trim_end();
        let texts: Vec<Vec<&str>> = sentences
            .split("\n\n")
            .map(|sentence| {
                sentence
                    .lines()
                    .filter_map(|line| line.split(' ').next())
                    .collect()
            })
            .collect();
        let mut lines = String::new();
        for (place, first) in texts.iter().enumerate() {
            let second = &texts[(place * 7 + 3) % texts.len()];
            let line = json!({
                "sentence1": first.join(" "), "sentence2": second.join(" "), "id": place,
                "label": if first.len() > second.len() { "longer" } else { "not longer" },
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        fs_err::write(toy.dataset().join(format!("{split}.jsonl")), lines).unwrap();
        fs_err::remove_file(file).unwrap();
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn pairs_stay_apart_from_the_data_set_to_the_predictions() {
    let toy = Toy::new();
    pairs(&toy);
    let Some(trained) = Trained::on(
        toy,
        "--max-length 20 --store-dtype f32 --device cpu --self-check 8",
    ) else {
        return;
    };
    let store = cache::Store::open(&trained.toy.store(), cache::Io::Read).unwrap();
    assert!(store.manifest().dataset.pairs);
    let test = store.split(SplitName::Test).unwrap();
    let data = lines(&fs_err::read_to_string(trained.toy.dataset().join("test.jsonl")).unwrap());
    for (sentence, line) in data.iter().enumerate() {
        let words = test.words(sentence);
        let (first, second) = words.split_at(test.second_text(sentence).unwrap());
        assert_eq!(
            (json!(first.join(" ")), json!(second.join(" "))),
            (line["sentence1"].clone(), line["sentence2"].clone())
        );
    }
    // What is too long is cut, the longer text first, and is one sequence.
    assert_eq!(test.len(), test.sentences());
    assert!((0..test.len()).any(|sequence| {
        test.tokens_of(sequence)
            .is_ok_and(|tokens| tokens.end - tokens.start == 20)
    }));
    drop(store);
    let result = trained.trainer(
        "--cache cache --epochs 12 --lr 2e-2 --batch-size 8 --device cpu -q --json --name pairs --head last",
    );
    let result: Value = serde_json::from_str(&result).unwrap();
    let of_store =
        trained.trainer("predict --run runs/pairs --cache cache --split test --device cpu -q");
    let of_store = lines(&of_store);
    let right = of_store
        .iter()
        .filter(|line| line["gold"] == line["predicted"])
        .count();
    let accuracy = result["scores"]["test"]["accuracy"].as_f64().unwrap();
    assert!((accuracy * 8.0 - f64::from(u32::try_from(right).unwrap())).abs() < 1e-9);
    let mut tsv = String::new();
    for line in &data {
        let [first, second] =
            [&line["sentence1"], &line["sentence2"]].map(|text| text.as_str().unwrap());
        writeln!(tsv, "{first}\t{second}").unwrap();
    }
    fs_err::write(trained.toy.path().join("test.txt"), tsv).unwrap();
    let from_text = trained.predict("pairs", "--input test.txt");
    let from_json = trained.predict("pairs", "--input names/test.jsonl");
    assert!(from_text.status.success(), "{}", stderr(&from_text));
    assert_eq!(from_text.stdout, from_json.stdout);
    let of_text = lines(&String::from_utf8(from_text.stdout).unwrap());
    assert_eq!((of_text.len(), of_store.len()), (8, 8));
    for ((of_text, of_store), line) in of_text.iter().zip(&of_store).zip(&data) {
        assert_eq!(
            (&of_text["text"], &of_text["text_pair"]),
            (&line["sentence1"], &line["sentence2"])
        );
        assert_eq!(
            (&of_store["text"], &of_store["text_pair"]),
            (&line["sentence1"], &line["sentence2"])
        );
        assert_eq!(of_text["label"], of_store["predicted"]);
    }
    let inline = trained.predict("pairs", "--input test.txt --output-format inline");
    let inline = String::from_utf8(inline.stdout).unwrap();
    assert!(
        inline.lines().all(|line| line.split('\t').count() == 3),
        "{inline}"
    );
    for (options, said) in [
        (
            "--input names/test.jsonl --output-format conll",
            "no columns for pairs",
        ),
        ("--input cache/../names/train.txt", "test.txt:1"),
    ] {
        if said.starts_with("test") {
            fs_err::write(trained.toy.dataset().join("train.txt"), "only one\n").unwrap();
        }
        let refused = trained.predict("pairs", options);
        assert_eq!(refused.status.code(), Some(1));
        let message = stderr(&refused);
        let said = if said.starts_with("test") {
            "train.txt:1: the pair has no text"
        } else {
            said
        };
        assert!(message.contains(said), "{message}");
    }
    let exported = trained.extractor("export", "pairs", "--out out/model.onnx");
    assert!(exported.status.success(), "{}", stderr(&exported));
    let graph = fs_err::read(trained.toy.path().join("out/model.onnx")).unwrap();
    let name = b"token_type_ids";
    assert!(graph.windows(name.len()).any(|bytes| bytes == name));
}

#[test]
fn labels_are_added_to_the_same_pairs_alone() {
    let toy = Toy::new();
    pairs(&toy);
    toy.extract().args(["--device", "cpu"]).assert().success();
    // The same words, parted elsewhere.
    let moved = toy.path().join("moved");
    fs_err::create_dir(&moved).unwrap();
    let test = toy.dataset().join("test.jsonl");
    let mut other = String::new();
    for line in lines(&fs_err::read_to_string(&test).unwrap()) {
        let both = [&line["sentence1"], &line["sentence2"]].map(|text| text.as_str().unwrap());
        let both = both.join(" ");
        let (first, second) = both.split_once(' ').unwrap();
        other.push_str(
            &json!({ "sentence1": first, "sentence2": second, "score": 0.5 }).to_string(),
        );
        other.push('\n');
    }
    fs_err::write(moved.join("test.jsonl"), &other).unwrap();
    fs_err::write(moved.join("train.jsonl"), &other).unwrap();
    let mut label = toy.label(&moved);
    let refused = label.args(["--task", "regression"]).assert().code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(told.contains("not the same text"), "{told}");
    let mut label = toy.label(&toy.dataset());
    label
        .args(["--task", "regression", "--label-column", "id"])
        .assert()
        .success();
}

#[test]
fn a_pair_that_is_too_long_or_lacks_a_text_is_told_with_its_line() {
    let toy = Toy::new();
    pairs(&toy);
    let refused = toy
        .extract()
        .args(["--max-length", "12", "--long", "error"])
        .assert()
        .code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        told.contains("train.jsonl, line ") && told.contains("--long truncate"),
        "{told}"
    );
    let refused = toy.extract().args(["--max-length", "4"]).assert().code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        told.contains("no room for two texts beside the 3 special tokens"),
        "{told}"
    );
    let train = toy.dataset().join("train.jsonl");
    let mut text = fs_err::read_to_string(&train).unwrap();
    text.push_str("{\"sentence1\": \"a\", \"label\": \"longer\"}\n");
    fs_err::write(&train, text).unwrap();
    let refused = toy.extract().assert().code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        told.contains("train.jsonl:45: the pair has no text in sentence2"),
        "{told}"
    );
}
