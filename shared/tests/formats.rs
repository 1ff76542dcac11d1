//! Every format is read as its authors mean it, and what cannot be right is told with file, line and remedy.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use proptest::prelude::*;
use shared::datasets::{Column, Dataset, DatasetError, Format, Source, SplitName};
use shared::exit::HasExitStatus as _;
use shared::tasks::Task;
use shared::tasks::schemes::Scheme;

/// Writes files into a fresh folder and reads it with some options.
fn load_with(
    files: &[(&str, &str)],
    options: impl FnOnce(&mut Source),
) -> Result<Dataset, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(folder.path().join(name), text).unwrap();
    }
    let mut source = Source::new(folder.path());
    options(&mut source);
    source.load()
}

fn load(files: &[(&str, &str)]) -> Dataset {
    load_with(files, |_| ()).unwrap()
}

/// The message of the error, without the temporary folder.
fn error(name: &str, text: &str) -> String {
    error_with(name, text, |_| ())
}

fn error_with(name: &str, text: &str, options: impl FnOnce(&mut Source)) -> String {
    let error = load_with(&[(name, text)], options).unwrap_err();
    assert_eq!(error.exit_status(), shared::exit::ExitStatus::User);
    let message = error.to_string();
    message
        .get(message.find(name).unwrap_or(0)..)
        .unwrap()
        .to_owned()
}

/// Sentences as `word/label word/label`, with their lines.
fn told(data: &Dataset, split: SplitName) -> Vec<(usize, String)> {
    let sentences = &data.split(split).unwrap().sentences;
    let tell = |index| {
        let pairs = sentences
            .words(index)
            .zip(sentences.labels(index))
            .map(|(word, label)| format!("{word}/{label}"));
        (sentences.line(index), pairs.collect::<Vec<_>>().join(" "))
    };
    (0..sentences.len()).map(tell).collect()
}

fn owned(sentences: &[(usize, &str)]) -> Vec<(usize, String)> {
    sentences
        .iter()
        .map(|(line, text)| (*line, (*text).to_owned()))
        .collect()
}

#[test]
fn conll_2003_files_in_iob1() {
    let text = "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\nSouth NNP I-NP I-LOC\nAfrica NNP B-NP B-LOC\n";
    let data = load(&[("train.txt", text), ("testa.txt", text)]);
    assert_eq!((data.task, data.scheme), (Task::Ner, Some(Scheme::Iob1)));
    let expected = [(3, "EU/B-ORG rejects/O"), (6, "South/B-LOC Africa/B-LOC")];
    assert_eq!(told(&data, SplitName::Train), owned(&expected));
    assert_eq!(data.classes, ["B-LOC", "B-ORG", "O"]);
    assert!(
        data.notes[0].contains("words are read from column 0 and labels from column 3 of 4"),
        "{:?}",
        data.notes
    );
    assert_eq!(
        data.notes[1..],
        [
            "there is no test split",
            "the labels are taken for those of task `ner` (--task for another)"
        ]
    );

    let pos = load_with(&[("train.txt", text)], |source| {
        source.task = Some(Task::Pos);
    })
    .unwrap();
    assert_eq!(pos.classes, ["NNP", "VBZ"]);
    let chunk = load_with(&[("train.txt", text)], |source| {
        source.task = Some(Task::Chunk);
    })
    .unwrap();
    assert_eq!(chunk.classes, ["B-NP", "B-VP"]);
    assert!(!chunk.notes.iter().any(|note| note.contains("--task")));
    let column = load_with(&[("train.txt", text)], |source| {
        source.label_column = Some(Column::Index(2));
    })
    .unwrap();
    assert_eq!(column.task, Task::Chunk);
}

