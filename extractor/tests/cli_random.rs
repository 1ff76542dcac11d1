//! Stores of encoders that are not trained: `--random-weights` needs no weights, gives the same numbers
//! on any number of threads, and its stores are never taken for those of the trained encoder.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::{Path, PathBuf};

use common::{Toy, stderr, tree};
use extractor::checkpoint::Checkpoint;
use extractor::encoder::{Batch, Device, Encoder, EncoderOptions};
use extractor::family::{Config, EncoderSpec};
use extractor::model::ModelFiles;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use shared::datasets::SplitName;

/// The toy without its weights.
fn untrained() -> Toy {
    let toy = Toy::new();
    fs_err::remove_file(toy.model().join("model.safetensors")).unwrap();
    toy
}

fn store(toy: &Toy, seed: u64) -> PathBuf {
    toy.root()
        .join(format!("toy-bert-random{seed}--names.zarr"))
}

#[test]
fn an_encoder_without_weights_becomes_a_store_of_its_own() {
    let toy = untrained();
    toy.extract()
        .assert()
        .code(1)
        .stderr(contains("has no weights"));
    let random = |seed: &str| {
        let mut command = toy.extract();
        command.args(["--random-weights", seed]);
        command
    };
    random("7")
        .assert()
        .success()
        .stderr(contains("model      toy-bert-random7").and(contains("self-check 4 sequences")));
    let manifest = |seed: u64| {
        let store = cache::Store::open(&store(&toy, seed), cache::Io::Read).unwrap();
        store.manifest().clone()
    };
    let first = manifest(7);
    assert_eq!(
        (first.model.id.as_str(), first.model.random_seed),
        ("toy-bert", Some(7))
    );
    // Finished, and told so without the encoder.
    random("7")
        .assert()
        .success()
        .stderr(contains("nothing to do").and(contains("encoder ").not()));
    random("8").assert().success();
    assert_ne!(manifest(8).model.weights_digest, first.model.weights_digest);
    let states = |seed: u64| {
        let store = cache::Store::open(&store(&toy, seed), cache::Io::Read).unwrap();
        let train = store.split(SplitName::Train).unwrap();
        let hidden = train.hidden_states(0).unwrap();
        let mut values = vec![0.0; hidden.tokens() * hidden.layers() * hidden.hidden()];
        hidden.to_f32(&mut values);
        values
    };
    assert_ne!(states(7), states(8));
    // Each is found by the name that its folder has.
    let found = cache::find_store(&toy.root(), Some("toy-bert-random8"), None).unwrap();
    assert_eq!(found, store(&toy, 8));
    assert!(cache::find_store(&toy.root(), Some("toy-bert"), None).is_err());
    toy.program()
        .arg("inspect")
        .arg(&found)
        .assert()
        .success()
        .stdout(contains("model      toy-bert-random8 (bert)"));
}

#[test]
fn a_seed_gives_the_same_store_on_any_number_of_threads_and_after_a_stop() {
    let toy = untrained();
    let run = |root: &str, threads: &str, more: &[&str]| {
        let root = toy.path().join(root);
        let output = toy
            .program()
            .args(toy.arguments(&root))
            .args([
                "--random-weights",
                "3",
                "--threads",
                "1",
                "--part-bytes",
                "16000",
            ])
            .args(more)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        tree(&root)
    };
    let whole = run("one", "1", &[]);
    assert_eq!(run("three", "3", &[]), whole);
    run("shares", "2", &["--shard", "1/2"]);
    assert_eq!(run("shares", "2", &["--shard", "2/2"]), whole);
}

#[test]
fn a_plan_of_random_weights_needs_none() {
    let toy = untrained();
    toy.command("plan").assert().code(1);
    toy.command("plan")
        .args(["--random-weights", "7", "--json"])
        .assert()
        .success()
        .stdout(contains("toy-bert-random7--names.zarr"));
    assert!(!toy.root().exists());
}

#[test]
fn a_seed_that_is_none_is_refused() {
    for seed in ["-1", "x", "1.5"] {
        let option = format!("--random-weights={seed}");
        Toy::new().extract().arg(option).assert().code(1);
    }
}

/// Every family runs without weights, and its tables hold the numbers of the generator.
#[test]
fn every_family_has_random_weights() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints");
    let mut compared = 0;
    for entry in fs_err::read_dir(fixtures).unwrap() {
        let trained = ModelFiles::in_folder(&entry.unwrap().path()).unwrap();
        let folder = trained.folder.to_str().unwrap();
        let files = ModelFiles::local_random(folder, None, 11).unwrap();
        let options = EncoderOptions {
            device: Device::Cpu,
            threads: 1,
            ..EncoderOptions::default()
        };
        let mut encoder = Encoder::load(&files, &options).unwrap();
        let config = Config::read(&files.config).unwrap();
        let spec = EncoderSpec::from_config(&config).unwrap();
        let ids = [2_u32, 5, 7, 3];
        let batch = Batch::padded(&[&ids]).unwrap();
        let states = encoder.encode(&batch).unwrap();
        for layer in 0..spec.states() {
            assert!(
                states.layer(layer).iter().all(|value| value.is_finite()),
                "{folder}"
            );
        }
        // Nothing but words, perhaps scaled: they are the numbers of the generator.
        let embedding = spec.embedding;
        let alone = embedding.norm.is_none()
            && embedding.token_types.is_none()
            && embedding.dropped_mask.is_none();
        if !alone
            || !matches!(
                spec.position,
                extractor::family::PositionEncoding::Rotary { .. }
            )
        {
            continue;
        }
        let weights = Checkpoint::random(spec.random_weights(&config, 11).unwrap());
        let shape = [embedding.vocabulary, embedding.size];
        let name = format!("{}.weight", embedding.words);
        let mut words = vec![0.0_f32; shape[0] * shape[1]];
        weights
            .tensor(&[""], &name, &shape)
            .unwrap()
            .copy_to(&mut words);
        let scale = embedding.scale.unwrap_or(1.0);
        for (token, &id) in ids.iter().enumerate() {
            for size in 0..spec.hidden {
                let expected = scale * words[id as usize * spec.hidden + size];
                let got = states.layer(0)[[0, token, size]];
                assert!((got - expected).abs() < 1e-6, "{folder}: {got} {expected}");
            }
        }
        compared += 1;
    }
    assert!(compared >= 20, "{compared} families of words alone");
}

#[test]
fn sequences_are_not_longer_than_2048_tokens_unless_it_is_said() {
    let toy = untrained();
    let config = toy.model().join("config.json");
    let mut fields: serde_json::Value =
        serde_json::from_slice(&fs_err::read(&config).unwrap()).unwrap();
    fields["max_position_embeddings"] = 4096.into();
    fs_err::write(&config, fields.to_string()).unwrap();
    let said = "length     2048 tokens a sequence at most; the encoder takes 4096: --max-length";
    for (options, length, told) in [
        (&[][..], 2048, true),
        (&["--max-length", "2048", "--overwrite"], 2048, false),
        (&["--max-length", "4096", "--overwrite"], 4096, false),
    ] {
        let mut command = toy.extract();
        let output = command
            .args(["--random-weights", "1"])
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains(said), told, "{}", stderr(&output));
        let store = cache::Store::open(&store(&toy, 1), cache::Io::Read).unwrap();
        assert_eq!(store.manifest().max_length, length);
    }
}
