//! Numbers and sets of labels from data to predictions: what `trainer` says of the store,
//! `extractor predict` says of the text, with scores that follow from the predictions.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

mod common;

use std::collections::BTreeMap;

use common::trained::Trained;
use common::{Toy, stderr};
use serde_json::{Value, json};
use shared::tasks::correlation::pearson;

/// The toy texts, each with the number and the labels that `label` makes of its words.
fn texts(label: impl Fn(&[&str], usize) -> Value) -> Toy {
    let toy = Toy::new();
    for split in ["train", "validation", "test"] {
        let file = toy.dataset().join(format!("{split}.conll"));
        let columns = fs_err::read_to_string(&file).unwrap();
        let mut lines = String::new();
        let sentences = columns.trim_start_matches("-DOCSTART- O\n\n").trim_end();
        for (index, sentence) in sentences.split("\n\n").enumerate() {
            let words: Vec<&str> = sentence
                .lines()
                .filter_map(|line| line.split(' ').next())
                .collect();
            let mut object = json!({ "text": words.join(" ") });
            let Value::Object(labels) = label(&words, index) else {
                panic!("no object");
            };
            object.as_object_mut().unwrap().extend(labels);
            lines.push_str(&object.to_string());
            lines.push('\n');
        }
        fs_err::write(toy.dataset().join(format!("{split}.jsonl")), lines).unwrap();
        fs_err::remove_file(file).unwrap();
    }
    toy
}

/// A number that the words tell: how many letters they have on average.
fn score(words: &[&str]) -> f64 {
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    f64::from(u32::try_from(letters).unwrap()) / f64::from(u32::try_from(words.len()).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What `trainer predict` and `extractor predict` say of the test split.
fn predicted(trained: &Trained, name: &str) -> (Vec<Value>, Vec<Value>) {
    let of_store = trained.trainer(&format!(
        "predict --run runs/{name} --cache cache --split test --device cpu -q"
    ));
    let data = fs_err::read_to_string(trained.toy.dataset().join("test.jsonl")).unwrap();
    let mut input = String::new();
    for line in lines(&data) {
        input.push_str(line["text"].as_str().unwrap());
        input.push('\n');
    }
    fs_err::write(trained.toy.path().join("test.txt"), input).unwrap();
    let output = trained.predict(name, "--input test.txt --output-format jsonl");
    assert!(output.status.success(), "{}", stderr(&output));
    (
        lines(&of_store),
        lines(&String::from_utf8(output.stdout).unwrap()),
    )
}

fn train(trained: &Trained, name: &str, options: &str) -> Value {
    let json = trained.trainer(&format!(
        "--cache cache --epochs 12 --lr 2e-2 --batch-size 8 --device cpu -q --json --name {name} {options}"
    ));
    serde_json::from_str(&json).unwrap()
}

#[test]
fn numbers_are_learned_scored_and_predicted() {
    let toy = texts(|words, index| json!({ "score": score(words), "id": index }));
    // Short windows: some texts are several.
    let Some(trained) = Trained::on(toy, "--max-length 16 --store-dtype f32 --device cpu") else {
        return;
    };
    for (name, options) in [
        ("adapter", ""),
        ("last", "--head last"),
        ("other", "--head last --seed 1"),
    ] {
        let result = train(&trained, name, options);
        let scores = &result["scores"]["test"];
        assert_eq!(scores["metric"], "Pearson");
        let (of_store, of_text) = predicted(&trained, name);
        assert_eq!((of_store.len(), of_text.len()), (8, 8));
        let number = |value: &Value| value.as_f64().unwrap();
        for (of_store, of_text) in of_store.iter().zip(&of_text) {
            assert_eq!(of_store["text"], of_text["text"]);
            let (one, other) = (number(&of_store["predicted"]), number(&of_text["score"]));
            assert!((one - other).abs() < 1e-3, "{name}: {of_store} {of_text}");
        }
        let list = |field: &str| -> Vec<f64> {
            of_store.iter().map(|line| number(&line[field])).collect()
        };
        let expected = pearson(&list("gold"), &list("predicted"));
        assert!(
            (number(&scores["value"]) - expected).abs() < 1e-6,
            "{name}: {scores}"
        );
        assert!(scores["numbers"]["spearman"].is_f64() && scores.get("micro").is_none());
        let run = trained.toy.path().join("runs").join(name);
        let report = fs_err::read_to_string(run.join("report.html")).unwrap();
        assert!(report.contains("Predicted against gold numbers, on test"));
        assert!(report.contains("Errors, on test") && !report.contains("Confusion"));
        let card = fs_err::read_to_string(run.join("README.md")).unwrap();
        assert!(
            card.contains("| test | Pearson | ") && card.contains("mean absolute error"),
            "{card}"
        );
    }
    let compared =
        trained.trainer("compare runs/last runs/other runs/adapter --resamples 200 --json");
    let compared: Value = serde_json::from_str(&compared).unwrap();
    assert_eq!(compared["groups"][0]["metric"], "Pearson");
    let eval =
        trained.trainer("eval --run runs/last --cache cache --split test --device cpu -q --json");
    let eval: Value = serde_json::from_str(&eval).unwrap();
    assert_eq!(eval["numbers"]["count"], 8);
    let exported = trained.extractor("export", "last", "--out out/model.onnx");
    assert!(exported.status.success(), "{}", stderr(&exported));
    let about = fs_err::read_to_string(trained.toy.path().join("out/labels.json")).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["output"], &about["labels"]),
        (&json!("number"), &json!([]))
    );
}

