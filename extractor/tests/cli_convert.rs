//! `extractor convert`: the same bytes as an extraction gives where the source has what the encoder gave, else a store
//! that says what it was made of; whatever kills it.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cache::{Codec, Io, Store, StoreDtype};
use clap::ValueEnum;
use common::{Toy, program, stderr, tree};
use serde_json::Value;
use testing::random::Random;

/// Width of the toy's hidden states, and hidden states that it has.
const HIDDEN: usize = 16;
const LAYERS: usize = 3;

const STORE: &str = "toy-bert--names.zarr";

/// Sizes of chunk, file and part with which a store of this format and so many layers has parts of the same tokens as
/// one of any other.
fn sizes(dtype: StoreDtype, layers: usize) -> Vec<String> {
    let row = layers * dtype.vector_bytes(HIDDEN);
    let sizes = [("chunk", 10), ("file", 40), ("part", 80)];
    sizes
        .into_iter()
        .flat_map(|(name, tokens)| [format!("--{name}-bytes"), (tokens * row).to_string()])
        .collect()
}

fn extract(toy: &Toy, root: &Path, options: &[&str], sizes: &[String]) {
    let output = toy
        .program()
        .args(toy.arguments(root))
        .args(["--self-check", "0", "--max-batch-tokens", "64"])
        .args(options)
        .args(sizes)
        .output()
        .unwrap();
    assert!(output.status.success(), "{options:?}: {}", stderr(&output));
}

fn command(toy: &Toy, from: &Path, to: &Path, options: &[&str]) -> std::process::Command {
    let mut command = program(toy.path());
    command.arg("convert").arg(from).arg("--out").arg(to);
    command.args(["--json", "--no-progress"]).args(options);
    command
}

/// Converts, and gives the summary.
fn convert(toy: &Toy, from: &Path, to: &Path, options: &[&str], sizes: &[String]) -> Value {
    let mut command = command(toy, from, to, options);
    let output = command.args(sizes).output().unwrap();
    assert!(output.status.success(), "{options:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// It is refused with this status, and these words are said.
fn refused(toy: &Toy, from: &Path, to: &Path, options: &[&str], status: i32, words: &[&str]) {
    let output = command(toy, from, to, options).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} in {said}");
    }
    let errors = said.lines().filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{said}");
}

fn verified(toy: &Toy, root: &Path) {
    toy.program().arg("verify").arg(root).assert().success();
}

fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().unwrap().get_name().to_owned()
}

#[test]
fn of_float32_it_is_the_store_that_an_extraction_gives() {
    let toy = Toy::new();
    let source = toy.path().join("source");
    let exact = ["--store-dtype", "f32"];
    extract(&toy, &source, &exact, &sizes(StoreDtype::F32, LAYERS));
    let mut ways: Vec<(StoreDtype, Codec, &str)> = Vec::new();
    for dtype in StoreDtype::value_variants() {
        ways.push((*dtype, Codec::None, "0,-1"));
        if *dtype != StoreDtype::F32 {
            ways.push((*dtype, Codec::None, "all"));
        }
    }
    ways.push((StoreDtype::F32, Codec::Blosc, "all"));
    ways.push((StoreDtype::I4, Codec::Zstd, "2"));
    for (dtype, codec, layers) in ways {
        let (format, compression) = (name_of(&dtype), name_of(&codec));
        let options = [
            "--store-dtype",
            &format,
            "--compression",
            &compression,
            "--layers",
            layers,
        ];
        let count = match layers {
            "all" => LAYERS,
            layers => layers.split(',').count(),
        };
        let sizes = sizes(dtype, count);
        let what = format!("{dtype}-{codec}-{layers}");
        let [extracted, converted] =
            ["extracted", "converted"].map(|way| toy.path().join(format!("{what}-{way}")));
        extract(&toy, &extracted, &options, &sizes);
        let summary = convert(&toy, &source, &converted, &options, &sizes);
        assert_eq!(summary["as_extracted"], true, "{what}");
        assert_eq!(summary["state"], "complete", "{what}");
        let (expected, found) = (tree(&extracted), tree(&converted));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "{what}: {name}");
        }
        verified(&toy, &converted);
    }
}

