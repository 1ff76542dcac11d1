//! Texts and their labels, a row each.

use proptest::prelude::*;
use shared::datasets::{Column, Dataset, Format, Source, SplitName};
use shared::tasks::Task;

use super::parquet::Values;
use super::{load, load_with, noted, refused, refused_with, texts, told};

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

/// The labels of each text, in the order of the texts.
fn sets(data: &Dataset) -> Vec<String> {
    let all = data.splits.iter().flat_map(|split| {
        let sentences = 0..split.sentences.len();
        sentences.map(|index| {
            let words: Vec<&str> = split.sentences.words(index).collect();
            let labels: Vec<&str> = split.sentences.labels(index).collect();
            format!("{} => {}", words.join(" "), labels.join("+"))
        })
    });
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}

#[test]
fn lists_of_labels_of_a_text() {
    let expected = ["a b c => x+y", "d e => ", "f g h => y"];
    let jsonl = "{\"text\": \"a b c\", \"labels\": [\"x\", \"y\"]}\n\
                 {\"text\": \"d e\", \"labels\": []}\n{\"text\": \"f g h\", \"labels\": [\"y\"]}\n";
    let read = load("train.jsonl", jsonl);
    assert_eq!(
        (read.task, &read.classes[..]),
        (Task::Multilabel, &["x".to_owned(), "y".to_owned()][..])
    );
    assert_eq!(sets(&read), expected);
    let same = |name: &str, bytes: &str| {
        let said = load_with(name, bytes, |source| source.task = Some(Task::Multilabel));
        let said = said.unwrap();
        assert_eq!(sets(&said), expected, "{name}");
        assert_eq!(said.digest(), read.digest(), "{name}");
    };
    same("train.jsonl", jsonl);
    same("train.csv", "text,labels\na b c,x|y\nd e,\nf g h,y\n");
    same("train.tsv", "text\tlabels\na b c\tx|y\nd e\t\nf g h\ty\n");
    same(
        "train.csv",
        "text,labels\na b c,\"['x', 'y']\"\nd e,[]\nf g h,['y']\n",
    );
    let listed = "text,topics\na b c,\"['x', 'y']\"\nd e,[]\nf g h,['y']\n";
    assert_eq!(load("train.csv", listed).task, Task::Multilabel);
    // The first empty lists do not tell what is in the others.
    let late = "{\"text\": \"d e\", \"labels\": []}\n{\"text\": \"a b c\", \"labels\": [\"x\", \"y\"]}\n\
                {\"text\": \"f g h\", \"labels\": [\"y\", \"y\"]}\n";
    assert_eq!(sets(&load("train.jsonl", late)), expected);
    let numbers = load(
        "train.jsonl",
        r#"{"text": "a b", "labels": [1, 2], "id": "x"}"#,
    );
    assert_eq!(sets(&numbers), ["a b => 1+2"]);
}

#[test]
fn columns_of_labels_of_a_text() {
    let expected = ["a b c => joy+fear", "d e => ", "f g h => fear"];
    let flags = |source: &mut Source| {
        source.task = Some(Task::Multilabel);
        source.label_column = Some(Column::Name("joy,fear, rage".to_owned()));
    };
    let csv = "id,text,joy,rage,fear\n1,a b c,1,0,1\n2,d e,0,0,0\n3,f g h,0,0,1\n";
    let data = load_with("train.csv", csv, flags).unwrap();
    assert_eq!(sets(&data), expected);
    // A label that no text has is one all the same.
    assert_eq!(data.classes, ["fear", "joy", "rage"]);
    noted(&data, &["with a 1 in columns joy, fear, rage"]);
    let jsonl = "{\"text\": \"a b c\", \"joy\": 1, \"fear\": true, \"rage\": 0}\n\
                 {\"text\": \"d e\", \"joy\": 0, \"fear\": false, \"rage\": 0}\n\
                 {\"text\": \"f g h\", \"joy\": 0, \"fear\": 1, \"rage\": 0}\n";
    let same = load_with("train.jsonl", jsonl, flags).unwrap();
    assert_eq!((sets(&same), same.digest()), (sets(&data), data.digest()));
    let by_number = load_with("train.csv", csv, |source| {
        source.task = Some(Task::Multilabel);
        source.label_column = Some(Column::Name("2,4,3".to_owned()));
    });
    assert_eq!(sets(&by_number.unwrap()), expected);
    let wrong = csv.replace("0,0,0", "0,2,0");
    refused_with(
        "train.csv",
        &wrong,
        flags,
        &["train.csv:3", "column rage has \"2\"", "A,B,C"],
    );
    refused_with(
        "train.csv",
        csv.replace("rage", "anger"),
        flags,
        &["there is no column `rage`", "id, text, joy, anger, fear"],
    );
}

