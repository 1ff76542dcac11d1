//! Parquet from Python's writers: the same values as Python reads, and clear words where they make no sentences.

use std::path::{Path, PathBuf};

use shared::datasets::parquet::{Classes, Files, find, load};
use shared::datasets::{Column, Dataset, DatasetError, Format, Source, SplitName};
use shared::tasks::Task;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hub/fixtures")
        .join(name)
}

fn read_with(name: &str, source: &Source) -> Result<Dataset, DatasetError> {
    load(
        name,
        &Files::from([(SplitName::Test, vec![fixture(name)])]),
        source,
        &Classes::new(),
    )
}

fn read(name: &str) -> Result<Dataset, DatasetError> {
    read_with(name, &Source::default())
}

/// Words and labels of the only split.
fn rows(data: &Dataset) -> Vec<(Vec<String>, Vec<String>)> {
    data.splits[0]
        .sentences
        .iter()
        .map(|sentence| (sentence.words, sentence.labels))
        .collect()
}

fn expected(name: &str, column: &str) -> Vec<serde_json::Value> {
    let text = fs_err::read_to_string(fixture("expected.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    all[name][column].as_array().unwrap().clone()
}

fn texts(value: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    value.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn words_and_labels_are_those_that_python_reads() {
    for (name, words, tags) in [
        ("groups-zstd.parquet", "words", "tags"),
        ("names-gzip.parquet", "tokens", "upos"),
        ("numbers.parquet", "tokens", "tags"),
    ] {
        let data = read(name).unwrap();
        let python = expected(name, words)
            .iter()
            .map(texts)
            .zip(expected(name, tags).iter().map(texts))
            .collect::<Vec<_>>();
        assert!(!python.is_empty());
        assert_eq!(rows(&data)[..python.len()], python, "{name}");
        assert_eq!(data.task, Task::Pos);
    }
    let all = read("groups-zstd.parquet").unwrap();
    assert_eq!(all.splits[0].sentences.len(), 2500);
    assert_eq!(
        all.splits[0].sentences.words(2499).collect::<Vec<_>>(),
        ["w293", "w294", "w295", "w296", "w297"]
    );
}

#[test]
fn class_names_come_from_the_metadata_and_the_column_from_the_task() {
    let files = Files::from(
        SplitName::ALL.map(|split| (split, vec![fixture(&format!("conll-{split}.parquet"))])),
    );
    let data = load("conll", &files, &Source::default(), &Classes::new()).unwrap();
    assert_eq!((data.id.as_str(), data.task), ("conll", Task::Ner));
    assert_eq!(data.classes, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]);
    let sizes: Vec<usize> = data
        .splits
        .iter()
        .map(|split| split.sentences.len())
        .collect();
    assert_eq!(sizes, [3, 1, 2], "the empty row makes no sentence");
    let first = data.splits[0].sentences.get(0).unwrap();
    assert_eq!(first.words, ["Ada", "Byron", "lives", "in", "Århus", "."]);
    assert_eq!(first.labels, ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]);
    let source = Source {
        task: Some(Task::Pos),
        ..Source::default()
    };
    let data = load("conll", &files, &source, &Classes::new()).unwrap();
    assert_eq!(data.classes, ["NOUN", "PROPN", "VERB", "ADP", "PUNCT"]);
    let source = Source {
        label_column: Some(Column::Name("chunk_tags".to_owned())),
        ..Source::default()
    };
    assert_eq!(
        load("conll", &files, &source, &Classes::new())
            .unwrap()
            .task,
        Task::Chunk
    );
}

#[test]
fn texts_with_a_label_are_sequences_and_rows_without_one_are_told() {
    let data = read("texts.parquet").unwrap();
    assert_eq!(
        (data.task, data.classes.as_slice()),
        (
            Task::Sequence,
            ["bad", "good"].map(str::to_owned).as_slice()
        )
    );
    assert_eq!(
        rows(&data)[0],
        (
            ["a", "fine", "day"].map(str::to_owned).to_vec(),
            vec!["good".to_owned()]
        )
    );
    assert!(
        data.notes
            .iter()
            .any(|note| note == "1 rows of test without a label are left out"),
        "{:?}",
        data.notes
    );
    let files = Files::from([
        (SplitName::Train, vec![fixture("texts.parquet")]),
        (SplitName::Test, vec![fixture("texts-secret.parquet")]),
    ]);
    let data = load("texts", &files, &Source::default(), &Classes::new()).unwrap();
    assert!(data.split(SplitName::Test).is_none());
    assert!(
        data.notes
            .iter()
            .any(|note| note.contains("test is left out")),
        "{:?}",
        data.notes
    );
    assert_eq!(
        rows(&read("required.parquet").unwrap())[1],
        (vec!["c".to_owned()], vec!["7".to_owned()])
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (name, said) in [
        (
            "bad-null.parquet",
            "row 0, column `tokens`: an element of the list is missing (null)",
        ),
        (
            "bad-lengths.parquet",
            "row 1, column `tags`: 1 labels for 2 words",
        ),
        (
            "bad-class.parquet",
            "row 0, column `tags`: the label 9 is none of the 1 classes declared",
        ),
        (
            "names-lz4.parquet",
            "row group 0, column `tokens`: packed with lz4_raw, which is not supported",
        ),
        ("make_parquet.py", "not a readable parquet file"),
        ("no.parquet", "no.parquet"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(
            error.contains(said) && error.contains(name),
            "{name}: {error}"
        );
    }
    let source = Source {
        label_column: Some(Column::Name("ner".to_owned())),
        ..Source::default()
    };
    let error = read_with("conll-test.parquet", &source)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no column `ner`") && error.contains("ner_tags (list of integers)"),
        "{error}"
    );
}

#[test]
fn a_folder_and_a_file_are_found() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(folder.path()).unwrap(), None);
    for name in [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "valid.parquet",
        "notes.txt",
    ] {
        fs_err::write(folder.path().join(name), "").unwrap();
    }
    let found = find(folder.path()).unwrap().unwrap();
    assert_eq!(
        found
            .iter()
            .map(|(split, files)| (*split, files.len()))
            .collect::<Vec<_>>(),
        [(SplitName::Train, 2), (SplitName::Validation, 1)]
    );
    assert_eq!(
        find(&fixture("texts.parquet")).unwrap().unwrap(),
        Files::from([(SplitName::Train, vec![fixture("texts.parquet")])])
    );
    assert_eq!(find(&fixture("make_parquet.py")).unwrap(), None);
    let unnamed = tempfile::tempdir().unwrap();
    fs_err::write(unnamed.path().join("part.parquet"), "").unwrap();
    assert!(find(unnamed.path()).is_err());
}