#[test]
fn separators_comments_marks_and_carriage_returns() {
    let text = "\u{feff}# a comment\r\nNew York\tB-LOC\r\n#photo\tO\r\n\t\r\n \t \r\n# text = x\r\n#\tO\r\n";
    let data = load(&[
        ("train.conll", text),
        ("dev.conll", "a\tO\n"),
        ("test.conll", "\n\nb\tO"),
    ]);
    assert_eq!(
        told(&data, SplitName::Train),
        owned(&[(2, "New York/B-LOC #photo/O"), (7, "#/O")])
    );
    assert_eq!(told(&data, SplitName::Test), owned(&[(3, "b/O")]));
    assert_eq!(
        data.notes,
        ["the labels are taken for those of task `ner` (--task for another)"]
    );
}

#[test]
fn a_comment_with_as_many_words_as_columns_is_told_by_its_label() {
    let text = "# comment\n# O\na O\n#b B-PER\n\n# another\nc O\n";
    let data = load(&[("train.bio", text)]);
    let train = data.split(SplitName::Train).unwrap();
    let validation = data.split(SplitName::Validation).unwrap();
    assert_eq!(
        train.sentences.word_count() + validation.sentences.word_count(),
        4
    );
    // Parts of speech: the sign has itself for a tag.
    let data = load_with(&[("train.bio", "# # \n1 CD\n# note\n")], |source| {
        source.task = Some(Task::Pos);
    })
    .unwrap();
    assert_eq!(told(&data, SplitName::Train), owned(&[(1, "#/# 1/CD")]));
}

#[test]
fn numbered_words_and_more_columns_in_one_split_than_in_the_other() {
    let train = "# id\n1\tAl\tB-ORG\n2\tx\tO\n\n1\ty\tO\n";
    let dev = "1\tin\tO\t-\t-\n2-3\tdel\tO\t-\t-\n2\tTampa\tB-LOC\t-\tstephen\n3\tBay\tI-LOC\t-\tstephen\n";
    let data = load(&[("train.iob2", train), ("dev.iob2", dev)]);
    assert_eq!(
        told(&data, SplitName::Train),
        owned(&[(2, "Al/B-ORG x/O"), (5, "y/O")])
    );
    assert_eq!(
        told(&data, SplitName::Validation),
        owned(&[(1, "in/O Tampa/B-LOC Bay/I-LOC")])
    );
    assert!(
        data.notes[0].contains("words are read from column 1 and labels from column 2"),
        "{:?}",
        data.notes
    );
}

#[test]
fn an_empty_word_keeps_its_place() {
    let data = load(&[("train.conll", "a\tO\n\tB-X\n \tI-X\n")]);
    assert_eq!(
        told(&data, SplitName::Train),
        owned(&[(1, "a/O \u{fffd}/B-X \u{fffd}/I-X")])
    );
    assert!(
        data.notes[0].ends_with("train.conll: 2 empty words are read as U+FFFD"),
        "{:?}",
        data.notes
    );
}

#[test]
fn spans_written_in_other_ways() {
    let scheme = |text: &str| {
        let data = load(&[("train.conll", text), ("dev.conll", text)]);
        (
            data.scheme.unwrap(),
            told(&data, SplitName::Train)[0].1.clone(),
        )
    };
    let told = |text: &str| text.to_owned();
    assert_eq!(
        scheme("a PERSON\nb PERSON\nc O\nd O\ne O\n"),
        (Scheme::Io, told("a/B-PERSON b/I-PERSON c/O d/O e/O"))
    );
    assert_eq!(
        scheme("a B-X\nb L-X\nc U-Y\n"),
        (Scheme::Bilou, told("a/B-X b/I-X c/B-Y"))
    );
    assert_eq!(
        scheme("a B-X\nb E-X\nc S-Y\n"),
        (Scheme::Iobes, told("a/B-X b/I-X c/B-Y"))
    );
    // One slip among proper tags is mended and told.
    let slip = "a B-X\nb O\nc I-X\nd O\ne B-Y\n";
    let data = load(&[("train.conll", slip), ("dev.conll", slip)]);
    assert_eq!(data.scheme, Some(Scheme::Iob2));
    assert!(
        data.notes[1].starts_with("2 tags that IOB2 does not allow"),
        "{:?}",
        data.notes
    );
}

