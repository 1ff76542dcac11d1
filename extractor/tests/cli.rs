//! The built program on a toy encoder: what it writes, what it says, and what it survives.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use common::{Toy, begin_of, stderr, tree};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;
use shared::datasets::SplitName;
use shared::tasks::Task;

#[test]
fn a_data_set_becomes_a_store() {
    let toy = Toy::new();
    let output = toy.extract().arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["state"], "complete");
    assert_eq!(summary["sentences"], 60);
    assert_eq!(summary["self_check"]["sequences"], 4);
    assert_eq!(
        summary["bytes"],
        summary["tokens"].as_u64().unwrap() * 3 * 16 * 2
    );

    let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
    assert_eq!(store.identity(), summary["identity"].as_str().unwrap());
    let train = store.split(SplitName::Train).unwrap();
    let sentence = 5;
    assert_eq!(train.words(sentence).first().copied(), Some("the"));
    let range = {
        let offsets = train.offsets();
        usize::try_from(offsets[sentence]).unwrap()..usize::try_from(offsets[sentence + 1]).unwrap()
    };
    let words = &train.word_ids()[range.clone()];
    let labels = &train.labels(Task::Ner).unwrap().ids[range.clone()];
    assert_eq!((words[0], labels[0]), (-1, -100));
    assert_eq!(
        words.iter().filter(|&&word| word == 0).count(),
        1 + words[2..].iter().filter(|&&word| word == 0).count()
    );
    assert!(labels[1] >= 0);
    assert_eq!(train.hidden_states(sentence).unwrap().tokens(), range.len());
}

#[test]
fn a_finished_store_is_left_alone_at_once() {
    let toy = Toy::new();
    toy.extract().assert().success();
    let before = tree(&toy.store());
    // Not even the encoder is looked at.
    let start = std::time::Instant::now();
    toy.extract()
        .assert()
        .success()
        .stderr(contains("nothing to do").and(contains("encoder ").not()));
    assert!(
        start.elapsed().as_secs_f64() < 1.0,
        "took {:?}",
        start.elapsed()
    );
    assert_eq!(before, tree(&toy.store()));

    // Another selection of layers is another store: nothing is overwritten unasked.
    toy.extract()
        .args(["--layers", "0,-1"])
        .assert()
        .code(1)
        .stderr(contains("layers: stored [0,1,2], wanted [0,2]"));
    assert_eq!(before, tree(&toy.store()));
    toy.extract()
        .args(["--layers", "0,-1", "--overwrite"])
        .assert()
        .success();
    let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
    assert_eq!(store.manifest().layers, [0, 2]);
}

#[test]
fn every_option_has_an_environment_variable() {
    let toy = Toy::new();
    let mut command = toy.program();
    command
        .env("EXTRACTOR_MODEL", toy.model())
        .env("EXTRACTOR_DATASET", toy.dataset())
        .env("EXTRACTOR_OUT", toy.root())
        .env("EXTRACTOR_STORE_DTYPE", "f32")
        .env("EXTRACTOR_JSON", "true")
        .env("EXTRACTOR_QUIET", "1")
        .assert()
        .success()
        .stdout(contains("\"state\":\"complete\""));
    let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
    assert_eq!(store.manifest().store_dtype, cache::StoreDtype::F32);
}

