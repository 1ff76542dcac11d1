//! Labels of another task for a store, found again by the words of its sentences.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use cache::{Io, LabelTable, Store};
use common::{Toy, real_data, stderr, tree};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;
use shared::datasets::{Dataset, Source, SplitName};
use shared::tasks::Task;

/// A label for a word, so that every copy of a sentence can have others: `COPY-LETTERS`.
fn tag(copy: usize, word: &str) -> String {
    format!("{copy}-{}", word.chars().count())
}

/// Writes the sentences of a split as a column file with other labels, in the order that `arrange` gives them.
fn relabelled(folder: &Path, split: SplitName, arrange: impl FnOnce(&mut Vec<Vec<String>>)) {
    let data = Source::new(folder.parent().unwrap().join("names"))
        .load()
        .unwrap();
    let mut sentences: Vec<Vec<String>> = data
        .split(split)
        .unwrap()
        .sentences
        .iter()
        .map(|sentence| sentence.words)
        .collect();
    arrange(&mut sentences);
    let mut seen: Vec<&[String]> = Vec::new();
    let mut text = String::new();
    for words in &sentences {
        let copy = seen.iter().filter(|other| **other == words).count();
        seen.push(words);
        for word in words {
            writeln!(text, "{word}\t{}", tag(copy, word)).unwrap();
        }
        text.push('\n');
    }
    fs_err::create_dir_all(folder).unwrap();
    fs_err::write(folder.join(format!("{split}.tsv")), text).unwrap();
}

fn label(toy: &Toy, dataset: &Path) -> assert_cmd::Command {
    let mut command = toy.label(dataset);
    command.args(["--task", "pos"]);
    command
}

/// The labels of the words of a sentence, `None` where there is none.
fn of_words<'t>(
    store: &Store,
    table: &'t LabelTable,
    split: SplitName,
    sentence: usize,
) -> Vec<Option<&'t str>> {
    let split = store.split(split).unwrap();
    let range = split.first_word(sentence)..split.first_word(sentence + 1);
    let name = |&id: &i32| {
        usize::try_from(id)
            .ok()
            .map(|id| table.classes[id].as_str())
    };
    table.words.as_ref().unwrap()[range]
        .iter()
        .map(name)
        .collect()
}

#[test]
fn sentences_are_found_by_their_words_and_copies_in_order() {
    let toy = Toy::repeated(2);
    toy.extract().assert().success();
    let before = tree(&toy.store());
    let folder = toy.path().join("speech");
    for split in SplitName::ALL {
        relabelled(&folder, split, |sentences| sentences.reverse());
    }
    let output = label(&toy, &folder).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["splits"]["train"]["matched"], 88);
    assert_eq!(
        (&report["missing"], &report["unused"], &report["replaced"]),
        (&0.into(), &0.into(), &false.into())
    );

    // Nothing that was there is another, and it is all still whole.
    let after = tree(&toy.store());
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{path}");
    }
    toy.program()
        .arg("verify")
        .arg(toy.store())
        .assert()
        .success();
    toy.extract()
        .assert()
        .success()
        .stderr(contains("nothing to do"));

    let store = Store::open(&toy.store(), Io::Read).unwrap();
    for split in SplitName::ALL {
        let reader = store.split(split).unwrap();
        let table = reader.labels(Task::Pos).unwrap();
        let mut seen: Vec<Vec<&str>> = Vec::new();
        for sentence in 0..reader.sentences() {
            let words = reader.words(sentence);
            let copy = seen.iter().filter(|other| **other == words).count();
            let expected: Vec<String> = words.iter().map(|word| tag(copy, word)).collect();
            let expected: Vec<Option<&str>> =
                expected.iter().map(|tag| Some(tag.as_str())).collect();
            assert_eq!(
                of_words(&store, table, split, sentence),
                expected,
                "{split} {sentence}"
            );
            seen.push(words);
        }
    }
    label(&toy, &folder)
        .assert()
        .success()
        .stderr(contains("pos replaced"));
}

#[test]
fn what_the_data_set_lacks_has_no_label_and_is_told() {
    let toy = Toy::new();
    toy.extract().assert().success();
    let folder = toy.path().join("speech");
    // The third sentence is gone, the fifth cut otherwise, and the test split is part of train.
    relabelled(&folder, SplitName::Train, |sentences| {
        sentences.remove(2);
        sentences[3][1].push_str("-ish");
        let more = Source::new(toy.dataset()).load().unwrap();
        sentences.extend(
            more.split(SplitName::Test)
                .unwrap()
                .sentences
                .iter()
                .map(|sentence| sentence.words),
        );
    });
    relabelled(&folder, SplitName::Validation, |_| ());
    let output = label(&toy, &folder).arg("--json").output().unwrap();
    let (report, told): (Value, String) = (
        serde_json::from_slice(&output.stdout).unwrap(),
        stderr(&output),
    );
    assert_eq!(report["splits"]["train"]["matched"], 42);
    assert_eq!(report["splits"]["test"]["elsewhere"], 8);
    assert_eq!(
        (&report["missing"], &report["unused"]),
        (&2.into(), &1.into())
    );
    assert!(
        told.contains("2 sentences of the store are not in speech and get no label"),
        "{told}"
    );
    assert!(told.contains("sentence 3 of train"), "{told}");
    let store = Store::open(&toy.store(), Io::Read).unwrap();
    let table = store
        .split(SplitName::Train)
        .unwrap()
        .labels(Task::Pos)
        .unwrap();
    for sentence in [2, 4] {
        assert!(
            of_words(&store, table, SplitName::Train, sentence)
                .iter()
                .all(Option::is_none)
        );
    }
    assert!(
        of_words(&store, table, SplitName::Train, 3)
            .iter()
            .all(Option::is_some)
    );
}