#[test]
fn columns_by_name() {
    let text = "word\tlemma\tentity\nParis\tparis\tB-LOC\nsleeps\tsleep\tO\n";
    let by_name = |source: &mut Source| source.label_column = Some("entity".parse().unwrap());
    let data = load_with(&[("train.tsv", text)], by_name).unwrap();
    assert_eq!(
        told(&data, SplitName::Train),
        owned(&[(2, "Paris/B-LOC sleeps/O")])
    );
    // A header with usual names is found without being told.
    let data = load(&[("train.tsv", "token\ttag\na\tO\nb\tB-X\n")]);
    assert_eq!(told(&data, SplitName::Train), owned(&[(2, "a/O b/B-X")]));
    // CoNLL-U Plus.
    let plus = "# global.columns = ID FORM NE MISC\n1\tParis\tB-LOC\t_\n2\tis\tO\t_\n";
    let data = load_with(&[("train.conllup.conll", plus)], |source| {
        source.path.push("train.conllup.conll");
        source.label_column = Some("ne".parse().unwrap());
    });
    assert_eq!(
        told(&data.unwrap(), SplitName::Train),
        owned(&[(2, "Paris/B-LOC is/O")])
    );
}

#[test]
fn conllu_skips_contractions_and_unspoken_words() {
    let text = "# sent_id = 1\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n\
                2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_\n\n";
    let data = load(&[("train.conllu", text)]);
    assert_eq!((data.task, data.scheme), (Task::Pos, None));
    assert_eq!(
        told(&data, SplitName::Train),
        owned(&[(3, "do/AUX n't/PART")])
    );
    for (name, label) in [("xpos", "VBP"), ("DEPREL", "root")] {
        let data = load_with(&[("train.conllu", text)], |source| {
            source.label_column = Some(name.parse().unwrap());
        });
        assert!(
            told(&data.unwrap(), SplitName::Train)[0]
                .1
                .starts_with(&format!("do/{label}"))
        );
    }
    // The same text under another ending.
    assert_eq!(load(&[("train.conll", text)]).classes, ["AUX", "PART"]);
}

#[test]
fn json_lines() {
    let words = "{\"id\":1,\"tokens\":[\"New York\",\"is\"],\"ner_tags\":[\"B-LOC\",\"O\"],\"pos_tags\":[\"NNP\",\"VBZ\"]}\n\n{\"tokens\":[\"x\"],\"ner_tags\":[\"O\"]}\n";
    let data = load(&[("train.jsonl", words)]);
    assert_eq!(data.task, Task::Ner);
    let all: usize = data.splits.iter().map(|split| split.sentences.len()).sum();
    assert_eq!(all, 2);
    let first = words.lines().next().unwrap();
    let pos = load_with(&[("train.jsonl", first)], |source| {
        source.task = Some(Task::Pos);
    })
    .unwrap();
    assert_eq!(
        told(&pos, SplitName::Train),
        owned(&[(1, "New York/NNP is/VBZ")])
    );
    let texts = load(&[("train.json", "{\"text\":\" so  good \",\"label\":3}\n")]);
    assert_eq!(
        (texts.task, texts.classes),
        (Task::Sequence, vec!["3".to_owned()])
    );
    assert_eq!(
        texts.splits[0].sentences.words(0).collect::<Vec<_>>(),
        ["so", "good"]
    );
    let numbers = load(&[("train.jsonl", "{\"tokens\":[\"x\"],\"tags\":[3]}")]);
    assert!(
        numbers
            .notes
            .iter()
            .any(|note| note.contains("numbers without names")),
        "{:?}",
        numbers.notes
    );
}