#[test]
fn options_that_are_missing_or_wrong_are_one_error() {
    let toy = Toy::new();
    toy.program()
        .assert()
        .code(1)
        .stderr(contains("error: --out is missing"));
    toy.program()
        .args(["--out", "x"])
        .assert()
        .code(1)
        .stderr(contains("error: --model is missing"));
    let model = toy.model();
    let model = model.to_str().unwrap();
    toy.program()
        .args(["--out", "x", "--model", model])
        .assert()
        .code(1)
        .stderr(contains("conll2003").and(contains("HF_HUB_OFFLINE is set")));
    toy.program()
        .args([
            "--out",
            "x",
            "--model",
            "bert-large-cased",
            "--dataset",
            "y",
        ])
        .assert()
        .code(1)
        .stderr(contains("bert-large-cased at main is not complete"));
    toy.program()
        .args(["--out", "x", "--model", model, "--dataset", "conll2003"])
        .assert()
        .code(1)
        .stderr(contains(
            "hf download --repo-type dataset eriktks/conll2003",
        ));
    toy.extract()
        .args(["--layers", "0,7"])
        .assert()
        .code(1)
        .stderr(contains("no layer 7"));
    toy.extract()
        .args(["--max-length", "65"])
        .assert()
        .code(1)
        .stderr(contains("have 3 to 64 tokens"));
    toy.extract()
        .args(["--shard", "3/2"])
        .assert()
        .code(1)
        .stderr(contains("I from 1 to N"));
    toy.extract()
        .args(["--device", "cuda:99"])
        .assert()
        .failure()
        .stderr(contains("cuda:99"));
    toy.program()
        .arg("--version")
        .assert()
        .success()
        .stdout(contains(env!("CARGO_PKG_VERSION")));
    toy.program()
        .arg("--help")
        .assert()
        .success()
        .stdout(contains("--max-batch-tokens"));
    assert!(
        !toy.root().exists(),
        "nothing of this may leave anything behind"
    );
}