/// Files that are damaged anywhere give an error or other values, never a crash.
#[test]
fn parquet_and_text_make_no_data_set_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("test.conll");
    fs_err::write(&text, "a O\n").unwrap();
    let mut source = Source {
        files: [
            (SplitName::Train, fixture("conll-train.parquet")),
            (SplitName::Test, text),
        ]
        .into(),
        ..Source::default()
    };
    let error = source.load().unwrap_err();
    assert!(matches!(&error, DatasetError::Mixed(path) if path.ends_with("conll-train.parquet")));
    // Whatever a file is called, a format that was named is believed.
    source.files.remove(&SplitName::Test);
    source.format = Some(Format::Parquet);
    assert_eq!(source.load().unwrap().task, Task::Ner);
}

#[test]
fn damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    for name in [
        "conll-train.parquet",
        "names-gzip.parquet",
        "required.parquet",
        "texts.parquet",
    ] {
        let whole = fs_err::read(fixture(name)).unwrap();
        let mut state = 1_u64;
        for round in 0..400 {
            let mut bytes = whole.clone();
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[place] ^= 1 << (round % 8);
            if round % 10 == 0 {
                bytes.truncate(place);
            }
            fs_err::write(&path, &bytes).unwrap();
            let files = Files::from([(SplitName::Train, vec![path.clone()])]);
            if let Err(error) = load("damaged", &files, &Source::default(), &Classes::new()) {
                assert!(error.to_string().contains("train.parquet"), "{error}");
            }
        }
    }
}
