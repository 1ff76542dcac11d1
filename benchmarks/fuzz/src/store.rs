//! Stores: a small one is written once, then one of its files is put in the place of an input.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cache::{Codec, Io, Store, StoreDtype};
use serde_json::{Value, json};
use testing::fixture::Fixture;

use crate::bytes::way;
use crate::place::{file, folder};

/// A complete store, and what its files held.
fn store() -> &'static Path {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let path = folder().join("store");
        Fixture::usual(StoreDtype::F16)
            .compressed(Codec::Zstd)
            .fill(&path, 0);
        path
    })
}

/// A manifest, with the done-list that goes with it as far as one can.
pub(crate) fn manifest(input: &[u8]) {
    static DONE: OnceLock<Value> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let bytes = fs_err::read(store().join("done.json")).expect("the done-list");
        serde_json::from_slice(&bytes).expect("a done-list")
    });
    let Ok(Value::Object(group)) = serde_json::from_slice(input) else {
        return;
    };
    let manifest = group
        .get("attributes")
        .and_then(|all| all.get("activation_cache"));
    let mut done = done.clone();
    done["identity"] = json!(manifest.map(cache::manifest::identity_of));
    file("store/zarr.json", input);
    file("store/done.json", done.to_string().as_bytes());
    read();
}

pub(crate) fn done(input: &[u8]) {
    store();
    file("store/done.json", input);
    read();
}

/// The record of a part, or the claim of its owner, in a store that is not complete.
pub(crate) fn progress(input: &[u8]) {
    let (way, input) = way(input, 2);
    let _ = fs_err::remove_file(store().join("done.json"));
    let _ = fs_err::create_dir(store().join("progress"));
    let name = if way == 0 {
        "train-0.json"
    } else {
        "train-0.owner-0"
    };
    let path = file(&format!("store/progress/{name}"), input);
    read();
    let fixture = Fixture::usual(StoreDtype::F16).compressed(Codec::Zstd);
    if let Some(writer) = fixture.open(store()) {
        black_box(writer.begin(&writer.parts()[0]).is_ok());
    }
    let _ = fs_err::remove_file(path);
}

/// Descriptions and bytes of the small arrays.
pub(crate) fn arrays(input: &[u8]) {
    const FILES: [&str; 8] = [
        "labels/pos/zarr.json",
        "labels/pos/c.0",
        "offsets/zarr.json",
        "offsets/c.0",
        "sentence_of/c.0",
        "word_bytes/c.0",
        "word_offsets/c.0",
        "hidden_states/c.0.0.0",
    ];
    let (way, input) = way(input, FILES.len() as u8);
    let name = format!("store/train/{}", FILES[usize::from(way)]);
    store();
    let path = folder().join(&name);
    let before = fs_err::read(&path).expect("a file of the store");
    file(&name, input);
    read();
    let unchecked = cache::Reading {
        io: Io::Read,
        checksums: false,
    };
    if let Ok(store) = Store::open(&folder().join("store"), unchecked) {
        use_up(&store);
    }
    fs_err::write(&path, before).expect("room for a file of the store");
}

fn read() {
    let path = store();
    black_box(cache::inspect::inspect(path).is_ok());
    if let Ok(store) = Store::open(path, Io::Read) {
        use_up(&store);
    }
}

fn use_up(store: &Store) {
    for split in store.splits() {
        if split.check_tables().is_err() {
            continue;
        }
        for sequence in 0..split.len() {
            black_box(
                split
                    .hidden_states(sequence)
                    .map(|hidden| hidden.tokens())
                    .is_ok(),
            );
        }
        for sentence in 0..split.sentences() {
            black_box(split.words(sentence));
        }
        for task in split.tasks() {
            black_box(split.labels(task));
        }
    }
}
