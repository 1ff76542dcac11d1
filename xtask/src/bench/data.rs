//! The sentences that both sides get: the same number of words from any data set, its lengths kept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;
use shared::datasets::{Dataset, Source, SplitName};

/// Sentences beside the measured ones: the trainer scores a head on them.
const VALIDATION: usize = 20;

/// Reads a data set.
pub(super) fn load(path: &Path) -> Result<Dataset> {
    Ok(Source::new(path).load()?)
}

/// Writes a folder with about `words` words for training, in a file that every program reads: word, tab, tag.
///
/// Sentences are taken evenly from the whole training set, so that their lengths are its; where it has too few, it
/// is gone through again.
pub(super) fn write(data: &Dataset, words: usize, folder: &Path) -> Result<PathBuf> {
    write_texts(data, words, 1, folder)
}

/// The same with `sentences` sentences in a row as one text.
pub(super) fn write_texts(
    data: &Dataset,
    words: usize,
    sentences: usize,
    folder: &Path,
) -> Result<PathBuf> {
    let split = data
        .split(SplitName::Train)
        .context("the data set has no training split")?;
    let all = &split.sentences;
    let total = all.word_count().max(1);
    let mut text = String::new();
    let (mut taken, mut due, mut words_seen) = (0, 0.0, 0);
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    let share = words as f64 / total as f64;
    for round in 0.. {
        let share = (share - f64::from(round)).min(1.0);
        if share <= 0.0 {
            break;
        }
        for index in 0..all.len() {
            due += share;
            if due >= 1.0 {
                due -= 1.0;
                taken += 1;
                words_seen += append(&mut text, all, index)?;
                if taken % sentences == 0 {
                    text.push('\n');
                }
            }
        }
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("train.conll"), &text)?;
    let mut validation = String::new();
    for index in 0..VALIDATION.min(all.len()) {
        append(&mut validation, all, index)?;
        validation.push('\n');
    }
    fs::write(folder.join("validation.conll"), validation)?;
    anyhow::ensure!(
        taken > 0 && words_seen > 0,
        "{words} words are less than a sentence"
    );
    Ok(folder.join("train.conll"))
}

/// Adds a sentence; its words.
fn append(text: &mut String, all: &shared::datasets::Sentences, index: usize) -> Result<usize> {
    let mut words = 0;
    for (word, label) in all.words(index).zip(all.labels(index)) {
        writeln!(text, "{word}\t{label}")?;
        words += 1;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_words_as_asked_for_and_both_sides_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/example-ner");
        let data = load(&example).unwrap();
        for words in [500, 4_000, 20_000] {
            write(&data, words, folder.path()).unwrap();
            let again = load(folder.path()).unwrap();
            let train = again.split(SplitName::Train).unwrap();
            let found = train.sentences.word_count();
            assert!(
                found.abs_diff(words) < words / 10 + 60,
                "{found} for {words}"
            );
        }
    }
}
