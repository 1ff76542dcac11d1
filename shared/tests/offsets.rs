//! Texts with spans of characters, as annotation tools export them, become words with IOB2 tags, or
//! an error that names both offsets.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::datasets::{Dataset, DatasetError, Source, SplitName};
use shared::tasks::Task;
use shared::tasks::schemes::Scheme;

fn load_file(name: &str, text: &str) -> Result<Dataset, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs_err::write(&path, text).unwrap();
    // A split of its own, from which nothing is held out.
    let mut source = Source::new(folder.path());
    source.files = [
        (SplitName::Train, path.clone()),
        (SplitName::Validation, path),
    ]
    .into();
    source.load()
}

/// `word/label` of every sentence.
fn told(data: &Dataset) -> Vec<String> {
    let sentences = &data.split(SplitName::Train).unwrap().sentences;
    let tell = |index| {
        let pairs = sentences.words(index).zip(sentences.labels(index));
        pairs
            .map(|(word, label)| format!("{word}/{label}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..sentences.len()).map(tell).collect()
}

fn lines(records: &[Value]) -> String {
    let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn read(records: &[Value]) -> Vec<String> {
    let data = load_file("train.jsonl", &lines(records)).unwrap();
    assert_eq!((data.task, data.scheme), (Task::Ner, Some(Scheme::Iob2)));
    let array = load_file("train.json", &Value::Array(records.to_vec()).to_string()).unwrap();
    let pretty = serde_json::to_string_pretty(records).unwrap();
    assert_eq!(told(&array), told(&data));
    assert_eq!(
        told(&load_file("train.json", &pretty).unwrap()),
        told(&data)
    );
    told(&data)
}

fn error(record: Value) -> String {
    let good = json!({"text": "Ann", "label": [[0, 3, "PER"]]});
    load_file("train.jsonl", &lines(&[good, record]))
        .unwrap_err()
        .to_string()
}

const TEXT: &str = "Tomas Lindqvist works for Atlas, in Lima.";
const READ: &str = "Tomas/B-PER Lindqvist/I-PER works/O for/O Atlas/B-ORG ,/O in/O Lima/B-LOC ./O";

#[test]
fn every_tool_is_read() {
    let labels = json!([[36, 40, "LOC"], [0, 15, "PER"], [26, 31, "ORG"]]);
    let objects = |start: &str, end: &str| json!([{start: 0, end: 15, "label": "PER"}, {start: 26, end: 31, "label": "ORG"}, {start: 36, end: 40, "label": "LOC"}]);
    let studio = |start: usize, end: usize, label: &str| json!({"start": start, "end": end, "text": TEXT[start..end], "labels": [label]});
    let studio = [
        studio(0, 15, "PER"),
        studio(26, 31, "ORG"),
        studio(36, 40, "LOC"),
    ];
    let result: Vec<Value> = studio.iter().map(|value| json!({"type": "labels", "from_name": "label", "to_name": "text", "value": value})).collect();
    let relation = json!({"type": "relation", "from_id": "a", "to_id": "b"});
    let with_relation = [result.clone(), vec![relation]].concat();
    for record in [
        json!({"id": 1, "text": TEXT, "label": labels}),
        json!({"text": TEXT, "labels": labels}),
        json!({"text": TEXT, "entities": labels}),
        json!([TEXT, {"entities": labels}]),
        json!({"text": TEXT, "entities": objects("start_offset", "end_offset"), "relations": []}),
        json!({"text": TEXT, "spans": objects("start", "end"), "answer": "accept"}),
        json!({"id": 7, "data": {"text": TEXT, "source": "x"}, "annotations": [{"id": 1, "result": with_relation}], "predictions": []}),
        json!({"id": 7, "data": {"article": TEXT}, "annotations": [{"was_cancelled": true, "result": []}, {"result": result}]}),
        json!({"id": 7, "text": TEXT, "label": studio, "annotator": 1}),
    ] {
        // One that says nothing comes first, as it does in files.
        let mut records = vec![record.clone()];
        if record.get("text").is_some() && record.get("spans").is_none() {
            let field = ["label", "labels", "entities"]
                .into_iter()
                .find(|name| record.get(*name).is_some())
                .unwrap();
            records.insert(0, json!({"text": "Nobody came.", field: []}));
        }
        if let Value::Array(_) = record {
            // Lines that are arrays are no records.
            let array = load_file("train.json", &Value::Array(records).to_string()).unwrap();
            assert_eq!(told(&array), [READ]);
            continue;
        }
        assert_eq!(read(&records).last().unwrap(), READ, "{record}");
    }
}

#[test]
fn words_of_the_file_are_kept() {
    let tokens = json!([{"text": "Ann", "start": 0, "end": 3, "id": 0}, {"text": "Lee-", "start": 4, "end": 8, "id": 1}, {"text": "\n", "start": 8, "end": 9, "id": 2}, {"text": "x", "start": 9, "end": 10, "id": 3}]);
    let by_words = json!({"text": "Ann Lee-\nx", "tokens": tokens, "spans": [{"token_start": 0, "token_end": 1, "label": "PER"}]});
    assert_eq!(read(&[by_words]), ["Ann/B-PER Lee-/I-PER x/O"]);
    let inside = json!({"text": "Ann Lee-\nx", "tokens": tokens, "spans": [{"start": 0, "end": 7, "label": "PER"}]});
    let message = error(inside);
    assert!(
        message.contains(
            "train.jsonl:2: the span from 0 to 7 (PER) begins or ends inside the word \"Lee-\""
        ),
        "{message}"
    );
    let past = json!({"text": "Ann", "tokens": [{"start": 0, "end": 9}], "spans": []});
    assert!(error(past).contains("the token from 0 to 9"));
}

#[test]
fn offsets_count_characters_and_units_where_only_those_fit() {
    // Five code points, seven UTF-16 units before the name.
    let text = "\u{1f468}\u{200d}\u{1f469} é Ann.";
    let read_one = |record| read(&[record]).remove(0);
    let expected = "\u{1f468}\u{200d}\u{1f469}/O é/O Ann/B-PER ./O";
    assert_eq!(
        read_one(json!({"text": text, "label": [[6, 9, "PER"]]})),
        expected
    );
    let studio = |start: usize, surface: &str| json!({"data": {"text": text}, "annotations": [{"result": [{"value": {"start": start, "end": start + 3, "text": surface, "labels": ["PER"]}}]}]});
    assert_eq!(read_one(studio(6, "Ann")), expected);
    assert_eq!(read_one(studio(8, "Ann")), expected);
    // What one text tells holds for the file: by characters this reads the first of the two.
    let twice = json!({"text": "\u{1f600}\u{1f600}\u{1f600}\u{1f600}Ann Ann", "spans": [{"start": 12, "end": 15, "text": "Ann", "label": "PER"}]});
    assert_eq!(
        read(&[studio(8, "Ann"), twice])[1],
        "\u{1f600}\u{1f600}\u{1f600}\u{1f600}/O Ann/O Ann/B-PER"
    );
    let message = error(studio(7, "Ann"));
    assert!(
        message.contains("the span from 7 to 10 (PER) does not read \"Ann\""),
        "{message}"
    );
    let message = error(json!({"text": text, "label": [[1, 9, "PER"]]}));
    assert!(
        message.contains("from 1 to 9 (PER) cuts a character from its marks"),
        "{message}"
    );
}

#[test]
fn words_are_cut_where_a_span_ends_at_a_sign_and_not_between_letters() {
    let cut = json!({"text": "a New York-based firm", "label": [[2, 10, "LOC"]]});
    assert_eq!(read(&[cut]), ["a/O New/B-LOC York/I-LOC -based/O firm/O"]);
    let spaceless = json!({"text": "我住在北京市。", "label": [[3, 5, "LOC"]]});
    assert_eq!(read(&[spaceless]), ["我住在/O 北京/B-LOC 市/O 。/O"]);
    let padded = json!({"text": "in Lima now", "label": [[2, 8, "LOC"]]});
    assert_eq!(read(&[padded]), ["in/O Lima/B-LOC now/O"]);
    let twice = json!({"text": "in Lima now", "label": [[3, 7, "LOC"], [3, 7, "LOC"]]});
    assert_eq!(read(&[twice]), ["in/O Lima/B-LOC now/O"]);
    let touching = json!({"text": "Ann/Bob", "label": [[0, 3, "PER"], [4, 7, "PER"]]});
    assert_eq!(read(&[touching]), ["Ann/B-PER //O Bob/B-PER"]);
}

#[test]
fn spans_that_no_word_can_hold_are_told_with_both_offsets() {
    for (label, part) in [
        (
            json!([[0, 3, "PER"]]),
            "the span from 0 to 3 (PER) begins or ends inside the word \"Tomas\"",
        ),
        (
            json!([[0, 5, "PER"], [3, 15, "X"]]),
            "the span from 3 to 15 (X) overlaps that from 0 to 5 (PER)",
        ),
        (
            json!([[0, 5, "PER"], [0, 5, "LOC"]]),
            "the span from 0 to 5 (LOC) overlaps that from 0 to 5 (PER)",
        ),
        (
            json!([[36, 99, "LOC"]]),
            "the span from 36 to 99 (LOC) is past the text's end at 41",
        ),
        (
            json!([[5, 5, "LOC"]]),
            "the span from 5 to 5 (LOC) is empty",
        ),
        (
            json!([[9, 5, "LOC"]]),
            "the span from 9 to 5 (LOC) is empty",
        ),
        (json!([[5, 6, "LOC"]]), "nothing but white space"),
        (
            json!([[-1, 6, "LOC"]]),
            "expected a span as [start, end, type]",
        ),
        (json!([[0, 5, ""]]), "expected a span as [start, end, type]"),
        (json!([[0, 5]]), "expected a span as [start, end, type]"),
        (json!("PER"), "expected a text and its spans"),
    ] {
        let message = error(json!({"text": TEXT, "label": label}));
        assert!(
            message.contains("train.jsonl:2: ") && message.contains(part),
            "{message}"
        );
    }
    let result =
        |label: &str| json!({"result": [{"value": {"start": 0, "end": 5, "labels": [label]}}]});
    let message = error(json!({"data": {"text": TEXT}, "annotations": [result("A"), result("B")]}));
    assert!(
        message.contains("2 annotations of one text that differ"),
        "{message}"
    );
    let message = load_file("train.json", "[\n {\"text\": \"Ann\",\n \"label\": []},\n\n {\"text\": \"Ann\", \"label\": [[0, 9, \"A\"]]}\n]\n").unwrap_err().to_string();
    assert!(
        message.contains("train.json:5: the span from 0 to 9"),
        "{message}"
    );
    let message = load_file("train.json", "[{\"text\": \"Ann\", \"label\": []}\n")
        .unwrap_err()
        .to_string();
    assert!(message.contains("never closed"), "{message}");
}

#[test]
fn texts_that_nobody_labelled_are_left_out_and_said() {
    let good = json!({"text": "Ann", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"});
    let bad = json!({"text": "Bob", "spans": [], "answer": "reject"});
    let data = load_file("train.jsonl", &lines(&[good, bad])).unwrap();
    assert_eq!(told(&data), ["Ann/B-PER"]);
    assert!(
        data.notes
            .iter()
            .any(|note| note.contains("1 texts that nobody has labelled")),
        "{:?}",
        data.notes
    );
    let studio = json!({"data": {"text": "Ann"}, "annotations": [{"result": [{"value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]});
    let none = json!({"data": {"text": "Bob"}, "annotations": []});
    let data = load_file("train.json", &json!([none, studio]).to_string()).unwrap();
    assert_eq!(told(&data), ["Ann/B-PER"]);
}

#[test]
fn other_objects_are_read_as_before() {
    let texts = json!({"text": "Ann came", "label": "news"});
    assert_eq!(
        load_file("train.jsonl", &lines(&[texts])).unwrap().task,
        Task::Sequence
    );
    // Spans beside other labels are not what is asked for, unless somebody does.
    let both = json!({"text": "Ann came", "label": "news", "entities": []});
    assert_eq!(
        load_file("train.jsonl", &lines(&[both])).unwrap().task,
        Task::Sequence
    );
    let tags = json!({"text": "Ann came", "tokens": ["Ann", "came"], "ner_tags": ["B-PER", "O"], "spans": []});
    assert_eq!(
        told(&load_file("train.jsonl", &lines(&[tags])).unwrap()),
        ["Ann/B-PER came/O"]
    );
    let words = json!({"tokens": ["Ann", "came"], "labels": ["B-PER", "O"]});
    assert_eq!(
        told(&load_file("train.jsonl", &lines(&[words])).unwrap()),
        ["Ann/B-PER came/O"]
    );
}

proptest! {
    /// Spans of whole words are found again, in whichever way they are counted.
    #[test]
    fn spans_of_words_are_found_again(
        words in prop::collection::vec(("[a-zé]{0,6}|[0-9]{1,3}", "|\u{1f600} |\u{1f468}\u{200d}\u{1f469} ", 0..3_usize), 1..10),
        units in any::<bool>(),
    ) {
        let count = |text: &str| if units { text.encode_utf16().count() } else { text.chars().count() };
        let (mut text, mut spans, mut expected) = (String::new(), Vec::new(), Vec::new());
        for ((word, before, mark), letter) in words.iter().zip('A'..) {
            // No two words are equal, so that one way to count fits.
            let word = format!("{word}{letter}");
            text += before;
            expected.extend(before.split_whitespace().map(|sign| format!("{sign}/O")));
            let (start, label) = (count(&text), ["", "X", "Y"][*mark]);
            text.extend([word.as_str(), " "]);
            if *mark > 0 {
                spans.push(json!({"start": start, "end": start + count(&word), "text": word, "label": label}));
            }
            expected.push(if *mark > 0 { format!("{word}/B-{label}") } else { format!("{word}/O") });
        }
        let record = json!({"text": text, "spans": spans});
        let data = load_file("train.jsonl", &lines(&[record])).unwrap();
        prop_assert_eq!(told(&data).remove(0), expected.join(" "));
    }

    #[test]
    fn any_spans_are_read_or_refused(text in "\\PC{0,20}", start in 0..25_usize, end in 0..25_usize) {
        let first = json!({"text": "Ann", "label": [[0, 3, "PER"]]});
        let record = json!({"text": text, "label": [[start, end, "X"]]});
        if let Ok(data) = load_file("train.jsonl", &lines(&[first, record])) {
            let read = told(&data).remove(1);
            prop_assert!(read.contains("/B-X"), "{}", read);
        }
    }
}