#[test]
fn another_text_and_the_store_s_own_task_are_refused() {
    let toy = Toy::new();
    toy.extract().assert().success();
    let before = tree(&toy.store());
    let folder = toy.path().join("speech");
    for split in SplitName::ALL {
        relabelled(&folder, split, |sentences| {
            for words in sentences {
                words[1].push('s');
            }
        });
    }
    label(&toy, &folder).assert().code(1).stderr(
        contains("only 0 of the 60 sentences")
            .and(contains("sentence 1 of train"))
            .and(contains("train.tsv, line 1, has"))
            .and(contains("as word 2")),
    );
    label(&toy, &toy.dataset())
        .args(["--task", "ner"])
        .assert()
        .code(1);
    let mut own = toy.program();
    own.arg("label")
        .arg(toy.store())
        .arg("--dataset")
        .arg(toy.dataset());
    own.assert()
        .code(1)
        .stderr(contains("part of its identity"));
    let mut nothing = toy.program();
    nothing.arg("label").arg(toy.store());
    nothing
        .assert()
        .code(1)
        .stderr(contains("--dataset is missing"));
    fs_err::remove_file(toy.store().join("done.json")).unwrap();
    label(&toy, &folder)
        .assert()
        .code(1)
        .stderr(contains("incomplete"));
    let mut after = before;
    after.remove("done.json");
    assert_eq!(after, tree(&toy.store()));
}

/// Sentences of the real sets that are the same in both, in the order of each.
fn in_both<'d>(one: &'d Dataset, other: &'d Dataset, split: SplitName) -> usize {
    let words = |data: &'d Dataset| {
        let sentences = &data.split(split).unwrap().sentences;
        let mut all: Vec<Vec<&'d str>> = (0..sentences.len())
            .map(|index| sentences.words(index).collect())
            .collect();
        all.sort();
        all
    };
    let (one, other) = (words(one), words(other));
    let (mut left, mut right, mut both) = (0, 0, 0);
    while left < one.len() && right < other.len() {
        match one[left].cmp(&other[right]) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => {
                (left, right, both) = (left + 1, right + 1, both + 1);
            }
        }
    }
    both
}

#[test]
fn parts_of_speech_join_the_entities_of_the_english_web_treebank() {
    let Some(data) = real_data() else { return };
    let toy = Toy::new();
    let mut extract = toy.program();
    extract
        .arg("--model")
        .arg(toy.model())
        .arg("--dataset")
        .arg(data.join("uner-ewt"));
    extract
        .args(["--layers", "0", "--out"])
        .arg(toy.root())
        .assert()
        .success();
    let path = toy.root().join("toy-bert--uner-ewt.zarr");
    let mut command = toy.program();
    command
        .arg("label")
        .arg(&path)
        .arg("--json")
        .arg("--dataset")
        .arg(data.join("ud-ewt"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["task"], "pos");

    let entities = Source::new(data.join("uner-ewt")).load().unwrap();
    let speech = Source::new(data.join("ud-ewt")).load().unwrap();
    let store = Store::open(&path, Io::Read).unwrap();
    for split in SplitName::ALL {
        let both = in_both(&entities, &speech, split);
        println!("{split}: {both} sentences are in both");
        assert_eq!(report["splits"][split.to_string()]["matched"], both);
        assert!(both * 100 > entities.split(split).unwrap().sentences.len() * 99);
        // Sentences that occur once have the labels that stand beside their words there.
        let sentences = &speech.split(split).unwrap().sentences;
        let mut places: HashMap<Vec<&str>, Vec<usize>> = HashMap::new();
        for sentence in 0..sentences.len() {
            let words = sentences.words(sentence).collect();
            places.entry(words).or_default().push(sentence);
        }
        let reader = store.split(split).unwrap();
        let table = reader.labels(Task::Pos).unwrap();
        let mut compared = 0;
        for sentence in 0..reader.sentences() {
            if let Some([place]) = places.get(&reader.words(sentence)).map(Vec::as_slice) {
                let expected: Vec<Option<&str>> = sentences.labels(*place).map(Some).collect();
                assert_eq!(of_words(&store, table, split, sentence), expected);
                compared += 1;
            }
        }
        assert!(compared * 10 > reader.sentences() * 9, "{compared}");
    }
}