#[test]
fn of_other_numbers_it_says_what_it_was_made_of_and_keeps_all_labels() {
    let toy = Toy::new();
    let (source, root) = (toy.path().join("source"), toy.path().join("converted"));
    extract(&toy, &source, &["--store-dtype", "f16"], &[]);
    // Labels of another task, and an array of a later version, with its checksum.
    let path = source.join(STORE);
    label(&toy, &path);
    let later = path.join("train/labels/later");
    fs_err::create_dir(&later).unwrap();
    for file in ["zarr.json", "c.0"] {
        fs_err::copy(path.join("train/labels/pos").join(file), later.join(file)).unwrap();
    }
    let summary = convert(&toy, &source, &root, &["--store-dtype", "i4"], &[]);
    assert_eq!(summary["as_extracted"], false);
    let (before, after) = (
        Store::open(&path, Io::Read).unwrap(),
        Store::open(&root.join(STORE), Io::Read).unwrap(),
    );
    let from = after.manifest().converted_from.clone().unwrap();
    assert_eq!(
        (from.identity, from.store_dtype),
        (before.identity(), StoreDtype::F16)
    );
    let (old, new) = (tree(&path), tree(&root.join(STORE)));
    let small = |name: &&String| !name.contains("hidden_states") && name.contains('/');
    let names: Vec<&String> = old.keys().filter(small).collect();
    assert_eq!(new.keys().filter(small).collect::<Vec<_>>(), names);
    assert!(names.iter().any(|name| name.contains("word_labels/pos")));
    assert!(names.iter().any(|name| name.contains("labels/later/c.0")));
    for name in names {
        assert_eq!(old[name], new[name], "{name}");
    }
    for split in before.splits() {
        let statistics = after.statistics(split.name()).unwrap();
        for layer in statistics {
            let error = layer.error.unwrap();
            assert!((0.03..0.2).contains(&error), "{error}");
        }
        let rows = |store: &Store| {
            let reader = store.split(split.name()).unwrap();
            let rows = reader.rows(0..reader.tokens() as u64).unwrap();
            let mut values = vec![0.0; rows.tokens() * rows.layers() * rows.hidden()];
            rows.to_f32(&mut values);
            values
        };
        let (values, back) = (rows(&before), rows(&after));
        let squares = |numbers: &mut dyn Iterator<Item = f32>| {
            numbers.map(|number| f64::from(number).powi(2)).sum::<f64>()
        };
        let apart = squares(&mut values.iter().zip(&back).map(|(one, other)| one - other));
        let relative = (apart / squares(&mut values.iter().copied())).sqrt();
        assert!(relative < 0.2, "{relative}");
    }

    // Layers of int4 are kept as they are, with what is known of their error.
    let fewer = toy.path().join("fewer");
    convert(&toy, &root, &fewer, &["--layers", "-1"], &[]);
    let last = Store::open(&fewer.join(STORE), Io::Read).unwrap();
    for split in last.splits() {
        let tokens = 0..split.tokens() as u64;
        let all = after.split(split.name()).unwrap();
        let vector = StoreDtype::I4.vector_bytes(HIDDEN);
        let theirs = all.rows(tokens.clone()).unwrap();
        let theirs = theirs.pieces().collect::<Vec<_>>().concat();
        let theirs: Vec<u8> = theirs
            .chunks_exact(LAYERS * vector)
            .flat_map(|row| &row[(LAYERS - 1) * vector..])
            .copied()
            .collect();
        let own = split.rows(tokens).unwrap();
        assert!(own.pieces().collect::<Vec<_>>().concat() == theirs);
        let errors = [(&last, 0), (&after, LAYERS - 1)].map(|(store, place)| {
            let layers = store.statistics(split.name()).unwrap();
            layers[place].error.unwrap()
        });
        assert!((errors[0] - errors[1]).abs() < 1e-5, "{errors:?}");
    }
    verified(&toy, &fewer);
}

/// Adds labels of parts of speech: the tags of the names, as classes of words.
fn label(toy: &Toy, store: &Path) {
    let mut command = toy.program();
    command.arg("label").arg(store);
    command.arg("--dataset").arg(toy.dataset());
    command.args(["--task", "pos"]).assert().success();
}

