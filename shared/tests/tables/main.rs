//! What is in docs/data.md, a test a row: a table is read right or refused with the option that
//! helps, never as something else without a word.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod files;
mod pairs;
mod parquet;
mod texts;
mod words;

use shared::datasets::{Dataset, DatasetError, Source};
use shared::exit::{ExitStatus, HasExitStatus as _};

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