#[test]
fn lists_of_labels_that_cannot_be_right_are_refused() {
    let list = "{\"text\": \"a b c\", \"labels\": [\"x\", \"y\"]}\n";
    refused_with(
        "train.jsonl",
        list,
        |source| source.task = Some(Task::Sequence),
        &["labels", "list of texts", "--task multilabel"],
    );
    let multilabel = |source: &mut Source| source.task = Some(Task::Multilabel);
    let after = |line: &str| format!("{list}{line}\n");
    for (line, said) in [
        (r#"{"text": "d", "labels": ["x", ""]}"#, "is empty"),
        (r#"{"text": "d", "labels": null}"#, "labels (null)"),
        (
            r#"{"text": "d", "labels": [{"x": 1}]}"#,
            "an array of labels",
        ),
        (r#"{"text": " ", "labels": ["x"]}"#, "no word"),
        (
            r#"{"text": "d"}"#,
            "expected text (a text) and labels (an array of labels)",
        ),
    ] {
        refused_with(
            "train.jsonl",
            after(line),
            multilabel,
            &["train.jsonl:2", said],
        );
    }
    refused_with(
        "train.csv",
        "text,labels\na b,x|y\nc,x||y\n",
        multilabel,
        &["train.csv:3", "is empty"],
    );
    refused_with(
        "train.csv",
        "text,labels\na b,\nc,\n",
        multilabel,
        &["no text has a label"],
    );
}

#[test]
fn numbers_of_texts() {
    let scores = |data: &Dataset| -> Vec<String> {
        let all = data.splits.iter().flat_map(|split| {
            let sentences = 0..split.sentences.len();
            sentences.flat_map(|index| split.sentences.labels(index).map(str::to_owned))
        });
        let mut all: Vec<String> = all.collect();
        all.sort();
        all
    };
    let csv = load("train.csv", "text,score\na b,0.5\nc d,1.50\ne,2\n");
    assert_eq!((csv.task, csv.classes.len()), (Task::Regression, 0));
    assert_eq!(scores(&csv), ["0.5", "1.5", "2"]);
    let jsonl = "{\"text\": \"a b\", \"label\": 0.5}\n{\"text\": \"c d\", \"label\": 1.5}\n\
                 {\"text\": \"e\", \"label\": 2.0}\n";
    let jsonl = load("train.jsonl", jsonl);
    assert_eq!(scores(&jsonl), scores(&csv));
    let parts = |data: &Dataset| data.digest();
    assert_eq!(
        parts(&jsonl),
        parts(&csv),
        "equal data, however numbers are written"
    );
    // Whole numbers are classes, unless it is said that they are none.
    let whole = "text\tlabel\na b\t1\nc d\t2\ne f\t1\ng h\t2\n";
    assert_eq!(load("train.tsv", whole).task, Task::Sequence);
    let said = load_with("train.tsv", whole, |source| {
        source.task = Some(Task::Regression)
    });
    assert_eq!(scores(&said.unwrap()), ["1", "1", "2", "2"]);
    // The column of scores goes before others that may be labels.
    let both = load_with(
        "train.csv",
        "text,label,score\na,x,0.5\nb,y,1\n",
        |source| {
            source.task = Some(Task::Regression);
        },
    );
    assert_eq!(scores(&both.unwrap()), ["0.5", "1"]);
}

#[test]
fn numbers_that_cannot_be_learned_are_refused() {
    let regression = |source: &mut Source| source.task = Some(Task::Regression);
    let csv = |number: &str| format!("text,score\na b,0.5\nc d,{number}\n");
    for number in ["good", "inf", "NaN", "\"0,5\"", "1e99"] {
        let said = [
            "train.csv:3: the score",
            "no finite number",
            "--label-column",
        ];
        refused_with("train.csv", csv(number), regression, &said);
    }
    refused_with(
        "train.csv",
        csv(""),
        regression,
        &["train.csv:3", "is empty", "fill it in"],
    );
    let missing = "{\"text\": \"a\", \"score\": 1.5}\n{\"text\": \"b\", \"score\": null}\n";
    refused("train.jsonl", missing, &["train.jsonl:2", "score (null)"]);
    let words = "{\"tokens\": [\"a\"], \"tags\": [\"x\"]}\n";
    refused_with("train.jsonl", words, regression, &["text"]);
    // Numbers that are to be classes.
    refused_with(
        "train.csv",
        csv("1.5"),
        |source| source.task = Some(Task::Sequence),
        &["scores such as 0.5", "--task regression"],
    );
}

#[test]
fn truth_values_are_classes() {
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
        &[":1:", "several labels", "--task multilabel"],
    );
    let several = "__label__a __label__b so good\n__label__a x y\n";
    let several = load_with("train.txt", several, |source| {
        source.task = Some(Task::Multilabel)
    });
    assert_eq!(sets(&several.unwrap()), ["so good => a+b", "x y => a"]);
    let data = load_with("train.any", "x a b\ny c\n", |source| {
        source.format = Some(Format::LabelText);
    });
    assert_eq!(told(&data.unwrap()), ["a b => x", "c => y"]);
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

/// Names of columns that no one may learn, or that are of no use.
fn extra() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "id", "idx", "url", "uuid", "date", "author", "length", "source", "guid", "lang",
    ])
}

