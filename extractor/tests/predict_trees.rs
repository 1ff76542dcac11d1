//! Dependency trees: `extractor label --task dep` on a store that is there, `extractor predict`
//! against `trainer predict`, and the exported graph's scores against what makes the trees.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is the failure being reported, and what was skipped is said, in helpers too"
)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use common::trained::Trained;
use common::{Toy, stderr};

/// The toy data set as CoNLL-U: a word hangs on the one before it, a name on the first word.
fn conllu(toy: &Toy) {
    let folder = toy.path().join("trees");
    fs_err::create_dir(&folder).unwrap();
    for split in ["train", "validation", "test"] {
        let columns = fs_err::read_to_string(toy.dataset().join(format!("{split}.conll"))).unwrap();
        let mut text = String::new();
        let sentences = columns.trim_end().split("\n\n");
        for sentence in sentences.filter(|sentence| !sentence.starts_with("-DOCSTART-")) {
            for (place, line) in sentence.lines().enumerate() {
                let (word, tag) = line.split_once(' ').unwrap();
                let (head, relation) = match (place, tag) {
                    (0, _) => (0, "root"),
                    (_, "O") => (place, "next:word"),
                    _ => (1, "name"),
                };
                let id = place + 1;
                writeln!(text, "{id}\t{word}\t_\t_\t_\t_\t{head}\t{relation}\t_\t_").unwrap();
            }
            text.push('\n');
        }
        fs_err::write(folder.join(format!("{split}.conllu")), text).unwrap();
    }
}

/// Trees without what is gold.
fn predicted(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once('\t') {
        Some((tree, _)) => format!("{tree}\t_\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// A column of all words.
fn column(trees: &str, number: usize) -> BTreeSet<&str> {
    trees
        .lines()
        .filter_map(|line| line.split('\t').nth(number))
        .collect()
}

#[test]
fn trees_of_text_are_those_of_the_store() {
    let toy = Toy::new();
    conllu(&toy);
    // Short windows: sentences are several, and arcs go from one to another.
    let Some(trained) = Trained::on(toy, "--max-length 8 --store-dtype f32 --device cpu") else {
        return;
    };
    let toy = &trained.toy;
    let label = |relations: &str| {
        let mut command = toy.program();
        command.arg("label").arg(toy.store());
        let dataset = toy.path().join("trees");
        command
            .arg("--dataset")
            .arg(dataset)
            .args(["--task", "dep"]);
        let output = command.args(["--relations", relations]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    label("full");
    toy.program()
        .arg("verify")
        .arg(toy.store())
        .assert()
        .success();
    label("universal");
    toy.program()
        .arg("verify")
        .arg(toy.store())
        .assert()
        .success();

    let mut all = BTreeSet::new();
    for (name, options) in [
        ("adapter", ""),
        ("fusion", "--head attention-fusion --subword last"),
        ("mean", "--head scalar-mix --subword mean"),
        ("concat", "--head concat:0,2"),
    ] {
        trained.trainer(&format!(
            "--cache cache --task dep --epochs 12 --lr 1e-2 --batch-size 8 --device cpu -q --name {name} {options}"
        ));
        let told = trained.trainer(&format!(
            "predict --run runs/{name} --cache cache --split test --device cpu -q"
        ));
        let expected = predicted(&told);
        let output = trained.predict(name, "--input trees/test.conllu");
        assert!(output.status.success(), "{}", stderr(&output));
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(found, expected, "{name}");
        assert!(column(&expected, 6).len() > 3, "{name}");
        all.extend(column(&expected, 7).into_iter().map(str::to_owned));

        let output = trained.predict(name, "--input trees/test.conllu --output-format jsonl");
        let line = String::from_utf8(output.stdout).unwrap();
        let first: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        let heads: Vec<String> = first["heads"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let sentence = expected.split("\n\n").next().unwrap();
        let expected_heads: Vec<&str> = sentence
            .lines()
            .map(|line| line.split('\t').nth(6).unwrap())
            .collect();
        assert_eq!(heads, expected_heads);
    }
    assert!(all.contains("next") && all.contains("root"), "{all:?}");
    assert!(!all.iter().any(|relation| relation.contains(':')));

    let exported = trained.extractor("export", "mean", "--out mean/parser.onnx");
    assert!(exported.status.success(), "{}", stderr(&exported));
    let about = fs_err::read_to_string(toy.path().join("mean/labels.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["task"], &about["subword"]),
        (&"dep".into(), &"mean".into())
    );
    assert_eq!(about["root"], "column 0 of arc_scores and relation_scores");
}
