//! Pairs of texts, and texts with any number of labels.

use shared::datasets::{Column, Dataset, Source};
use shared::tasks::Task;

use super::parquet::{self, Values};
use super::{load, load_with, noted, refused, refused_with, told};

/// The texts of each sentence of the first split and the index of the second one's first word.
fn pairs(data: &Dataset) -> Vec<(String, Option<usize>)> {
    let sentences = &data.splits[0].sentences;
    let pair = |index| {
        let words: Vec<&str> = sentences.words(index).collect();
        (words.join(" "), sentences.second(index))
    };
    (0..sentences.len()).map(pair).collect()
}

#[test]
fn pairs_of_texts() {
    let expected = [("a b c d e".to_owned(), Some(2))];
    for (one, other) in [
        ("question", "sentence"),
        ("sentence1", "sentence2"),
        ("premise", "hypothesis"),
        ("text_a", "text_b"),
        ("text", "text_pair"),
        ("question1", "question2"),
        ("Text A", "Text B"),
    ] {
        let csv = load("train.csv", format!("{other},{one},label\nc d e,a b,0\n"));
        assert_eq!(pairs(&csv), expected, "{one}");
        let said = format!("columns `{one}` and `{other}`");
        noted(&csv, &[&said, "--text-pair-column"]);
        let tsv = load(
            "train.tsv",
            format!("{one}\t{other}\tscore\na b\tc d e\t0.5\n"),
        );
        assert_eq!(
            (tsv.task, pairs(&tsv)),
            (Task::Regression, expected.to_vec())
        );
        let json =
            format!("{{\"{one}\": \"a b\", \"{other}\": \"c d e\", \"label\": 0, \"idx\": 1}}\n");
        let jsonl = load("train.jsonl", &json);
        assert_eq!(pairs(&jsonl), expected);
        assert_eq!(jsonl.digest(), csv.digest());
        let data = load_with("train.jsonl", &json, |source| {
            source.token_column = Some(Column::Name(other.to_owned()));
        });
        let data = data.unwrap();
        assert_eq!(
            (told(&data), data.has_pairs()),
            (vec!["c d e => 0".to_owned()], false)
        );
    }
    // Where the texts are parted matters.
    let other = load("train.csv", "sentence1,sentence2,label\na b c,d e,0\n");
    let one = load("train.csv", "sentence1,sentence2,label\na b,c d e,0\n");
    assert_ne!(one.digest(), other.digest());
    let named = |source: &mut Source| {
        source.token_column = Some(Column::Name("query".to_owned()));
        source.text_pair_column = Some(Column::Name("passage".to_owned()));
    };
    let csv = "query,passage,labels\na b,c d e,x|y\n";
    let data = load_with("train.csv", csv, |source| {
        named(source);
        source.task = Some(Task::Multilabel);
    });
    let data = data.unwrap();
    assert_eq!(
        (pairs(&data), sets(&data)),
        (expected.to_vec(), vec!["a b c d e => x+y".to_owned()])
    );
    let numbered = load_with("train.tsv", "a b\tc d e\tx\nf g\th i\tx\n", |source| {
        source.token_column = Some(Column::Index(0));
        source.text_pair_column = Some(Column::Index(1));
        source.label_column = Some(Column::Index(2));
        source.task = Some(Task::Sequence);
    });
    assert!(numbered.unwrap().has_pairs());
}

#[test]
fn pairs_of_which_one_is_missing_are_refused() {
    let both = "sentence1,sentence2,label\na b,c d,0\n";
    let said = ["train.csv:3", "no text in sentence2", "fill it in"];
    refused("train.csv", format!("{both}e f,,1\n"), &said);
    refused(
        "train.csv",
        format!("{both},e f,1\n"),
        &["train.csv:3", "the text has no word in it"],
    );
    let first = "{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": 0}\n";
    for second in [
        r#"{"premise": "a", "label": 0}"#,
        r#"{"premise": "a", "hypothesis": null, "label": 0}"#,
        r#"{"premise": "a", "hypothesis": " ", "label": 0}"#,
    ] {
        let said = ["train.jsonl:2", "no text in hypothesis"];
        refused("train.jsonl", format!("{first}{second}\n"), &said);
    }
    // Names that no pair goes by, and columns that make none.
    refused(
        "train.csv",
        "query,passage,label\na,b,0\n",
        &["query, passage", "--text-pair-column"],
    );
    let pair = |name: &'static str| {
        move |source: &mut Source| source.text_pair_column = Some(Column::Name(name.to_owned()))
    };
    refused_with(
        "train.csv",
        both,
        pair("other"),
        &["no column `other`", "--text-pair-column"],
    );
    let turned = load_with("train.csv", both, pair("sentence1")).unwrap();
    assert_eq!(pairs(&turned), [("c d a b".to_owned(), Some(2))]);
    refused_with(
        "train.csv",
        "text,text_pair,label\na,b,0\n",
        |source| {
            source.text_pair_column = Some(Column::Name("text".to_owned()));
            source.token_column = Some(Column::Name("text".to_owned()));
        },
        &["cannot be both texts of a pair"],
    );
}

/// The labels of each text, in the order of the texts.
pub(super) fn sets(data: &Dataset) -> Vec<String> {
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
fn parquet_has_pairs_lists_and_numbers() {
    let texts = |texts: [&str; 3]| Values::Texts(texts.map(str::to_owned).to_vec());
    let file = |second: [&str; 3], label: (&str, Values)| {
        let columns = [
            ("premise", texts(["a b", "d", "f g"])),
            ("hypothesis", texts(second)),
            label,
        ];
        parquet::file(&columns)
    };
    let second = ["c", "e", "h"];
    let numbers = file(second, ("score", Values::Numbers(vec![0.5, 2.0, -1.0])));
    let data = load("train.parquet", numbers);
    let csv = "premise,hypothesis,score\na b,c,0.5\nd,e,2\nf g,h,-1\n";
    assert_eq!(data.digest(), load("train.csv", csv).digest());
    assert!(data.task == Task::Regression && data.has_pairs());
    let lists = Values::Lists(vec![vec!["x", "y"], vec![], vec!["y", "y"]]);
    let lists = load("train.parquet", file(second, ("labels", lists)));
    assert_eq!(lists.task, Task::Multilabel);
    assert_eq!(sets(&lists), ["a b c => x+y", "d e => ", "f g h => y"]);
    let csv = "premise,hypothesis,labels\na b,c,x|y\nd,e,\nf g,h,y\n";
    let csv = load_with("train.csv", csv, |source| {
        source.task = Some(Task::Multilabel);
    });
    assert_eq!(csv.unwrap().digest(), lists.digest());
    let missing = file(
        ["c", " ", "h"],
        ("score", Values::Numbers(vec![0.5, 2.0, 1.0])),
    );
    refused(
        "train.parquet",
        missing,
        &[
            "row 1",
            "hypothesis",
            "the second text of the pair has no word",
        ],
    );
}