#[test]
fn long_sentences_are_split_truncated_or_refused() {
    let toy = Toy::new();
    let run = |long: &str| {
        toy.extract()
            .args(["--max-length", "8", "--overwrite", "--json", "--long", long])
            .output()
            .unwrap()
    };
    let split: Value = serde_json::from_slice(&run("split").stdout).unwrap();
    assert!(split["split_sentences"].as_u64().unwrap() > 0);
    assert!(split["sequences"].as_u64() > split["sentences"].as_u64());
    let manifest = fs_err::read_to_string(toy.store().join("zarr.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let long = &manifest["attributes"]["activation_cache"]["long_sentences"];
    assert_eq!(*long, split["split_sentences"]);
    let truncated: Value = serde_json::from_slice(&run("truncate").stdout).unwrap();
    assert_eq!(truncated["truncated_sentences"], split["split_sentences"]);
    assert_eq!(truncated["sequences"], truncated["sentences"]);
    let refused = run("error");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("train.conll, line 12: sentence 3 of train has 9 tokens"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn a_plan_tells_sizes_and_touches_nothing() {
    let toy = Toy::new();
    // Weights that cannot be read do not matter: none are.
    fs_err::write(toy.model().join("model.safetensors"), "no weights").unwrap();
    let output = toy
        .command("plan")
        .args(["--json", "--tokens-per-second", "100"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tokens = plan["splits"]["train"]["tokens"].as_u64().unwrap()
        + plan["splits"]["test"]["tokens"].as_u64().unwrap();
    assert_eq!(plan["counts"]["sentences"], 60);
    assert!(tokens <= plan["counts"]["tokens"].as_u64().unwrap());
    assert_eq!(
        plan["bytes"],
        plan["counts"]["tokens"].as_u64().unwrap() * 3 * 16 * 2
    );
    assert_eq!(
        plan["bytes_per_layer"].as_u64().unwrap() * 3,
        plan["bytes"].as_u64().unwrap()
    );
    assert_eq!(plan["fits"], true);
    assert_eq!(
        plan["files"],
        plan["splits"]
            .as_object()
            .unwrap()
            .values()
            .map(|split| split["files"].as_u64().unwrap())
            .sum::<u64>()
    );
    assert!(plan["free_bytes"].as_u64().unwrap() > 0);
    let seconds = plan["seconds"].as_f64().unwrap();
    assert!((seconds * 100.0 - plan["counts"]["tokens"].as_f64().unwrap()).abs() < 1e-6);
    assert!(plan["trial"].is_null());
    assert!(!toy.root().exists());
}

#[test]
fn a_plan_tells_the_time_by_a_trial_that_needs_no_weights() {
    let toy = Toy::new();
    // An empty file: none of it is read.
    fs_err::write(toy.model().join("model.safetensors"), "").unwrap();
    let output = toy.command("plan").arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let speed = plan["trial"]["tokens_per_second"].as_f64().unwrap();
    assert!(speed > 0.0 && plan["seconds"].as_f64().unwrap() > 0.0);
    assert!(
        stderr(&output).contains("by a short trial without weights"),
        "{}",
        stderr(&output)
    );
    // The plan may be for another machine: that this one has no such GPU is no error.
    toy.command("plan")
        .args(["--device", "cuda:99"])
        .assert()
        .success()
        .stderr(contains("not estimated").and(contains("--tokens-per-second")));
    toy.command("plan")
        .args(["--tokens-per-second", "0"])
        .assert()
        .code(1)
        .stderr(contains("is no speed"));
    assert!(!toy.root().exists());
}

#[test]
fn a_store_is_inspected_and_verified() {
    let toy = Toy::new();
    toy.extract().assert().success();
    let store = toy.store();
    let store = store.to_str().unwrap();
    let output = toy
        .program()
        .args(["inspect", store, "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let described: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        described.to_string().contains("weights_digest"),
        "{described}"
    );
    toy.program()
        .args(["inspect", store])
        .assert()
        .success()
        .stdout(contains("toy-bert").and(contains("train")));
    toy.program().args(["verify", store]).assert().success();

    let chunk = tree(&toy.store())
        .into_keys()
        .find(|path| path.contains("train/hidden_states/c"))
        .unwrap();
    let file = toy.store().join(&chunk);
    let intact = fs_err::read(&file).unwrap();
    let mut flipped = intact.clone();
    flipped[7] ^= 1;
    fs_err::write(&file, flipped).unwrap();
    toy.program()
        .args(["verify", store])
        .assert()
        .code(2)
        .stderr(contains(chunk.as_str()));
    toy.program()
        .args(["verify", store, "--repair"])
        .assert()
        .success();
    toy.extract().assert().success();
    assert_eq!(fs_err::read(&file).unwrap(), intact);
    toy.program().args(["verify", store]).assert().success();
}

/// Multiplies the scale of the last layer's norm.
fn louder(toy: &Toy) {
    let path = toy.model().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let at = begin_of(&bytes, "layer.1.output.LayerNorm.weight");
    for weight in bytes[at..at + 16 * 4].as_chunks_mut::<4>().0 {
        *weight = (f32::from_le_bytes(*weight) * 1.5).to_le_bytes();
    }
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn a_store_that_fails_its_self_check_is_moved_out_of_the_way() {
    // A part of a store is made with other weights than its manifest says: nothing but the self-check can see that.
    let (toy, other) = (Toy::new(), Toy::new());
    louder(&other);
    for toy in [&toy, &other] {
        toy.extract().args(["--shard", "1/2"]).assert().success();
    }
    let mine = tree(&toy.store());
    let mut replaced = 0;
    for (path, bytes) in tree(&other.store()) {
        if path.contains("train/hidden_states/c") || path.starts_with("progress/train") {
            assert!(mine.contains_key(&path), "{path}");
            fs_err::write(toy.store().join(path), bytes).unwrap();
            replaced += 1;
        }
    }
    assert_eq!(replaced, 2);
    toy.extract()
        .args(["--self-check", "60"])
        .assert()
        .code(2)
        .stderr(contains("train").and(contains("do not train on it")));
    assert!(!toy.store().exists());
    let rejected = toy.store().with_extension("zarr.rejected");
    assert!(rejected.is_dir());
    // The same command makes it anew, and this time it is right.
    toy.extract()
        .args(["--self-check", "60"])
        .assert()
        .success()
        .stderr(contains("self-check 60 sequences"));
}

#[test]
fn a_value_too_large_for_the_store_is_named_and_the_remedy_works() {
    let toy = Toy::new();
    toy.enlarge_values();
    toy.extract()
        .args(["--store-dtype", "f16"])
        .assert()
        .code(1)
        .stderr(
            contains("sentence")
                .and(contains("layer 2"))
                .and(contains("--store-dtype bf16|f32")),
        );
    // Nothing of the failed store is done, so the remedy needs no --overwrite.
    toy.extract()
        .args(["--store-dtype", "bf16"])
        .assert()
        .success();
}

#[test]
fn a_trial_chooses_the_number_format_and_a_store_keeps_it() {
    let toy = Toy::new();
    let dtype = || {
        let store = cache::Store::open(&toy.store(), cache::Io::Read).unwrap();
        store.manifest().store_dtype
    };
    let small = contains("8 sequences: stored as float16 (--store-dtype bf16 or f32 overrules)");
    toy.extract().assert().success().stderr(small);
    assert_eq!(dtype(), cache::StoreDtype::F16);
    let chosen = tree(&toy.store());
    toy.extract()
        .args(["--store-dtype", "f16", "--overwrite"])
        .assert()
        .success()
        .stderr(contains("stored as").not());
    assert_eq!(tree(&toy.store()), chosen);

    toy.enlarge_values();
    let large = contains("sequences: stored as bfloat16 (--store-dtype f16 or f32 overrules)");
    toy.extract()
        .arg("--overwrite")
        .assert()
        .success()
        .stderr(large);
    assert_eq!(dtype(), cache::StoreDtype::Bf16);
    // The recorded format counts: nothing is tried again, and what is missing is made in it.
    toy.extract()
        .assert()
        .success()
        .stderr(contains("nothing to do"));
    fs_err::remove_dir_all(toy.store()).unwrap();
    let share = |share: &str| {
        let mut command = toy.extract();
        command.args(["--part-bytes", "4000", "--shard", share]);
        command
    };
    share("1/2")
        .assert()
        .success()
        .stderr(contains("stored as bfloat16"));
    share("2/2")
        .assert()
        .success()
        .stderr(contains("stored as").not());
    assert_eq!(dtype(), cache::StoreDtype::Bf16);
    for asked in ["f16", "f32"] {
        let wanted = format!("wanted \"{}\"", asked.replace('f', "float"));
        toy.extract()
            .args(["--store-dtype", asked])
            .assert()
            .code(1)
            .stderr(contains("store_dtype: stored \"bfloat16\"").and(contains(wanted)));
    }
    // Rows that the graph makes are those of the format that was chosen.
    toy.extract()
        .args(["--overwrite", "--rows", "device"])
        .assert()
        .success();
    let by_graph = tree(&toy.store());
    toy.extract()
        .args(["--overwrite", "--rows", "device", "--store-dtype", "bf16"])
        .assert()
        .success();
    assert_eq!(tree(&toy.store()), by_graph);
}

#[test]
fn output_options_stand_anywhere_and_others_where_they_mean_something() {
    let toy = Toy::new();
    toy.program()
        .args(["-q", "run"])
        .args(toy.arguments(&toy.root()))
        .assert()
        .success()
        .stderr("");
    let store = toy.store();
    toy.program()
        .args(["--quiet", "verify"])
        .arg(&store)
        .assert()
        .success()
        .stderr("");
    toy.program()
        .args(["--threads", "2", "verify"])
        .arg(&store)
        .assert()
        .code(1)
        .stderr(contains("--threads"));
}

#[test]
fn the_doctor_tells_what_will_be_used() {
    let toy = Toy::new();
    toy.program()
        .arg("doctor")
        .assert()
        .success()
        .stdout(contains("ONNX Runtime").and(contains("threads")));
    let missing = toy
        .program()
        .arg("doctor")
        .env("ORT_DYLIB_PATH", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).contains("ORT_DYLIB_PATH"),
        "{}",
        stderr(&missing)
    );
}
