//! Reads a store from Rust: its splits, and words, labels and hidden states of one sentence.
//!
//!     cargo run -p cache --example read_store -- STORE
//!
//! Without STORE a small made-up one is read. The same from Python is in `docs/python.md`.

#![expect(clippy::print_stdout, reason = "it shows what is in a store")]

use std::error::Error;
use std::path::{Path, PathBuf};

use cache::{Io, SplitReader, Store, StoreDtype};
use ndarray::{Array3, Axis};
use testing::fixture::Fixture;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        return read(&PathBuf::from(path));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("made-up.zarr");
    Fixture::usual(StoreDtype::F16).fill(&path, 0);
    read(&path)
}

fn read(path: &Path) -> Result<(), Box<dyn Error>> {
    // Only the small arrays are read here; hidden states are mapped, and read from the disk when they are looked at.
    let store = Store::open(path, Io::Auto)?;
    let manifest = store.manifest();
    println!(
        "{} on {}: layers {:?}, hidden size {}",
        manifest.model.id, manifest.dataset.id, manifest.layers, manifest.hidden
    );
    for split in store.splits() {
        let (name, sentences, tokens) = (split.name(), split.sentences(), split.tokens());
        println!("{name}: {sentences} sentences, {tokens} tokens");
    }
    let split = store.splits().next().ok_or("a store without a split")?;
    words_and_labels(split, 0)?;
    // A sentence is one sequence, or several windows if it is too long for the encoder.
    for (sequence, &sentence) in split.sentence_of().iter().enumerate() {
        if sentence == 0 {
            activations(split, sequence)?;
        }
    }
    Ok(())
}

/// Words of a sentence, and for each task the labels of its first sequence: -100 for sub-words that are
/// not scored.
fn words_and_labels(split: &SplitReader, sentence: usize) -> Result<(), Box<dyn Error>> {
    println!("words: {}", split.words(sentence).join(" "));
    for task in split.tasks() {
        let labels = split.labels(task).ok_or("a task without labels")?;
        let of_tokens = labels.level == shared::tasks::Level::Token;
        let tokens = split.tokens_of(0)?;
        let ids = if of_tokens {
            &labels.ids[usize::try_from(tokens.start)?..usize::try_from(tokens.end)?]
        } else {
            &labels.ids[sentence..=sentence]
        };
        println!("{task}: {ids:?} of {:?}", labels.classes);
    }
    Ok(())
}

/// Hidden states of a sequence, as float32 whatever the store's number format is.
fn activations(split: &SplitReader, sequence: usize) -> Result<(), Box<dyn Error>> {
    let stored = split.hidden_states(sequence)?;
    // [tokens, layers, hidden]
    let mut values = Array3::zeros((stored.tokens(), stored.layers(), stored.hidden()));
    stored.to_f32(values.as_slice_mut().ok_or("not contiguous")?);
    for (layer, values) in values.axis_iter(Axis(1)).enumerate() {
        let norms = values
            .outer_iter()
            .map(|token| token.dot(&token).sqrt())
            .collect::<Vec<f32>>();
        println!("sequence {sequence}, kept layer {layer}: norms of its tokens {norms:.1?}");
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn reads_the_made_up_store() -> Result<(), Box<dyn Error>> {
    main()
}
