//! The real sets beside the repository, where they are there, are read with no option at all.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use shared::datasets::{Dataset, Sentences, Source, SplitName};
use shared::tasks::Task;

/// The folder of real data; says so when it is not there.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !folder.is_dir() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

fn sizes(data: &Dataset) -> Vec<usize> {
    data.splits
        .iter()
        .map(|split| split.sentences.len())
        .collect()
}

#[test]
fn every_set_has_the_sentences_that_its_authors_say() {
    let Some(folder) = data() else { return };
    let sets = [
        ("uner-ewt", Task::Ner, [12_543, 2_001, 2_077]),
        ("wnut17", Task::Ner, [3_394, 1_009, 1_287]),
        ("broad-twitter", Task::Ner, [6_338, 1_001, 2_001]),
        ("ud-ewt", Task::Pos, [12_544, 2_001, 2_077]),
        // A tenth of the 10,003 sentences of train is held out.
        ("banking77", Task::Sequence, [9_003, 1_000, 3_080]),
        ("sts-captions", Task::Regression, [1_000, 375, 375]),
    ];
    for (name, task, expected) in sets {
        let data = Source::new(folder.join(name)).load().unwrap();
        println!(
            "{name}: {:?} {:?} {:?}",
            data.scheme,
            data.classes.len(),
            data.notes
        );
        assert_eq!((data.id.as_str(), data.task), (name, task));
        assert_eq!(sizes(&data), expected, "{name}");
    }
}

#[test]
fn classes_are_those_of_the_sets() {
    let Some(folder) = data() else { return };
    let classes = |name: &str| Source::new(folder.join(name)).load().unwrap().classes;
    assert_eq!(
        classes("uner-ewt"),
        ["B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"]
    );
    assert_eq!(classes("wnut17").len(), 13);
    assert_eq!(classes("ud-ewt").len(), 17);
    assert_eq!(classes("banking77").len(), 77);
}

/// What an independent reader found in a split.
#[derive(Debug, PartialEq, Deserialize)]
struct Summary {
    sentences: usize,
    words: usize,
    sha256: String,
}

impl Summary {
    fn of(sentences: &Sentences) -> Self {
        let tell = |index| {
            let words: Vec<&str> = sentences.words(index).collect();
            let labels: Vec<&str> = sentences.labels(index).collect();
            serde_json::json!([words, labels]).to_string() + "\n"
        };
        let first: String = (0..sentences.len().min(1_000)).map(tell).collect();
        let sha256 = shared::files::sha256_bytes(first.as_bytes());
        Self {
            sentences: sentences.len(),
            words: sentences.word_count(),
            sha256,
        }
    }
}

#[test]
fn words_and_labels_are_those_that_an_independent_reader_finds() {
    let Some(folder) = data() else { return };
    let sets: BTreeMap<String, BTreeMap<SplitName, Summary>> =
        serde_json::from_str(include_str!("fixtures/real_data.json")).unwrap();
    assert_eq!(sets.len(), 5);
    for (name, splits) in sets {
        let data = Source::new(folder.join(&name)).load().unwrap();
        for (split, expected) in splits {
            assert_eq!(
                Summary::of(&data.split(split).unwrap().sentences),
                expected,
                "{name} {split}"
            );
        }
    }
}