/// A value of such a column.
fn value(kind: u8, row: usize) -> String {
    match kind {
        0 => row.to_string(),
        1 => format!("https://example.org/{row}"),
        2 => format!("{row}.5"),
        3 => row.is_multiple_of(2).to_string(),
        _ => ["x", "y"][row % 2].to_owned(),
    }
}

/// A column of a parquet file, with values of their own type.
fn typed(kind: Option<u8>, cells: &[String]) -> Values {
    let texts = || Values::Texts(cells.to_vec());
    match kind {
        Some(0) => cells
            .iter()
            .map(|cell| cell.parse())
            .collect::<Result<_, _>>()
            .map_or_else(|_| texts(), Values::Integers),
        Some(2) => cells
            .iter()
            .map(|cell| cell.parse())
            .collect::<Result<_, _>>()
            .map_or_else(|_| texts(), Values::Numbers),
        Some(3) => cells
            .iter()
            .map(|cell| cell.parse())
            .collect::<Result<_, _>>()
            .map_or_else(|_| texts(), Values::Truths),
        _ => texts(),
    }
}

proptest! {
    #[test]
    fn no_column_is_taken_because_it_is_left_over(
        extras in prop::collection::btree_map(extra(), 0..5_u8, 0..5),
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
        let packed: Vec<(&str, Values)> = columns.iter().map(|column| {
            let cells: Vec<String> = (0..rows).map(|row| cell(column, row)).collect();
            (column.0, typed(column.1, &cells))
        }).collect();
        let files = [
            ("t.csv", table(",").into_bytes()),
            ("t.csv", table(";").into_bytes()),
            ("t.tsv", table("\t").into_bytes()),
            ("t.jsonl", json.into_bytes()),
            ("t.parquet", super::parquet::file(&packed)),
        ];
        for (name, bytes) in files {
            match load_with(name, &bytes, |_| ()) {
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
