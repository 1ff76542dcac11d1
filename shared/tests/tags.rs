//! The same spans, in whatever way they are written as tags, are the same data; what cannot be told is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(
    clippy::print_stderr,
    reason = "a test says that it has nothing to read"
)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use shared::datasets::{Column, Dataset, DatasetError, Source, SplitName};
use shared::exit::HasExitStatus as _;
use shared::tasks::Task;
use shared::tasks::schemes::Scheme;

fn load_with(
    name: &str,
    text: &str,
    options: impl FnOnce(&mut Source),
) -> Result<Dataset, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs_err::write(&path, text).unwrap();
    let mut source = Source::new(&path);
    options(&mut source);
    source.load()
}

fn load(name: &str, text: &str) -> Dataset {
    load_with(name, text, |_| ()).unwrap()
}

fn with_task(name: &str, text: &str, task: Task) -> Result<Dataset, DatasetError> {
    load_with(name, text, |source| source.task = Some(task))
}

fn error(name: &str, text: &str) -> String {
    let error = with_task(name, text, Task::Ner).unwrap_err();
    assert_eq!(error.exit_status(), shared::exit::ExitStatus::User);
    error.to_string()
}

/// All labels of all splits, a sentence a line.
fn labels(data: &Dataset) -> Vec<String> {
    let mut all = Vec::new();
    for split in &data.splits {
        for sentence in split.sentences.iter() {
            all.push(format!(
                "{}: {}",
                sentence.words.join(" "),
                sentence.labels.join(" ")
            ));
        }
    }
    all
}

/// Words `a0`, `a1` ... with tags; sentences are parted by `|`.
fn columns(tags: &str) -> String {
    let mut text = String::new();
    for (index, tag) in tags.split_whitespace().enumerate() {
        match tag {
            "|" => text.push('\n'),
            _ => text.extend(["a", &index.to_string(), " ", tag, "\n"]),
        }
    }
    text
}

/// The tags of the only sentence after reading.
fn read(tags: &str) -> String {
    let data = with_task("train.conll", &columns(tags), Task::Ner).unwrap();
    let sentence = data
        .split(SplitName::Train)
        .unwrap()
        .sentences
        .get(0)
        .unwrap();
    sentence.labels.join(" ")
}

fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)?
        .join("shared/cases");
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let found = [folder, local]
        .into_iter()
        .find(|folder| folder.join("span-schemes").is_dir());
    if found.is_none() {
        eprintln!("the cases beside the repository are not here: their test has nothing to read");
    }
    found
}

#[test]
fn the_cases_are_read_as_the_same_data() {
    let Some(cases) = cases() else {
        return;
    };
    let read = |folder: &str, options: &dyn Fn(&mut Source)| {
        let mut source = Source::new(cases.join(folder));
        options(&mut source);
        source.load().unwrap()
    };
    let nothing = |_: &mut Source| ();
    let expected = read("span-schemes/iob2", &nothing);
    assert_eq!(expected.task, Task::Ner);
    let misc = |source: &mut Source| source.label_column = Some(Column::Index(9));
    let ner = |source: &mut Source| source.task = Some(Task::Ner);
    for data in [
        read("span-schemes/bmes", &nothing),
        read("span-schemes/suffix", &nothing),
        read("span-schemes/zero", &nothing),
        read("columns/misc", &misc),
        read("columns/misc", &ner),
        read("columns/textlabels", &nothing),
        read("columns/textlabels", &ner),
    ] {
        assert_eq!(data.task, Task::Ner);
        assert_eq!(data.classes, expected.classes);
        assert_eq!(labels(&data), labels(&expected));
        assert_eq!(data.digest(), expected.digest());
    }
    let upos = read("columns/misc", &nothing);
    assert_eq!(upos.task, Task::Pos);
}

