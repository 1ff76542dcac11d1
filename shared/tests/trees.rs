//! Heads and relations of CoNLL-U (`--task dep`): what is read of good files, and what is told of
//! bad ones.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

use std::path::PathBuf;

use shared::datasets::{Column, Relations, Source, SplitName};
use shared::tasks::Task;

/// A folder with a file of each split.
fn folder(train: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let good = rows(&["1 Yes 0 root"]) + "\n";
    for (name, text) in [("train", train), ("validation", &good), ("test", &good)] {
        fs_err::write(folder.path().join(format!("{name}.conllu")), text).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// Lines of CoNLL-U from ID, FORM, HEAD and DEPREL.
fn rows(words: &[&str]) -> String {
    let row = |word: &&str| {
        let fields: Vec<&str> = word.split(' ').collect();
        let [id, form, head, relation] = fields[..] else {
            return format!("{word}\n");
        };
        format!("{id}\t{form}\t_\tX\t_\t_\t{head}\t{relation}\t_\t_\n")
    };
    words.iter().map(row).collect()
}

fn source(path: PathBuf) -> Source {
    Source {
        task: Some(Task::Dep),
        ..Source::new(path)
    }
}

const GOOD: [&str; 6] = [
    "1-2 don't _ _",
    "1 do 3 aux",
    "2 n't 3 advmod",
    "3 go 0 root",
    "3.1 away _ _",
    "4 now 3 obl:tmod",
];

#[test]
fn heads_and_relations_are_read() {
    let text = format!("#text=don't\n{}\n{}", rows(&GOOD), rows(&["1 Go 0 root"]));
    let (_folder, path) = folder(&text);
    let dataset = source(path.clone()).load().unwrap();
    assert_eq!(dataset.task, Task::Dep);
    assert_eq!(dataset.classes, ["advmod", "aux", "obl:tmod", "root"]);
    let train = &dataset.split(SplitName::Train).unwrap().sentences;
    assert_eq!(train.heads(0).unwrap(), [2, 2, -1, 2]);
    assert_eq!(train.heads(1).unwrap(), [-1]);
    let sentence = train.get(0).unwrap();
    assert_eq!(sentence.words, ["do", "n't", "go", "now"]);
    assert_eq!(sentence.labels, ["aux", "advmod", "root", "obl:tmod"]);

    // Heads are part of what the data set is, subtypes may be left out.
    let mut other = GOOD;
    other[1] = "1 do 2 aux";
    let (_folder, changed) = folder(&format!("{}\n{}", rows(&other), rows(&["1 Go 0 root"])));
    let changed = source(changed).load().unwrap();
    assert_ne!(changed.digest(), dataset.digest());
    let universal = Source {
        relations: Relations::Universal,
        ..source(path.clone())
    };
    let universal = universal.load().unwrap();
    assert_eq!(universal.classes, ["advmod", "aux", "obl", "root"]);

    // Other tasks know nothing of heads, and relations are classes to them.
    let pos = Source {
        task: Some(Task::Pos),
        label_column: Some(Column::Name("deprel".to_owned())),
        relations: Relations::Universal,
        ..Source::new(path.clone())
    };
    let pos = pos.load().unwrap();
    assert_eq!(pos.classes, dataset.classes);
    assert!(pos.splits[0].sentences.heads(0).is_none());
    assert_eq!(Source::new(path).load().unwrap().task, Task::Pos);
}

#[test]
fn sentences_that_are_held_out_keep_their_heads() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for sentence in 0..60 {
        let words = 2 + sentence % 5;
        for word in 1..=words {
            let relation = if word == 1 { "root" } else { "dep" };
            let row = format!("{word} w{sentence}.{word} {} {relation}", word - 1);
            text += &rows(&[&row]);
        }
        text.push('\n');
    }
    let file = folder.path().join("train.conllu");
    fs_err::write(&file, text).unwrap();
    let dataset = source(folder.path().to_owned()).load().unwrap();
    assert!(dataset.split(SplitName::Validation).is_some());
    let mut sentences = 0;
    for split in &dataset.splits {
        for sentence in 0..split.sentences.len() {
            let words = i32::try_from(split.sentences.words(sentence).len()).unwrap();
            let expected: Vec<i32> = (-1..words - 1).collect();
            assert_eq!(split.sentences.heads(sentence).unwrap(), expected);
            sentences += 1;
        }
    }
    assert_eq!(sentences, 60);
}

#[test]
fn words_without_a_label_are_allowed() {
    let text = rows(&["1 so _ _", "2 what 3 obj", "3 ever 0 root"]);
    let (_folder, path) = folder(&text);
    let dataset = source(path).load().unwrap();
    assert_eq!(dataset.splits[0].sentences.heads(0).unwrap(), [-100, 2, -1]);
}

#[test]
fn what_is_no_tree_is_told_with_file_and_line() {
    let before = format!("{}\n", rows(&["1 Go 0 root", "2 on 1 advmod"]));
    for (words, line, expected) in [
        (
            &["1 a 2 det", "2 b 5 obj"][..],
            5,
            "the head of word 2 is word 5, but the sentence has 2 words",
        ),
        (
            &["1 a 0 root", "2 b 0 root"],
            5,
            "words 1 and 2 are both the root",
        ),
        (
            &["1 a 0 root", "2 b 3 x", "3 c 2 y"],
            5,
            "in a circle: word 2 hangs on word 3 hangs on word 2",
        ),
        (&["1 a 1 x"], 4, "word 1 hangs on word 1"),
        (&["1 a x det"], 4, "the head `x` is no number"),
        (&["1 a -3 det"], 4, "the head `-3` is no number"),
        (&["1 a 2.1 det"], 4, "the head `2.1` is no number"),
        (&["1 a 0 _"], 4, "a head but no relation"),
        (&["1 a _ root"], 4, "a relation but no head"),
        (
            &["1 a 0 root", "3 b 1 obj"],
            5,
            "the ID `3` stands where word 2",
        ),
    ] {
        let (_folder, path) = folder(&(before.clone() + &rows(words)));
        let told = source(path).load().unwrap_err().to_string();
        let place = format!("train.conllu:{line}: ");
        assert!(told.contains(&place) && told.contains(expected), "{told}");
        assert!(
            ["correct", "give both", "expected", "number the words"]
                .iter()
                .any(|remedy| told.contains(remedy)),
            "{told}"
        );
    }
}

#[test]
fn labels_without_heads_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train", "validation", "test"] {
        let file = folder.path().join(format!("{name}.conll"));
        fs_err::write(file, "Yes root\n\nNo root\nno dep\n").unwrap();
    }
    let told = source(folder.path().to_owned()).load().unwrap_err();
    let told = told.to_string();
    assert!(
        told.contains("--task dep") || told.contains("dep"),
        "{told}"
    );
    assert!(told.contains("in the columns of CoNLL-U"), "{told}");
}
