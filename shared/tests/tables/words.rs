//! Words and their labels, a row or a line each.

use std::fmt::Write as _;

use shared::datasets::Column;
use shared::tasks::Task;

use super::{WORDS, load, load_with, noted, refused, texts, told};

#[test]
fn words_a_row_with_a_column_of_sentences() {
    for name in [
        "Sentence #",
        "sentence_id",
        "sent_id",
        "SentenceID",
        "sentence",
        "doc",
    ] {
        for every_row in [true, false] {
            for separator in [",", "\t", ";"] {
                let mut table = [name, "Word", "POS", "Tag"].join(separator) + "\n";
                let mut sentence = 1;
                for (index, (word, tag)) in WORDS.iter().enumerate() {
                    if word.is_empty() {
                        sentence += 1;
                        continue;
                    }
                    let first = index == 0 || WORDS[index - 1].0.is_empty();
                    let number = if first || every_row {
                        format!("Sentence: {sentence}")
                    } else {
                        String::new()
                    };
                    let _ = writeln!(table, "{}", [&number, *word, "NN", *tag].join(separator));
                }
                let file = if separator == "\t" {
                    "train.tsv"
                } else {
                    "train.csv"
                };
                let data = load(file, &table);
                assert_eq!(
                    told(&data),
                    ["Ann/B-PER sleeps/O", "Oulu/B-LOC too/O"],
                    "{table}"
                );
                noted(&data, &["a row is a word", "left out"]);
            }
        }
    }
}

#[test]
fn words_a_row_with_empty_rows_between_sentences() {
    for blank in ["", ",", " , "] {
        let rows = WORDS.map(|(word, tag)| {
            if word.is_empty() {
                blank.to_owned()
            } else {
                format!("{word},{tag}")
            }
        });
        let data = load("train.csv", format!("word,label\n{}\n", rows.join("\n")));
        assert_eq!(told(&data), ["Ann/B-PER sleeps/O", "Oulu/B-LOC too/O"]);
    }
    refused(
        "train.csv",
        format!("word,label\n{}", texts(300, |index| format!("w{index},O"))),
        &["where a sentence ends"],
    );
}

#[test]
fn columns_with_the_label_first() {
    for separator in [" ", "\t"] {
        let lines = WORDS.map(|(word, tag)| {
            if word.is_empty() {
                String::new()
            } else {
                format!("{tag}{separator}{word}")
            }
        });
        let data = load("train.bio", lines.join("\n"));
        assert_eq!(told(&data), ["Ann/B-PER sleeps/O", "Oulu/B-LOC too/O"]);
        noted(
            &data,
            &["words are read from column 1 and labels from column 0"],
        );
    }
    // Parts of speech are known by how few they are.
    let text = texts(60, |index| {
        if index % 6 == 5 {
            String::new()
        } else {
            format!("{}\tw{index}", ["DT", "NN"][index % 2])
        }
    });
    let data = load("train.tsv", text);
    assert_eq!((data.task, data.classes.len()), (Task::Pos, 2));
}

#[test]
fn columns_with_two_of_tags() {
    let nested = "# source\n1\tAnn\tB-PER\tO\n2\tof\tI-PER\tO\n3\tOulu\tI-PER\tB-LOC\n\n1\tx\tO\tO\n2\ty\tO\tO\n";
    refused(
        "train.tsv",
        nested,
        &[
            "several columns could hold the labels: 2 (B-PER",
            "3 (O O B-LOC)",
            "--label-column",
        ],
    );
    let data = load_with("train.tsv", nested, |source| {
        source.label_column = Some(Column::Index(2));
    });
    assert_eq!(told(&data.unwrap())[0], "Ann/B-PER of/I-PER Oulu/I-PER");
    refused(
        "train.conll",
        "Dogs NNS dog\nbark VBP bark\n",
        &["several columns", "--label-column"],
    );
}

#[test]
fn columns_with_numbers_of_documents_and_words() {
    let text = "doc1 0 0 Ann B-PER\ndoc1 0 1 is O\ndoc1 0 2 in O\ndoc1 0 3 Oulu B-LOC\n";
    assert_eq!(
        told(&load("train.conll", text)),
        ["Ann/B-PER is/O in/O Oulu/B-LOC"]
    );
}

#[test]
fn columns_with_one_tab_among_spaces() {
    let text = "a O\nb O\nc\td O\ne O\n";
    refused(
        "train.conll",
        text,
        &[
            "train.conll:3: expected 2 columns separated by spaces, got 3",
            "take out what is too much",
        ],
    );
}

#[test]
fn conllu_plus_by_its_names() {
    let text = "# global.columns = ID FORM NE\n1\tAnn\tB-PER\n2\tis\tO\n\n1\tx\tO\n";
    for name in ["train.conllu", "train.conllup"] {
        assert_eq!(told(&load(name, text)), ["Ann/B-PER is/O", "x/O"]);
    }
    let text = "# global.columns = ID FORM UPOS MISC\n1\tAnn\tPROPN\t_\n2\tis\tAUX\t_\n";
    assert_eq!(told(&load("train.conllu", text)), ["Ann/PROPN is/AUX"]);
    refused(
        "train.conllu",
        "1\ta\ta\tX\t_\t_\t0\troot\t_\t_\tmore\n",
        &["expected 10 columns", "got 11: take out"],
    );
}