#[test]
fn ways_to_write_the_same_spans() {
    for tags in [
        "B-PER I-PER I-PER O B-LOC B-LOC",
        "I-PER I-PER I-PER O I-LOC B-LOC",
        "B-PER M-PER E-PER O S-LOC S-LOC",
        "B-PER M-PER E-PER O W-LOC W-LOC",
        "B-PER I-PER L-PER O U-LOC U-LOC",
        "B-PER I-PER E-PER 0 S-LOC S-LOC",
        "b-PER i-PER i-PER o b-LOC b-LOC",
        "PER-B PER-I PER-I O LOC-B LOC-B",
        "PER_B PER_M PER_E _ LOC_S LOC_S",
        "B:PER I:PER I:PER * B:LOC B:LOC",
        "BPER IPER IPER - BLOC BLOC",
        "PERB PERI PERI O LOCB LOCB",
        "(PER* * *) * (LOC*) (LOC)",
    ] {
        assert_eq!(read(tags), "B-PER I-PER I-PER O B-LOC B-LOC", "{tags}");
        let guessed = load("train.conll", &columns(tags));
        assert_eq!(guessed.task, Task::Ner, "{tags}");
    }
    assert_eq!(read("B-a-b-c I-a-b-c O"), "B-a-b-c I-a-b-c O");
    assert_eq!(read("a-b-B a-b-I O"), "B-a-b I-a-b O");
    assert_eq!(read("B I O B B"), "B I O B B");
    assert_eq!(read("B M E S B E"), "B I I B B I");
    assert_eq!(read("O O PER PER LOC"), "O O B-PER I-PER B-LOC");
    // An empty cell, where the other tags have letters.
    let empty = with_task("train.conll", "a\tB-PER\nb\t\nc\tB-PER\n", Task::Ner).unwrap();
    assert_eq!(labels(&empty), ["a b c: B-PER O B-PER"]);
    let json = "{\"tokens\":[\"a\",\"b\"],\"tags\":[\"B-PER\",\"\"]}\n";
    assert_eq!(labels(&load("train.jsonl", json)), ["a b: B-PER O"]);
    let phrases = load("train.conll", &columns("NP-B NP-I O VP-B"));
    assert_eq!((phrases.task, phrases.classes.len()), (Task::Chunk, 4));
}

#[test]
fn what_was_recognised_is_said_and_can_be_overruled() {
    let bmes = load("train.conll", &columns("B-PER E-PER O S-LOC O B-X M-X E-X"));
    assert_eq!(bmes.scheme, Some(Scheme::Bmes));
    let scheme = |note: &&String| note.contains("--scheme");
    let note = bmes.notes.iter().find(scheme).unwrap();
    assert!(
        note.contains("BMES (letters BMES as in `B-TYPE`, `O` outside)"),
        "{note}"
    );
    let plain = load("train.conll", &columns("B-PER I-PER O"));
    assert!(
        !plain
            .notes
            .iter()
            .any(|note| note.contains("tags are read")),
        "{:?}",
        plain.notes
    );

    let cells = columns("O O O B-cell T-cell O");
    assert!(error("train.conll", &cells).contains("`T-cell`"));
    let io = load_with("train.conll", &cells, |source| {
        (source.task, source.scheme) = (Some(Task::Ner), Some(Scheme::Io));
    })
    .unwrap();
    assert_eq!(
        labels(&io)[0].rsplit_once(": ").unwrap().1,
        "O O O B-B-cell B-T-cell O"
    );
    let other = load_with("train.conll", &columns("B-PER E-PER O"), |source| {
        source.scheme = Some(Scheme::Iob2);
    });
    let message = other.unwrap_err().to_string();
    assert!(message.contains("IOB2 has no tag `E-PER`"), "{message}");
}

