//! Data sets: the text formats, parquet, and the hub's cards.

use std::hint::black_box;

use clap::ValueEnum as _;
use shared::datasets::{Column, Dataset, Source, SplitName};
use shared::tasks::dependencies::check;
use shared::tasks::schemes::Scheme;
use shared::tasks::{Output, Task, UNLABELLED};

use crate::bytes::way;
use crate::place::file;

pub(crate) fn columns(input: &[u8]) {
    text("train.conll", input);
}

pub(crate) fn conllu(input: &[u8]) {
    text("train.conllu", input);
}

pub(crate) fn jsonl(input: &[u8]) {
    text("train.jsonl", input);
}

/// Records of annotation tools, as lines or as an array.
pub(crate) fn spans(input: &[u8]) {
    text("train.json", input);
}

/// A tag a line, of whatever way of writing, read as spans by a scheme or by none.
pub(crate) fn tags(input: &[u8]) {
    let (way, input) = way(input, 8);
    let input = String::from_utf8_lossy(input);
    let words: Vec<String> = input
        .lines()
        .map(|tag| format!("w\t{}\n", tag.trim()))
        .collect();
    let mut source = Source::new(file("train.conll", words.concat().as_bytes()));
    source.task = Some(Task::Ner);
    source.scheme = Scheme::value_variants()
        .get(usize::from(way).wrapping_sub(1))
        .copied();
    if let Ok(dataset) = source.load() {
        use_up(&dataset);
        let is_iob2 = |class: &String| class == "O" || class.starts_with(['B', 'I']);
        assert!(
            dataset.classes.iter().all(is_iob2),
            "a class that is no IOB2 tag"
        );
    }
}

/// An attribute of MISC in CoNLL-U.
pub(crate) fn misc(input: &[u8]) {
    let mut source = Source::new(file("train.conllu", input));
    source.label_column = Some(Column::Index(9));
    if let Ok(dataset) = source.load() {
        use_up(&dataset);
    }
}

pub(crate) fn label_text(input: &[u8]) {
    text("train.txt", input);
}

pub(crate) fn csv(input: &[u8]) {
    text("train.csv", input);
}

pub(crate) fn tsv(input: &[u8]) {
    text("train.tsv", input);
}

fn text(name: &str, input: &[u8]) {
    let (way, input) = way(input, 11);
    let source = wished(Source::new(file(name, input)), way);
    if let Ok(dataset) = source.load() {
        use_up(&dataset);
    }
}

pub(crate) fn parquet(input: &[u8]) {
    let (way, input) = way(input, 11);
    let source = wished(Source::new(file("train.parquet", input)), way);
    if let Ok(dataset) = source.load() {
        use_up(&dataset);
    }
}

pub(crate) fn card(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        black_box(hub::card::classes(text, "default"));
    }
}

/// What a user may say about a file.
fn wished(mut source: Source, way: u8) -> Source {
    // 0 says nothing.
    source.task = Task::ALL.get(usize::from(way).wrapping_sub(1)).copied();
    match way {
        8 => source.label_column = Some(Column::Index(1)),
        9 => source.label_column = Some(Column::Name("label".to_owned())),
        10 => source.token_column = Some(Column::Index(2)),
        11 => source.token_column = Some(Column::Name("text".to_owned())),
        12 => {
            source.token_column = Some(Column::Index(0));
            source.text_pair_column = Some(Column::Index(1));
        }
        13 => {
            source.task = Some(Task::Multilabel);
            source.label_column = Some(Column::Name("1,2".to_owned()));
        }
        _ => {}
    }
    source
}

fn use_up(dataset: &Dataset) {
    black_box(dataset.digest());
    for name in SplitName::ALL {
        let Some(split) = dataset.split(name) else {
            continue;
        };
        if dataset.task.has_heads() {
            for sentence in 0..split.sentences.len() {
                let heads = split.sentences.heads(sentence).unwrap_or_default();
                assert_eq!(heads.len(), split.sentences.words(sentence).len());
                assert_eq!(check(heads), Ok(()), "heads that make no tree");
            }
        }
        for sentence in split.sentences.iter() {
            assert!(!sentence.words.is_empty(), "a sentence without a word");
            let second = sentence.second.unwrap_or(1);
            assert!(second > 0, "a pair whose first text has no word");
            assert!(
                sentence.second.is_none() || second < sentence.words.len(),
                "a pair whose second text has no word"
            );
            let labels = sentence.labels.len();
            let expected = match dataset.task.output() {
                Output::Class if dataset.task.labels_words() => sentence.words.len(),
                Output::Class | Output::Number => 1,
                Output::Set => labels,
            };
            assert_eq!(labels, expected, "labels of a sentence");
            if dataset.task.output() == Output::Number {
                let numbers = sentence.labels.iter().map(|label| label.parse::<f32>());
                let mut numbers = numbers.map(|number| number.is_ok_and(f32::is_finite));
                assert!(
                    numbers.all(|is_finite| is_finite),
                    "a label that is no number"
                );
                continue;
            }
            assert!(
                sentence
                    .labels
                    .iter()
                    .all(|label| label == UNLABELLED || dataset.classes.contains(label)),
                "a label that is no class"
            );
        }
    }
}
