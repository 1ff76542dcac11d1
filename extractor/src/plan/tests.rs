//! Windows, labels and counts of small data sets under the toy tokenizers.

use std::path::PathBuf;

use cache::{LongPolicy, SplitTables};
use shared::datasets::{Dataset, Sentences, Split, SplitName};
use shared::tasks::Task;

use super::{Counts, Limits, PlanError, Tokens};
use crate::tokenizer::Tokenizer;

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::in_folder(
        &PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name),
    )
    .unwrap()
}

/// A data set of one split; a sentence is `word/LABEL word/LABEL`.
fn dataset(task: Task, sentences: &[&str], classes: &[&str]) -> Dataset {
    let mut all = Sentences::default();
    for (index, text) in sentences.iter().enumerate() {
        let pairs: Vec<(&str, &str)> = text
            .split(' ')
            .filter_map(|pair| pair.rsplit_once('/'))
            .collect();
        let (words, mut labels): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
        labels.truncate(if task == Task::Sequence {
            1
        } else {
            words.len()
        });
        all.push(&words, &labels, 10 * (index + 1));
    }
    Dataset {
        id: "toy".to_owned(),
        task,
        scheme: None,
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        splits: vec![Split {
            name: SplitName::Train,
            path: PathBuf::from("toy/train.conll"),
            sentences: all,
        }],
        notes: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Words of all sentences that have a token at least.
fn words_with_tokens(table: &SplitTables) -> u64 {
    let sentences = table.sentence_of.iter().zip(table.offsets.windows(2));
    let tokens = sentences.flat_map(|(&sentence, bounds)| {
        let tokens = bounds.iter().map(|&bound| usize::try_from(bound).unwrap());
        let [start, end] = tokens.collect::<Vec<_>>()[..] else {
            unreachable!("windows of two")
        };
        table.word_ids[start..end]
            .iter()
            .map(move |&word| (sentence, word))
    });
    let words = tokens.filter(|&(_, word)| word >= 0);
    words.collect::<std::collections::BTreeSet<_>>().len() as u64
}

fn lay_out(
    dataset: Dataset,
    tokenizer: &Tokenizer,
    max_length: usize,
    long: LongPolicy,
) -> Result<(SplitTables, Counts), PlanError> {
    let limits = Limits::new(Some(max_length), long, 64, tokenizer)?;
    let mut tokens = Tokens::new(dataset, tokenizer, limits)?;
    Ok((tokens.tables.remove(0), tokens.counts))
}

const CLASSES: [&str; 3] = ["B-LOC", "B-PER", "O"];

#[test]
fn a_word_without_a_label_has_no_class() {
    let data = dataset(Task::Pos, &["Karin/NOUN left/ Antwerp/NOUN"], &["NOUN"]);
    let (table, _) = lay_out(data, &tokenizer("toy-bert"), 64, LongPolicy::Split).unwrap();
    assert_eq!(table.labels[0].ids, [0, -100, 0]);
}

#[test]
fn the_first_sub_word_of_a_word_gets_its_class() {
    let toy = tokenizer("toy-bert");
    let data = dataset(Task::Ner, &["Karin/B-PER left/O Antwerp/B-LOC"], &CLASSES);
    let (table, counts) = lay_out(data, &toy, 64, LongPolicy::Split).unwrap();
    let words = &table.word_ids;
    assert_eq!((words.first(), words.last()), (Some(&-1), Some(&-1)));
    assert_eq!(table.labels[0].ids, [1, 2, 0]);
    assert_eq!(table.offsets, [0, words.len() as u64]);
    assert_eq!(
        (counts.sentences, counts.words, counts.sequences),
        (1, 3, 1)
    );
    assert_eq!(counts.tokens, words.len() as u64);
}

#[test]
fn splitting_keeps_every_label_once_and_truncating_counts_what_it_drops() {
    let toy = tokenizer("toy-bert");
    let words =
        "The/O ferry/O from/O Ystad/B-LOC was/O late/O again/O said/O Karin/B-PER Holm/B-PER";
    let data = || dataset(Task::Ner, &[words, "late/O"], &CLASSES);
    let (table, counts) = lay_out(data(), &toy, 8, LongPolicy::Split).unwrap();
    assert!(table.offsets.windows(2).all(|pair| pair[1] - pair[0] <= 8));
    assert_eq!((counts.split_sentences, counts.truncated_sentences), (1, 0));
    assert_eq!(table.sentence_of.last(), Some(&1));
    assert_eq!(table.labels[0].ids, [2, 2, 2, 0, 2, 2, 2, 2, 1, 1, 2]);
    assert_eq!(words_with_tokens(&table), 11);
    let special = |id: u32| table.input_ids.iter().filter(|&&token| token == id).count();
    assert_eq!(special(toy.prefix()[0]), table.sentence_of.len());
    assert_eq!(special(toy.suffix()[0]), table.sentence_of.len());

    let (table, counts) = lay_out(data(), &toy, 8, LongPolicy::Truncate).unwrap();
    assert_eq!(
        (table.sentence_of.as_slice(), counts.truncated_sentences),
        (&[0, 1][..], 1)
    );
    assert!(counts.truncated_words > 0);
    assert_eq!(words_with_tokens(&table) + counts.truncated_words, 11);
    assert_eq!(table.labels[0].ids.len(), 11, "a word keeps its label");
    assert_eq!(table.offsets[1], 8);

    let error = lay_out(data(), &toy, 8, LongPolicy::Error)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("toy/train.conll, line 10: sentence 1 of train has"),
        "{error}"
    );
}

#[test]
fn a_word_longer_than_a_window_is_cut() {
    let toy = tokenizer("toy-gpt2");
    let data = dataset(Task::Ner, &["harbourharbourharbour/B-LOC is/O"], &CLASSES);
    let (table, counts) = lay_out(data, &toy, 4, LongPolicy::Split).unwrap();
    assert_eq!(counts.cut_words, 1);
    assert!(table.word_ids.iter().filter(|&&word| word == 0).count() > 4);
    assert_eq!(table.labels[0].ids, [0, 2]);
}

#[test]
fn a_word_without_sub_word_is_told_and_its_sentence_stays() {
    let toy = tokenizer("toy-bert");
    let data = dataset(
        Task::Ner,
        &["\u{200b}/B-PER late/O \u{ad}/O", "\u{200b}/O"],
        &CLASSES,
    );
    let (table, counts) = lay_out(data, &toy, 64, LongPolicy::Split).unwrap();
    let untokenized: Vec<(usize, usize, Option<&str>)> = counts
        .words_without_sub_word
        .iter()
        .map(|word| (word.sentence, word.word, word.label.as_deref()))
        .collect();
    assert_eq!(
        untokenized,
        [(0, 0, Some("B-PER")), (0, 2, Some("O")), (1, 0, Some("O"))]
    );
    // What is left of the second sentence are its special tokens.
    assert_eq!(table.offsets[2] - table.offsets[1], 2);
    assert_eq!(table.words[0].len(), 3);
    assert_eq!(table.labels[0].ids, [1, 2, 2, 2]);
}

#[test]
fn a_text_has_one_label_whatever_its_windows() {
    let toy = tokenizer("toy-bert");
    let long = "late/sad ".repeat(20);
    let data = dataset(
        Task::Sequence,
        &[long.trim(), "late/glad"],
        &["glad", "sad"],
    );
    let (table, _) = lay_out(data, &toy, 8, LongPolicy::Split).unwrap();
    assert!(table.sentence_of.len() > 2);
    assert_eq!(table.labels[0].ids, [1, 0]);
}

#[test]
fn limits_must_leave_room_and_fit_the_model() {
    let toy = tokenizer("toy-bert");
    assert_eq!(
        Limits::new(None, LongPolicy::Split, 64, &toy)
            .unwrap()
            .max_length,
        64
    );
    // An encoder of long texts takes them where it is told to.
    for (positions, wanted, expected) in [
        (2048, None, 2048),
        (2049, None, 2048),
        (8192, None, 2048),
        (8192, Some(8192), 8192),
    ] {
        let limits = Limits::new(wanted, LongPolicy::Split, positions, &toy).unwrap();
        assert_eq!(limits.max_length, expected);
    }
    for wrong in [0, 2, 65] {
        let error = Limits::new(Some(wrong), LongPolicy::Split, 64, &toy)
            .unwrap_err()
            .to_string();
        assert!(error.contains("have 3 to 64 tokens"), "{error}");
    }
}