#[test]
fn tags_that_are_no_spans_are_refused() {
    for (tags, part) in [
        (
            "B-PER I-PER O X-PER O O",
            "the tag `X-PER` is not written like the others",
        ),
        (
            "B-PER I-PER O MISC O O",
            "the tag `MISC` is not written like the others",
        ),
        ("B-PER I-PER O PER-B O O", "is not written like the others"),
        ("B-PER I-PER O B O O", "is not written like the others"),
        (
            "B-PER I-PER M-PER O O O",
            "of different schemes, both mark the words inside",
        ),
        ("B-PER E-PER B-PER L-PER O O", "both mark the last word"),
        ("H-PER T-PER O O O", "no known scheme"),
        ("B-PER I-PER O _ O", "both `O` and `_`"),
        (
            "S-PER I-PER E-PER O S-LOC E-LOC O",
            "here `I-PER` after `S-PER`",
        ),
        ("NOUN VERB DET", "parts of speech"),
        ("NOUN VERB X _ _ _ _", "parts of speech"),
        ("PER LOC ORG", "none says that a word is in no span"),
        ("PER PER PER LOC ORG O", "not the most frequent"),
        ("(PER* * * O", "never closed"),
        ("(A* (B*) *) *", "inside another"),
        ("(A* *)) *", "several"),
        ("* (A*) *)", "none opened"),
    ] {
        let message = error("train.conll", &columns(tags));
        assert!(message.contains(part), "{tags}: {message}");
        assert!(message.contains("train.conll:1: "), "{tags}: {message}");
    }
    let upos = "1\tA\ta\tDET\t_\t_\t0\tdep\t_\t_\n2\tb\tb\tNOUN\t_\t_\t0\tdep\t_\t_\n";
    assert!(error("train.conllu", upos).contains("parts of speech"));
    let both = with_task("train.conll", "a\tB-PER\nb\t\nc\tO\n", Task::Ner).unwrap_err();
    assert!(
        both.to_string().contains("train.conll:2: the label"),
        "{both}"
    );
}

#[test]
fn attributes_of_misc_hold_labels() {
    let row = |id: usize, misc: &str| format!("{id}\tw{id}\t_\tNOUN\t_\t_\t0\tdep\t_\t{misc}\n");
    let text = row(1, "SpaceAfter=No|NER=B-PER") + &row(2, "NER=I-PER") + &row(3, "_");
    let ner = with_task("train.conllu", &text, Task::Ner).unwrap();
    assert_eq!(labels(&ner), ["w1 w2 w3: B-PER I-PER O"]);
    let by_name = |source: &mut Source| source.label_column = Some(Column::Name("ner".to_owned()));
    assert_eq!(
        labels(&load_with("train.conllu", &text, by_name).unwrap()),
        labels(&ner)
    );
    let other = |source: &mut Source| source.label_column = Some(Column::Name("mwe".to_owned()));
    let message = load_with("train.conllu", &text, other)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("attributes in misc: NER, SpaceAfter"),
        "{message}"
    );
    assert_eq!(load("train.conllu", &text).task, Task::Pos);
}

#[test]
fn underscore_in_conllu_is_no_part_of_speech() {
    let row = |id: usize, upos: &str| format!("{id}\tw{id}\t_\t{upos}\t_\t_\t0\tdep\t_\t_\n");
    let data = load(
        "train.conllu",
        &(row(1, "NOUN") + &row(2, "_") + &row(3, "VERB")),
    );
    assert_eq!(
        (data.task, data.classes.join(" ")),
        (Task::Pos, "NOUN VERB".to_owned())
    );
    assert_eq!(labels(&data), ["w1 w2 w3: NOUN  VERB"]);
    let none = load_with("train.conllu", &(row(1, "_") + &row(2, "_")), |_| ()).unwrap_err();
    assert!(none.to_string().contains("without a label"), "{none}");
}