#[test]
fn sets_are_learned_scored_and_predicted() {
    let toy = texts(|words, _| {
        let mut labels = Vec::new();
        if score(words) > 3.5 {
            labels.push("long words");
        }
        if words.len() > 6 {
            labels.push("many words");
        }
        if words
            .iter()
            .any(|word| word.starts_with(char::is_uppercase))
        {
            labels.push("capital");
        }
        json!({ "labels": labels })
    });
    let options = "--max-length 16 --store-dtype f32 --device cpu --task multilabel";
    let Some(trained) = Trained::on(toy, options) else {
        return;
    };
    let mut texts_with_labels = 0;
    for (name, options) in [
        ("half", "--head last"),
        ("tuned", "--head last --threshold tuned"),
    ] {
        let result = train(&trained, name, options);
        let scores = &result["scores"]["test"];
        assert_eq!(scores["metric"], "F1");
        let (of_store, of_text) = predicted(&trained, name);
        let (mut correct, mut both) = (0, 0);
        for (of_store, of_text) in of_store.iter().zip(&of_text) {
            assert_eq!(of_store["text"], of_text["text"]);
            assert_eq!(of_store["predicted"], of_text["labels"], "{name}");
            assert_eq!(of_text["scores"].as_object().unwrap().len(), 3);
            let set =
                |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
            let (gold, predicted) = (set(&of_store["gold"]), set(&of_store["predicted"]));
            correct += gold
                .iter()
                .filter(|label| predicted.contains(label))
                .count();
            both += gold.len() + predicted.len();
            texts_with_labels += usize::from(!predicted.is_empty());
        }
        let ratio = |part: usize, whole: usize| {
            f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
        };
        let value = scores["value"].as_f64().unwrap();
        assert!(
            (value - ratio(2 * correct, both)).abs() < 1e-9,
            "{name}: {scores}"
        );
        assert!(scores["macro_average"]["f1"].is_f64());
        let card = trained.toy.path().join("runs").join(name).join("README.md");
        let card = fs_err::read_to_string(card).unwrap();
        assert!(
            card.contains("macro F1") && card.contains("| many words |"),
            "{card}"
        );
    }
    assert!(texts_with_labels > 8, "the heads tell something");
    let thresholds = trained.toy.path().join("runs/tuned/thresholds.json");
    let thresholds = fs_err::read_to_string(thresholds).unwrap();
    let thresholds: BTreeMap<String, f64> = serde_json::from_str(&thresholds).unwrap();
    assert_eq!(thresholds.len(), 3);
    let compared = trained.trainer("compare runs/half runs/tuned --resamples 200 --json");
    let compared: Value = serde_json::from_str(&compared).unwrap();
    assert_eq!(compared["differences"].as_array().unwrap().len(), 1);
    let exported = trained.extractor("export", "tuned", "--out out/model.onnx");
    assert!(exported.status.success(), "{}", stderr(&exported));
    let about = fs_err::read_to_string(trained.toy.path().join("out/labels.json")).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["output"], "set");
    let exported: Vec<f64> = serde_json::from_value(about["thresholds"].clone()).unwrap();
    let labels: Vec<String> = serde_json::from_value(about["labels"].clone()).unwrap();
    let expected: Vec<f64> = labels.iter().map(|label| thresholds[label]).collect();
    assert_eq!(exported, expected);
}

#[test]
fn labels_of_both_kinds_are_added_to_a_store() {
    let toy = texts(
        |words, index| json!({ "intent": if index % 2 == 0 { "a" } else { "b" }, "score": score(words), "tags": ["x"] }),
    );
    toy.extract()
        .args(["--task", "sequence", "--label-column", "intent"])
        .assert()
        .success();
    for (task, column, said) in [
        ("regression", "score", "regression added"),
        ("multilabel", "tags", "multilabel added"),
    ] {
        let mut label = toy.label(&toy.dataset());
        let label = label
            .args(["--task", task, "--label-column", column])
            .assert()
            .success();
        let told = String::from_utf8(label.get_output().stderr.clone()).unwrap();
        assert!(told.contains(said) && told.contains("44 labels"), "{told}");
    }
    toy.program()
        .arg("verify")
        .arg(toy.store())
        .assert()
        .success();
    let inspected = toy
        .program()
        .arg("inspect")
        .arg(toy.store())
        .arg("--json")
        .assert()
        .success();
    let inspected: Value = serde_json::from_slice(&inspected.get_output().stdout).unwrap();
    let tasks = &inspected["splits"]["train"]["tasks"];
    assert_eq!(tasks["multilabel"]["classes"], json!(["x"]));
    assert_eq!(tasks["regression"]["level"], "sentence");
    let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
    let train = store.split(shared::datasets::SplitName::Train).unwrap();
    let table = train.labels(shared::tasks::Task::Regression).unwrap();
    for sentence in 0..train.sentences() {
        let expected = score(&train.words(sentence));
        assert!((f64::from(table.numbers[sentence]) - expected).abs() < 1e-6);
    }
}