#[test]
fn what_cannot_be_converted_is_refused_with_its_reason() {
    let toy = Toy::new();
    let (source, other) = (toy.path().join("source"), toy.path().join("other"));
    extract(&toy, &source, &["--layers", "0,2"], &[]);
    let refuse = |to: &Path, options: &[&str], words: &[&str]| {
        refused(&toy, &source, to, options, 1, words);
        assert!(!other.exists(), "{options:?}");
    };
    refuse(
        &other,
        &["--layers", "1"],
        &["has no layer 1, it has [0, 2]"],
    );
    refuse(&other, &["--layers", "0,9"], &["the model has no layer 9"]);
    refuse(
        &other,
        &[],
        &["is that already (float16, layers [0, 2], compression none)"],
    );
    let same = ["--store-dtype", "f16", "--layers", "0,2"];
    refuse(&other, &same, &["--store-dtype, --layers or --compression"]);
    refuse(&source, &["--store-dtype", "i4"], &["choose another --out"]);

    // Another store is there already.
    let target = toy.path().join("target");
    convert(&toy, &source, &target, &["--store-dtype", "i8"], &[]);
    let summary = convert(&toy, &source, &target, &["--store-dtype", "i8"], &[]);
    assert_eq!(
        (&summary["state"], &summary["tokens_converted"]),
        (&"complete".into(), &0.into())
    );
    let i4 = ["--store-dtype", "i4"];
    refused(
        &toy,
        &source,
        &target,
        &i4,
        1,
        &["store_dtype: stored \"int8\", wanted \"int4\""],
    );
    convert(
        &toy,
        &source,
        &target,
        &["--store-dtype", "i4", "--overwrite"],
        &[],
    );
    assert_eq!(
        Store::open(&target.join(STORE), Io::Read)
            .unwrap()
            .manifest()
            .store_dtype,
        StoreDtype::I4
    );

    // An incomplete source, and a damaged one.
    let done = source.join(STORE).join("done.json");
    let whole = fs_err::read(&done).unwrap();
    fs_err::remove_file(&done).unwrap();
    refused(&toy, &source, &other, &i4, 1, &["parts"]);
    fs_err::write(&done, whole).unwrap();
    let file = source.join(STORE).join("train/hidden_states/c.0.0.0");
    let mut bytes = fs_err::read(&file).unwrap();
    bytes[100] ^= 4;
    fs_err::write(&file, bytes).unwrap();
    refused(
        &toy,
        &source,
        &other,
        &i4,
        2,
        &["train/hidden_states/c.0.0.0"],
    );
    assert!(!other.join(STORE).join("done.json").exists());
}

#[test]
fn a_value_that_does_not_fit_is_named() {
    let toy = Toy::new();
    toy.enlarge_values();
    let (source, other) = (toy.path().join("source"), toy.path().join("other"));
    extract(&toy, &source, &["--store-dtype", "f32"], &[]);
    let words = [
        "train, sentence 1, token ",
        "in layer 2 is too large for float16",
        "bf16",
    ];
    refused(&toy, &source, &other, &["--store-dtype", "f16"], 1, &words);
}

/// Sizes with which a conversion has many parts.
const SMALL: [&str; 6] = [
    "--chunk-bytes",
    "1000",
    "--file-bytes",
    "4000",
    "--part-bytes",
    "8000",
];

fn start(toy: &Toy, source: &Path, root: &Path) -> Child {
    let options = ["--store-dtype", "i4", "--compression", "blosc", "--quiet"];
    let mut command = command(toy, source, root, &options);
    command
        .args(SMALL)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// A source of many sentences, what becomes of it, and how long that takes.
fn large(toy: &Toy) -> (PathBuf, PathBuf, Duration) {
    let (source, whole) = (toy.path().join("source"), toy.path().join("whole"));
    extract(toy, &source, &["--store-dtype", "f16"], &[]);
    let began = Instant::now();
    assert_eq!(
        finish(start(toy, &source, &whole)),
        (Some(0), String::new())
    );
    (source, whole, began.elapsed())
}

#[test]
fn a_killed_conversion_ends_with_the_same_bytes() {
    let toy = Toy::repeated(20);
    let (source, whole, duration) = large(&toy);
    let root = toy.path().join("killed");
    let (mut chance, mut killed) = (Random::new(1), 0);
    let kills = std::env::var("STORE_KILLS").ok();
    let kills: usize = kills.and_then(|kills| kills.parse().ok()).unwrap_or(6);
    while killed < kills {
        // Two at once share the parts, or are told that the other one has one.
        let mut children = [start(&toy, &source, &root), start(&toy, &source, &root)];
        std::thread::sleep(duration.mul_f64(chance.unit()));
        for child in &mut children {
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if root.join(STORE).join("done.json").exists() {
            assert_eq!(finish(start(&toy, &source, &root)).0, Some(0));
            assert!(tree(&whole) == tree(&root));
            fs_err::remove_dir_all(&root).unwrap();
        }
    }
    assert_eq!(
        finish(start(&toy, &source, &root)),
        (Some(0), String::new())
    );
    let (expected, found) = (tree(&whole), tree(&root));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert!(expected == found);
}

#[test]
fn a_signal_stops_it_and_the_same_command_goes_on() {
    let toy = Toy::repeated(40);
    let (source, whole, _) = large(&toy);
    let root = toy.path().join("stopped");
    let child = start(&toy, &source, &root);
    let waiting = Instant::now();
    while !root.join(STORE).join("progress").exists() {
        assert!(
            waiting.elapsed() < Duration::from_mins(1),
            "no store after a minute"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    let signal = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status();
    assert!(signal.unwrap().success());
    let (code, message) = finish(child);
    assert_eq!(code, Some(75), "{message}");
    assert!(message.contains("run the same command again"), "{message}");
    assert!(!root.join(STORE).join("done.json").exists());
    assert_eq!(finish(start(&toy, &source, &root)).0, Some(0));
    assert!(tree(&whole) == tree(&root));
}