#[test]
fn a_split_of_one_class_is_warned_of() {
    let data = load("train.conll", &columns("O O O"));
    assert!(
        data.warnings[0]
            .contains("every label of train is `O` (no span): a head can learn nothing"),
        "{:?}",
        data.warnings
    );
    let data = load("train.conll", &columns("B-X O O"));
    assert_eq!(data.warnings, [""; 0]);
    let data = load("train.conll", &columns("B-X B-Y I-Y"));
    assert!(
        data.warnings[0].contains("no word is outside"),
        "{:?}",
        data.warnings
    );
}

#[test]
fn lists_in_cells_are_labels_of_words() {
    let expected = ["a b: O B-PER", "c d e: B-PER I-PER O"];
    for (name, text) in [
        (
            "train.csv",
            "text,labels\na b,\"['O', 'B-PER']\"\nc d e,\"['B-PER', 'I-PER', 'O']\"\n",
        ),
        (
            "train.csv",
            "text,labels\na b,\"[\"\"O\"\",\"\"B-PER\"\"]\"\nc d e,\"[\"\"B-PER\"\",\"\"I-PER\"\",\"\"O\"\"]\"\n",
        ),
        (
            "train.csv",
            "text,labels\na b,O B-PER\nc d e,B-PER I-PER O\n",
        ),
        (
            "train.csv",
            "tokens,ner_tags\n\"['a', 'b']\",\"['O' 'B-PER']\"\n\"['c', 'd', 'e']\",\"['B-PER' 'I-PER' 'O']\"\n",
        ),
        (
            "train.tsv",
            "text\tlabels\na b\t['O', 'B-PER']\nc d e\t['B-PER', 'I-PER', 'O']\n",
        ),
        (
            "train.jsonl",
            "{\"text\":\"a b\",\"labels\":\"['O', 'B-PER']\"}\n{\"text\":\"c d e\",\"labels\":\"['B-PER', 'I-PER', 'O']\"}\n",
        ),
        (
            "train.jsonl",
            "{\"text\":\"a b\",\"labels\":[\"O\",\"B-PER\"]}\n{\"text\":\"c d e\",\"labels\":[\"B-PER\",\"I-PER\",\"O\"]}\n",
        ),
        (
            "train.jsonl",
            "{\"tokens\":[\"a\",\"b\"],\"ner_tags\":\"O B-PER\"}\n{\"tokens\":[\"c\",\"d\",\"e\"],\"ner_tags\":\"['B-PER','I-PER','O']\"}\n",
        ),
    ] {
        for task in [None, Some(Task::Ner)] {
            let data = load_with(name, text, |source| source.task = task).unwrap();
            assert_eq!(data.task, Task::Ner, "{text}");
            let mut read = labels(&data);
            read.sort();
            assert_eq!(read, expected, "{text}");
        }
    }
    let short = "text,labels\na b,\"['O', 'O']\"\nc d e,\"['O', 'B-X']\"\n";
    let message = load_with("train.csv", short, |_| ())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("train.csv:3: 3 words but 2 labels"),
        "{message}"
    );
    let texts = load("train.csv", "text,label\na b,travel\nc d e,weather\n");
    assert_eq!(texts.task, Task::Sequence);
    let topics = "text,labels\na b c,\"['x', 'y']\"\nc d e,\"['x']\"\n";
    let topics = load_with("train.csv", topics, |_| ()).unwrap();
    assert_eq!(topics.task, Task::Multilabel);
}

