//! Whatever happens to a store on a disk is found before a head is trained on it: one error that names the file,
//! and no run left behind as if it were whole.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use testing::labelled::Recipe;
use testing::place::Place;

/// The program that is tested.
const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");
const TRAIN: &str = "--cache cache --epochs 1";
const STORE: &str = "cache/toy--synthetic.zarr";
const FILE: &str = "train/hidden_states/c.0.0.0";

fn flip(path: &Path, byte: u64) {
    let mut options = fs_err::OpenOptions::new();
    let file = options.read(true).write(true).open(path).unwrap();
    let mut value = [0];
    file.file().read_exact_at(&mut value, byte).unwrap();
    file.file().write_all_at(&[value[0] ^ 4], byte).unwrap();
}

/// Damages a store and trains on it, mapped, read and in memory.
fn refused(damage: impl Fn(&Path), status: i32, words: &[&str]) {
    let place = Place::new(TRAINER, &Recipe::default());
    damage(&place.path(STORE));
    for io in ["mmap", "read", "ram"] {
        let told = place.fail(status, &format!("{TRAIN} --io {io} --name {io}"));
        let errors = told.lines().filter(|line| line.starts_with("error:"));
        assert_eq!(errors.count(), 1, "{told}");
        for word in words {
            assert!(told.contains(word), "{io}: {word:?} in {told}");
        }
    }
}

#[test]
fn a_flipped_bit_of_the_activations_is_named_with_chunk_and_sentence() {
    let damage = |store: &Path| flip(&store.join(FILE), 1000);
    refused(damage, 2, &[FILE, "inner chunk 0", "sentence", "of train"]);
    // Whoever wants it gets it.
    let place = Place::new(TRAINER, &Recipe::default());
    damage(&place.path(STORE));
    place.succeed(&format!("{TRAIN} --no-checksums"));
}

#[test]
fn a_flipped_bit_of_labels_is_found() {
    let file = "train/labels/ner/c.0";
    refused(|store| flip(&store.join(file), 40), 2, &[file]);
}

#[test]
fn a_truncated_file_is_found() {
    let damage = |store: &Path| {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .open(store.join(FILE));
        file.unwrap().set_len(600).unwrap();
    };
    refused(damage, 2, &[FILE, "has 600 bytes"]);
}

#[test]
fn swapped_files_are_found() {
    let other = "validation/hidden_states/c.0.0.0";
    let damage = |store: &Path| {
        fs_err::rename(store.join(FILE), store.join("x")).unwrap();
        fs_err::rename(store.join(other), store.join(FILE)).unwrap();
        fs_err::rename(store.join("x"), store.join(other)).unwrap();
    };
    refused(damage, 2, &["hidden_states/c.0.0.0"]);
}

#[test]
fn a_deleted_file_is_found() {
    let damage = |store: &Path| fs_err::remove_file(store.join(FILE)).unwrap();
    refused(damage, 2, &[FILE, "is missing"]);
}

#[test]
fn an_edited_manifest_is_refused() {
    let damage = |store: &Path| {
        let path = store.join("zarr.json");
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, text.replace("\"0123\"", "\"4567\"")).unwrap();
    };
    refused(damage, 1, &["zarr.json was changed"]);
}

#[test]
fn a_newer_version_is_refused() {
    let damage = |store: &Path| {
        let path = store.join("zarr.json");
        let text = fs_err::read_to_string(&path).unwrap();
        let newer = text.replace("\"format_version\": 1", "\"format_version\": 2");
        fs_err::write(&path, newer).unwrap();
    };
    refused(damage, 1, &["format version 2", "update the program"]);
}
