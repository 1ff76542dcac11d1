//! What is in docs/data.md, a test a row: a table is read right or refused with the option that helps, never as something else
//! without a word.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use shared::datasets::{Column, Dataset, DatasetError, Format, Source, SplitName};
use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::tasks::Task;

fn load_with(
    name: &str,
    bytes: impl AsRef<[u8]>,
    options: impl FnOnce(&mut Source),
) -> Result<Dataset, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join(name), bytes).unwrap();
    let mut source = Source::new(folder.path().join(name));
    options(&mut source);
    source.load()
}

fn load(name: &str, bytes: impl AsRef<[u8]>) -> Dataset {
    load_with(name, bytes, |_| ()).unwrap()
}

/// The message, of which each part of `said` must be there.
#[track_caller]
fn refused(name: &str, bytes: impl AsRef<[u8]>, said: &[&str]) {
    refused_with(name, bytes, |_| (), said);
}

#[track_caller]
fn refused_with(
    name: &str,
    bytes: impl AsRef<[u8]>,
    options: impl FnOnce(&mut Source),
    said: &[&str],
) {
    let error = load_with(name, bytes, options).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::User);
    let message = error.to_string();
    for part in said {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// All sentences as `word/label ...`, whatever split they went to.
fn told(data: &Dataset) -> Vec<String> {
    let mut all = Vec::new();
    for split in &data.splits {
        let sentences = &split.sentences;
        for index in 0..sentences.len() {
            let words: Vec<&str> = sentences.words(index).collect();
            let labels: Vec<&str> = sentences.labels(index).collect();
            let text = if data.task.labels_words() {
                let pairs = words
                    .iter()
                    .zip(&labels)
                    .map(|(word, label)| format!("{word}/{label}"));
                pairs.collect::<Vec<_>>().join(" ")
            } else {
                format!("{} => {}", words.join(" "), labels[0])
            };
            all.push((sentences.line(index), text));
        }
    }
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

#[track_caller]
fn noted(data: &Dataset, parts: &[&str]) {
    for part in parts {
        assert!(
            data.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            data.notes
        );
    }
}

/// A table of texts, a row each, of two classes.
fn texts(rows: usize, row: impl Fn(usize) -> String) -> String {
    (0..rows).fold(String::new(), |text, index| text + &row(index) + "\n")
}

const WORDS: [(&str, &str); 5] = [
    ("Ann", "B-PER"),
    ("sleeps", "O"),
    ("", ""),
    ("Oulu", "B-LOC"),
    ("too", "O"),
];

#[test]
fn csv_with_other_separators() {
    for separator in [",", ";", "|", "\t"] {
        let rows = format!("id{separator}text{separator}label\n1{separator}TEXT{separator}x\n");
        let text = rows.replace("TEXT", "\"so, good; yes\"");
        let data = load("train.csv", text);
        assert_eq!(told(&data), ["so, good; yes => x"], "{separator}");
        noted(
            &data,
            &["texts are in column `text`, labels in `label` (left out: id; --token-column"],
        );
    }
}

#[test]
fn csv_with_a_mark_before_its_header_and_columns_called_alike() {
    assert_eq!(
        told(&load("train.csv", "\u{feff}text,label\na b,x\n")),
        ["a b => x"]
    );
    refused(
        "train.csv",
        "text,text,label\na b,c d,x\n",
        &["several columns are called `text`", "--token-column"],
    );
    let data = load_with("train.csv", "text,text,label\na b,c d,x\n", |source| {
        source.token_column = Some(Column::Index(1));
    });
    assert_eq!(told(&data.unwrap()), ["c d => x"]);
}

#[test]
fn csv_without_a_header() {
    let table = texts(12, |index| {
        format!("{},\"a text, number {index}\"", index % 2)
    });
    let data = load("train.csv", &table);
    assert_eq!(
        (data.task, data.classes.len(), told(&data).len()),
        (Task::Sequence, 2, 12)
    );
    noted(&data, &["has no header"]);
    refused(
        "train.csv",
        texts(12, |index| {
            format!("{},some title {index},some body {index}", index % 2)
        }),
        &["header"],
    );
}

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
fn pairs_of_texts_are_refused() {
    for (one, other) in [
        ("question", "sentence"),
        ("sentence1", "sentence2"),
        ("premise", "hypothesis"),
        ("text_a", "text_b"),
        ("query", "passage"),
        ("question1", "question2"),
        ("Text A", "Text B"),
    ] {
        let said = [
            "pairs of texts are not supported yet",
            "--token-column",
            one,
            other,
        ];
        refused(
            "train.csv",
            format!("{one},{other},label\na b,c d,0\n"),
            &said,
        );
        refused(
            "train.tsv",
            format!("{one}\t{other}\tscore\na b\tc d\t0.5\n"),
            &said,
        );
        let json =
            format!("{{\"{one}\": \"a b\", \"{other}\": \"c d\", \"label\": 0, \"idx\": 1}}\n");
        refused("train.jsonl", &json, &said);
        let data = load_with("train.jsonl", &json, |source| {
            source.token_column = Some(Column::Name(other.to_owned()));
        });
        assert_eq!(told(&data.unwrap()), ["c d => 0"]);
    }
}

#[test]
fn several_labels_are_refused_and_listed() {
    let said = [
        "several columns could hold the labels: sentiment, topic",
        "--label-column",
    ];
    refused("train.csv", "text,sentiment,topic\na b,x,y\n", &said);
    refused(
        "train.jsonl",
        r#"{"text": "a b", "sentiment": "x", "topic": "y"}"#,
        &said,
    );
}

#[test]
fn lists_of_labels_of_a_text_are_refused() {
    refused(
        "train.jsonl",
        r#"{"text": "a b", "labels": [1, 2], "id": "x"}"#,
        &["labels", "multi-label", "not supported yet"],
    );
}

#[test]
fn scores_are_refused() {
    refused(
        "train.csv",
        "text,score\na b,0.5\nc d,1.5\n",
        &["regression", "not supported yet"],
    );
    refused(
        "train.jsonl",
        "{\"text\": \"a b\", \"label\": 0.5}\n{\"text\": \"a c\", \"label\": 1}",
        &["regression"],
    );
    let whole = load(
        "train.jsonl",
        "{\"text\": \"a b\", \"label\": true}\n{\"text\": \"a c\", \"label\": false}",
    );
    assert_eq!(whole.classes, ["false", "true"]);
}

#[test]
fn as_many_classes_as_texts_are_refused() {
    let said = ["hardly repeat", "--label-column"];
    refused(
        "train.csv",
        format!(
            "text,label\n{}",
            texts(60, |index| format!("a b,{}", index / 2 * 2 + index % 2))
        ),
        &said,
    );
    let by_id = |source: &mut Source| source.label_column = Some(Column::Name("id".to_owned()));
    refused_with(
        "train.csv",
        format!("text,id\n{}", texts(12, |index| format!("a b,{index}"))),
        by_id,
        &said,
    );
}

#[test]
fn tsv_of_texts_without_a_header() {
    for name in ["train.tsv", "train.txt"] {
        let data = load(
            name,
            texts(30, |index| {
                format!("the text number {index}\t{}", ["good", "bad"][index % 2])
            }),
        );
        assert_eq!(
            (data.task, data.classes),
            (Task::Sequence, vec!["bad".to_owned(), "good".to_owned()])
        );
        let data = load(
            name,
            texts(30, |index| {
                format!("{}\tthe text number {index}", ["good", "bad"][index % 2])
            }),
        );
        assert_eq!((data.task, data.classes.len()), (Task::Sequence, 2));
        refused(
            name,
            texts(30, |index| format!("the text number {index}\tid{index}")),
            &["header", "--token-column"],
        );
    }
}

#[test]
fn tables_of_texts_by_numbers_of_columns() {
    // As CoLA is published: source, label, mark, text.
    let tsv = texts(30, |index| {
        format!(
            "gj04\t{}\t{}\tthe text number {index}",
            index % 2,
            ["", "*"][index % 2]
        )
    });
    refused("train.tsv", &tsv, &["no header", "--label-column"]);
    let csv = texts(30, |index| {
        format!(
            "{},\"a title {index}\",\"the text number {index}\"",
            index % 2
        )
    });
    refused("train.csv", &csv, &["no header", "--label-column"]);
    let beyond = |source: &mut Source| source.token_column = Some(Column::Index(9));
    refused_with("train.tsv", &tsv, beyond, &["no column 9"]);
    for (name, text, token, label) in [("train.tsv", tsv, 3, 1), ("train.csv", csv, 2, 0)] {
        let by_number = |source: &mut Source| {
            source.token_column = Some(Column::Index(token));
            source.label_column = Some(Column::Index(label));
        };
        let data = load_with(name, text, by_number).unwrap();
        assert_eq!((data.classes.len(), told(&data).len()), (2, 30), "{name}");
        assert_eq!(told(&data)[0], "the text number 0 => 0");
    }
}

#[test]
fn labels_before_texts() {
    let data = load(
        "train.txt",
        "DESC:manner How did it end ?\nENTY:cremat What films are there with Ann ?\nDESC:def What is it ?\n",
    );
    assert_eq!(told(&data)[0], "How did it end ? => DESC:manner");
    noted(&data, &["--format columns"]);
    let data = load(
        "train.txt",
        "__label__pos so very good\n__label__neg bad\n__label__pos good\n",
    );
    assert_eq!((data.task, data.classes.len()), (Task::Sequence, 2));
    refused(
        "train.txt",
        "__label__a __label__b so good\n__label__a x y\n",
        &[":1:", "multi-label"],
    );
    let data = load_with("train.any", "x a b\ny c\n", |source| {
        source.format = Some(Format::LabelText);
    });
    assert_eq!(told(&data.unwrap()), ["a b => x", "c => y"]);
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
fn tsv_quoted_as_csv_and_tsv_with_marks_of_its_own() {
    let quoted = "text\tlabel\n\"say \"\"so\"\"\tnow\"\tx\nplain it is\ty\n";
    assert_eq!(
        told(&load("train.tsv", quoted)),
        ["say \"so\" now => x", "plain it is => y"]
    );
    let own = "text\tlabel\n\" he said\tx\n\"well, well\"\ty\n";
    assert_eq!(
        told(&load("train.tsv", own)),
        ["\" he said => x", "\"well, well\" => y"]
    );
    let column = "\"\tO\nAnn\tB-PER\n\"\tO\n";
    assert_eq!(told(&load("train.tsv", column)), ["\"/O Ann/B-PER \"/O"]);
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
    let pair = Source::new(cases.join("columns/qnli"))
        .load()
        .unwrap_err()
        .to_string();
    assert!(pair.contains("pairs of texts"), "{pair}");
}

/// Values of a column that no one may learn, or that is of no use.
fn extra() -> impl Strategy<Value = (&'static str, u8)> {
    (
        prop::sample::select(vec![
            "id", "idx", "url", "uuid", "date", "author", "length", "source", "guid", "lang",
        ]),
        0..4_u8,
    )
}

fn value(kind: u8, row: usize) -> String {
    match kind {
        0 => row.to_string(),
        1 => format!("https://example.org/{row}"),
        2 => format!("{row}.5"),
        _ => ["x", "y"][row % 2].to_owned(),
    }
}

proptest! {
    #[test]
    fn no_column_is_taken_because_it_is_left_over(
        extras in prop::collection::btree_map(extra().prop_map(|(name, _)| name), 0..4_u8, 0..5),
        at in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        label in prop::sample::select(vec!["label", "Category", "class", "intent", "sentiment", "none"]),
        rows in 10..40_usize,
    ) {
        let mut columns: Vec<(&str, Option<u8>)> = extras.into_iter().map(|(name, kind)| (name, Some(kind))).collect();
        columns.insert(at.0.index(columns.len() + 1), ("text", None));
        let named = label != "none";
        if named {
            columns.insert(at.1.index(columns.len() + 1), (label, None));
        }
        let cell = |(name, kind): &(&str, Option<u8>), row: usize| match kind {
            Some(kind) => value(*kind, row),
            None if *name == "text" => format!("some words {row}"),
            None => ["good", "bad", "so"][row % 3].to_owned(),
        };
        let line = |separator: &str, row: usize| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(separator);
        let header = |separator: &str| columns.iter().map(|column| column.0).collect::<Vec<_>>().join(separator);
        let table = |separator: &str| header(separator) + "\n" + &texts(rows, |row| line(separator, row));
        let json = texts(rows, |row| {
            let fields = columns.iter().map(|column| (column.0.to_owned(), cell(column, row).into()));
            serde_json::Value::Object(fields.collect()).to_string()
        });
        for (name, text) in [("t.csv", table(",")), ("t.csv", table(";")), ("t.tsv", table("\t")), ("t.jsonl", json)] {
            match load_with(name, &text, |_| ()) {
                Ok(data) => {
                    prop_assert!(named, "{}: {:?}", name, data.notes);
                    prop_assert_eq!(&data.classes, &["bad", "good", "so"]);
                    prop_assert_eq!(data.split(SplitName::Train).unwrap().sentences.words(0).len(), 3);
                }
                Err(error) => prop_assert!(!named, "{}: {}", name, error),
            }
        }
    }
}