/// A sentence as runs of words: a type and a length, or none for words outside.
type Runs = Vec<(Option<&'static str>, usize)>;

fn runs() -> impl Strategy<Value = Runs> {
    let kind = prop_oneof![
        3 => Just(None),
        1 => Just(Some("PER")),
        1 => Just(Some("LOC")),
        1 => Just(Some("event-award")),
    ];
    // Spans of every length and a word outside, so that every letter is there.
    prop::collection::vec((kind, 1..4usize), 0..12).prop_map(|mut runs| {
        let all = [
            (Some("PER"), 3),
            (Some("PER"), 1),
            (None, 1),
            (Some("LOC"), 3),
            (Some("event-award"), 3),
            (None, 9),
        ];
        runs.extend(all);
        runs
    })
}

/// How spans are written.
#[derive(Debug, Clone)]
struct Way {
    /// Letters for begin, inside, end and single word.
    letters: &'static str,
    behind: bool,
    separator: &'static str,
    lower: bool,
    outside: &'static str,
}

fn way() -> impl Strategy<Value = Way> {
    let letters = prop::sample::select(vec![
        "BIIB", "BIES", "BILU", "BMES", "BMEW", "BIEW", "BIEU", "BMLU",
    ]);
    let separator = prop::sample::select(vec!["-", "_", ":", "/", ""]);
    let outside = prop::sample::select(vec!["O", "o", "0", "_", "*", "-"]);
    (letters, any::<bool>(), separator, any::<bool>(), outside).prop_map(
        |(letters, behind, separator, lower, outside)| Way {
            letters,
            behind,
            separator,
            // Without a separator a small letter is part of the type.
            lower: lower && !separator.is_empty(),
            outside,
        },
    )
}

fn write(runs: &Runs, way: &Way) -> String {
    let letters: Vec<char> = way.letters.chars().collect();
    let mut tags = Vec::new();
    for &(kind, length) in runs {
        for index in 0..length {
            let (first, last) = (index == 0, index + 1 == length);
            let Some(kind) = kind else {
                tags.push(way.outside.to_owned());
                continue;
            };
            let letter = letters[if first && last {
                3
            } else if first {
                0
            } else if last {
                2
            } else {
                1
            }];
            let letter = if way.lower {
                letter.to_ascii_lowercase()
            } else {
                letter
            };
            let separator = way.separator;
            tags.push(if way.behind {
                format!("{kind}{separator}{letter}")
            } else {
                format!("{letter}{separator}{kind}")
            });
        }
    }
    tags.join(" ")
}

fn brackets(runs: &Runs) -> String {
    let mut tags = Vec::new();
    for &(kind, length) in runs {
        for index in 0..length {
            let open = kind.filter(|_| index == 0).map(|kind| format!("({kind}"));
            let close = if kind.is_some() && index + 1 == length {
                ")"
            } else {
                ""
            };
            tags.push(format!("{}*{close}", open.unwrap_or_default()));
        }
    }
    tags.join(" ")
}

const IOB2: Way = Way {
    letters: "BIIB",
    behind: false,
    separator: "-",
    lower: false,
    outside: "O",
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_same_spans_are_read_from_every_way_of_writing(runs in runs(), way in way()) {
        let expected = write(&runs, &IOB2);
        prop_assert_eq!(read(&write(&runs, &way)), expected.clone());
        prop_assert_eq!(load("train.conll", &columns(&write(&runs, &way))).task, Task::Ner);
        prop_assert_eq!(read(&brackets(&runs)), expected);
    }

    #[test]
    fn tags_in_iob2_stay_as_they_are(runs in runs()) {
        let text = columns(&write(&runs, &IOB2));
        let data = load("train.conll", &text);
        prop_assert_eq!(data.scheme, Some(Scheme::Iob2));
        let sentence = data.split(SplitName::Train).unwrap().sentences.get(0).unwrap();
        prop_assert_eq!(sentence.labels.join(" "), write(&runs, &IOB2));
    }

    #[test]
    fn any_tags_are_read_or_refused(tags in prop::collection::vec("[BIOESLUMWbio0_*()-]{1,3}|[BI][-_:]?[A-Z]{1,3}", 1..9)) {
        if let Ok(data) = with_task("train.conll", &columns(&tags.join(" ")), Task::Ner) {
            for split in &data.splits {
                for sentence in split.sentences.iter() {
                    let allowed = |tag: &String| tag == "O" || tag.starts_with(['B', 'I']);
                    prop_assert!(sentence.labels.iter().all(allowed), "{:?}", sentence.labels);
                }
            }
        }
    }
}