#[test]
fn tables_of_texts() {
    let csv = "id,text,category\n1,\"a \"\"b\"\",\nc\",x\r\n\n2,d,y\n";
    let data = load(&[("train.csv", csv), ("val.csv", csv), ("test.csv", csv)]);
    let test = &data.split(SplitName::Test).unwrap().sentences;
    assert_eq!(data.task, Task::Sequence);
    assert_eq!(test.words(0).collect::<Vec<_>>(), ["a", "\"b\",", "c"]);
    assert_eq!(test.labels(0).collect::<Vec<_>>(), ["x"]);
    assert_eq!((test.line(0), test.line(1)), (2, 5));
    let tsv = load(&[("train.tsv", "sentence\tlabel\nit's \"so\tgood\n")]);
    assert_eq!(
        tsv.splits[0].sentences.words(0).collect::<Vec<_>>(),
        ["it's", "\"so"]
    );
}

#[test]
fn a_digest_tells_data_from_data_and_not_file_from_file() {
    let digest = |name: &str, text: &str| load(&[(name, text)]).digest();
    let iob2 = digest("train.conll", "New B-LOC\nYork I-LOC\n");
    assert_eq!(
        iob2,
        digest("train.iob", "# note\nNew\tB-LOC\r\nYork\tI-LOC\r\n")
    );
    assert_eq!(
        iob2,
        digest(
            "train.jsonl",
            "{\"tokens\":[\"New\",\"York\"],\"tags\":[\"B-LOC\",\"E-LOC\"]}"
        )
    );
    assert_ne!(iob2, digest("train.conll", "NewY B-LOC\nork I-LOC\n"));
    assert_ne!(iob2, digest("train.conll", "New B-LOC\n\nYork I-LOC\n"));
    assert_ne!(iob2, digest("test.conll", "New B-LOC\nYork I-LOC\n"));
}

#[test]
fn broken_column_files() {
    let message = error("train.conll", "a O\nb O\n\nc\n");
    assert!(
        message.starts_with("train.conll:4: expected 2 columns separated by spaces"),
        "{message}"
    );
    let message = error("train.conll", "a\tO\nb\t\n");
    assert!(
        message.starts_with("train.conll:2: the label in column 1 is empty"),
        "{message}"
    );
    let message = error("train.conll", "word\nother\n");
    assert!(
        message.starts_with("train.conll:1: expected 2 columns"),
        "{message}"
    );
    assert!(error("train.conll", "").contains("the file is empty"));
    assert!(error("train.conll", "# only\n\n").contains("only comments"));
    let message = error_with("train.conll", "# c\na X O\n", |source| {
        source.label_column = Some(Column::Index(3));
    });
    assert!(
        message.starts_with(
            "train.conll:2: there is no column 3 for the label; columns here: 0 to 2;"
        ),
        "{message}"
    );
    let message = error_with("train.conll", "a X O\n", |source| {
        source.label_column = Some("ner".parse().unwrap());
    });
    assert!(
        message.contains("no column ner") && message.contains("without names"),
        "{message}"
    );
    let message = error("train.conllu", "1\ta\ta\tX\n");
    assert!(
        message.starts_with("train.conllu:1: expected 10 columns separated by tabs"),
        "{message}"
    );
}

#[test]
fn broken_objects_and_tables() {
    let message = error(
        "train.jsonl",
        "{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n{\"tokens\":[\"a\"],\"tags\":[]}\n",
    );
    assert!(
        message.starts_with("train.jsonl:2: 1 words but 0 labels"),
        "{message}"
    );
    let message = error(
        "train.jsonl",
        "{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n\n{\"tokens\":[\"a\"\n",
    );
    assert!(
        message.starts_with("train.jsonl:3: not a JSON object on one line"),
        "{message}"
    );
    let message = error("train.jsonl", "{\"a\":1}\n");
    assert!(
        message.starts_with("train.jsonl:1: expected tokens with tags"),
        "{message}"
    );
    let message = error("train.jsonl", "{\"text\":\"a\",\"label\":null}\n");
    assert!(message.contains("label (null)"), "{message}");
    let message = error("train.csv", "text,label\na,b\n \" \",b\n\"  \",c\n");
    assert!(
        message.starts_with("train.csv:4: the text has no word")
            || message.starts_with("train.csv:3"),
        "{message}"
    );
    let message = error("train.csv", "text,label\na,b\n\"c,d\ne,f\n");
    assert!(
        message.starts_with("train.csv:3: the quotation mark"),
        "{message}"
    );
    let message = error("train.csv", "a,b\nc,d\n");
    assert!(
        message.starts_with("train.csv:1: expected a header"),
        "{message}"
    );
    let message = error("train.csv", "text,label\n\"a\nb\",c,d\n");
    assert!(
        message.starts_with("train.csv:2: expected 2 columns separated by commas"),
        "{message}"
    );
}

