//! What holds for every format: line ends, encodings, arrays, several files of a split.

use std::path::Path;

use shared::datasets::{Source, SplitName};
use shared::tasks::Task;

use super::{load, refused, told};

#[test]
fn line_ends_and_utf_16_in_every_text_format() {
    let files = [
        (
            "train.conll",
            "Ann B-PER\nsleeps O\n\nOulu B-LOC\ntoo O\n",
            2,
        ),
        ("train.csv", "text,label\na b,x\nc d,y\n", 2),
        ("train.tsv", "text\tlabel\na b\tx\nc d\ty\n", 2),
        (
            "train.jsonl",
            "{\"text\":\"a\u{2028}b\",\"label\":\"x\"}\n{\"text\":\"c\",\"label\":\"y\"}\n",
            2,
        ),
        (
            "train.conllu",
            "1\ta\ta\tX\t_\t_\t0\troot\t_\t_\n\n1\tb\tb\tX\t_\t_\t0\troot\t_\t_\n",
            2,
        ),
        ("train.txt", "__label__x a b\n__label__y c d e\n", 2),
    ];
    for (name, text, count) in files {
        let expected = load(name, text).digest();
        for end in ["\r", "\r\n", "\r\r\n"] {
            let data = load(name, text.replace('\n', end));
            assert_eq!(
                (data.digest(), told(&data).len()),
                (expected.clone(), count),
                "{name} {end:?}"
            );
        }
        let units: Vec<u16> = "\u{feff}"
            .encode_utf16()
            .chain(text.encode_utf16())
            .collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [little, big] {
            assert_eq!(load(name, bytes).digest(), expected, "{name}");
        }
    }
}

#[test]
fn json_arrays() {
    let rows =
        "{\"text\": \"a b\",\n \"label\": \"x\"},\n {\"text\": \"c [\\\"{\", \"label\": \"y\"}";
    for text in [
        format!("[{rows}]"),
        format!("[\n{rows}\n]\n"),
        format!("{{\"version\": 1,\n\"data\": [{rows}]}}"),
        format!("{{\"data\": [{}]}}", rows.replace('\n', " ")),
    ] {
        assert_eq!(
            told(&load("train.json", &text)),
            ["a b => x", "c [\"{ => y"],
            "{text}"
        );
    }
    refused(
        "train.json",
        "[\n{\"text\": \"a\", \"label\": \"x\"},\n{\"text\": \"a\"}\n]",
        &["train.json:3"],
    );
}

#[test]
fn several_files_of_a_split() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3 {
        let path = folder
            .path()
            .join(format!("train-0000{number}-of-00003.csv"));
        fs_err::write(path, format!("text,label\nnumber {number},x\n")).unwrap();
    }
    let data = Source::new(folder.path()).load().unwrap();
    let mut all: Vec<String> = told(&data);
    all.sort();
    assert_eq!(all, ["number 0 => x", "number 1 => x", "number 2 => x"]);
}

#[test]
fn cases_beside_the_repository() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    if !cases.is_dir() {
        println!("skipped: there is no {}", cases.display());
        return;
    }
    let right = Source::new(cases.join("span-schemes/iob2"))
        .load()
        .unwrap()
        .digest();
    for same in ["columns/label-first", "line-ends/mac"] {
        assert_eq!(
            Source::new(cases.join(same)).load().unwrap().digest(),
            right,
            "{same}"
        );
    }
    let words = Source::new(cases.join("columns/word-tag-csv"))
        .load()
        .unwrap();
    assert_eq!(words.task, Task::Ner);
    let truth = Source::new(cases.join("columns/id_bool")).load().unwrap();
    assert_eq!(
        (truth.task, truth.classes),
        (Task::Sequence, vec!["false".to_owned(), "true".to_owned()])
    );
    let pairs = Source::new(cases.join("columns/qnli")).load().unwrap();
    let train = &pairs.split(SplitName::Train).unwrap().sentences;
    assert_eq!(pairs.task, Task::Sequence);
    assert!((0..train.len()).all(|text| train.second(text).is_some()));
    let told = pairs.notes.join("; ");
    assert!(told.contains("`question` and `sentence`"), "{told}");
}