#[test]
fn splits_and_tasks_that_do_not_fit() {
    let files = [("train.conll", "a O\n"), ("dev.conll", "a x O\n")];
    assert!(matches!(
        load_with(&files, |_| ()),
        Err(DatasetError::Disagree { .. })
    ));
    let wrong = load_with(&files[..1], |source| source.task = Some(Task::Sequence)).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("sequence needs one label a text"),
        "{wrong}"
    );
    let missing = Source::new("/nowhere/at/all").load().unwrap_err();
    assert!(
        missing.to_string().contains("no such file or folder"),
        "{missing}"
    );
}

#[test]
fn files_by_split_and_by_format() {
    let data = load_with(&[("a.data", "x O\n"), ("b.data", "y O\n")], |source| {
        source.format = Some(Format::Columns);
        source
            .files
            .insert(SplitName::Train, source.path.join("a.data"));
        source
            .files
            .insert(SplitName::Validation, source.path.join("b.data"));
    });
    assert_eq!(data.unwrap().splits.len(), 2);
}

/// Reads one file made of any bytes.
fn read_bytes(folder: &Path, name: &str, bytes: &[u8]) -> Result<Dataset, DatasetError> {
    let path = folder.join(name);
    fs_err::write(&path, bytes).unwrap();
    Source::new(path).load()
}

/// Bytes that look like data more often than chance has it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "\t",
        " ",
        "\n",
        "\r\n",
        "#",
        "1",
        "2-3",
        "a",
        "O",
        "B-X",
        "\"",
        ",",
        "{",
        "}",
        "[",
        "]",
        "\"tokens\":",
        "\"tags\":",
        "\"text\":",
        "\"label\":",
        "text,label\n",
        "-DOCSTART-",
        "\u{feff}",
        "ü",
        "\u{1f}\u{8b}",
        "_",
        "\u{a0}",
    ]);
    let text = prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![text, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in bytes()) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.conll", "x.conllu", "x.jsonl", "x.csv", "x.tsv"] {
            if let Ok(data) = read_bytes(folder.path(), name, &bytes) {
                for split in &data.splits {
                    for sentence in split.sentences.iter() {
                        prop_assert!(!sentence.words.is_empty());
                        prop_assert!(sentence.words.iter().chain(&sentence.labels).all(|text| !text.is_empty()));
                        let expected = if data.task.labels_words() { sentence.words.len() } else { 1 };
                        prop_assert_eq!(sentence.labels.len(), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_broken_line_is_told_with_its_number(sentences in prop::collection::vec((1..5usize, 1..4usize), 1..20), at in any::<prop::sample::Index>()) {
        let mut lines = vec!["a\tO".to_owned(), "b\tO".to_owned(), String::new()];
        for (words, blank) in sentences {
            lines.extend(std::iter::repeat_n("word\tB-X".to_owned(), words));
            lines.extend(std::iter::repeat_n(String::new(), blank));
        }
        let broken = at.index(lines.len());
        lines.insert(broken, "word\tB-X\tthree".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let error = read_bytes(folder.path(), "x.conll", lines.join("\n").as_bytes()).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("x.conll:{}: expected 2 columns", broken + 1)), "{}", error);
    }
}
