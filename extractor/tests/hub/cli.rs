//! The program itself with names of the hub, as typed, and what it says when they cannot be had.

use std::path::Path;

use assert_cmd::Command;
use shared::datasets::SplitName;

use crate::parquet::fixture;
use crate::server::{COMMIT, CONVERTED, CONVERTED_COMMIT, Hub, weights};

/// A hub with the toy encoder as `org/toy` and CoNLL-2003 of a few made-up sentences.
fn hub() -> Hub {
    let hub = Hub::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/toy-bert");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        hub.add(
            "org/toy",
            name,
            fs_err::read(folder.join(name)).unwrap(),
            false,
        );
    }
    hub.add(
        "org/toy",
        "model.safetensors",
        fs_err::read(folder.join("model.safetensors")).unwrap(),
        true,
    );
    let id = "datasets/eriktks/conll2003";
    hub.add(id, "conll2003.py", "script", false);
    for split in SplitName::ALL {
        let bytes = fs_err::read(fixture(&format!("conll-{split}.parquet"))).unwrap();
        let name = format!("conll2003/{split}/0000.parquet");
        hub.add_at(id, CONVERTED, CONVERTED_COMMIT, &name, bytes, true);
    }
    hub
}

fn extractor(hub: &Hub, folder: &Path) -> Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("extractor"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["EXTRACTOR_", "SLURM_", "HF_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    // With a target folder elsewhere the libraries are not above the program.
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/onnxruntime/capi");
    if std::env::var_os("ORT_DYLIB_PATH").is_none() && libraries.is_dir() {
        command.env("ORT_DYLIB_PATH", libraries);
    }
    command
        .current_dir(folder)
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", folder.join("hf"));
    Command::from_std(command)
}

#[test]
fn names_are_fetched_extracted_and_recorded() {
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let run = |command: &mut Command| {
        command
            .args(["--model", "org/toy", "--out", "cache"])
            .output()
            .unwrap()
    };
    let output = run(extractor(&hub, folder).env("HF_TOKEN", "hf_secret"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("train 3, validation 1, test 2"), "{said}");
    let store = folder.join("cache/org--toy--conll2003.zarr");
    let manifest = fs_err::read_to_string(store.join("zarr.json")).unwrap();
    assert!(manifest.contains(COMMIT), "{manifest}");
    assert!(!said.contains("hf_secret") && !manifest.contains("hf_secret"));
    // The same again without the hub, from the shared cache.
    hub.seen();
    let output = run(extractor(&hub, folder).env("HF_HUB_OFFLINE", "1"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.contains("nothing to do"),
        "{said}"
    );
    assert_eq!(hub.seen(), []);
}

#[test]
fn a_plan_fetches_no_weights() {
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    hub.add("org/toy", "model.safetensors", weights(1 << 20), true);
    let arguments = [
        "plan",
        "--model",
        "org/toy",
        "--dataset",
        "conll2003",
        "--out",
        "cache",
    ];
    extractor(&hub, folder.path())
        .args(arguments)
        .assert()
        .success();
    assert!(
        !hub.seen()
            .iter()
            .any(|seen| seen.path.contains("safetensors"))
    );
}

#[test]
fn what_cannot_be_had_is_one_clear_error() {
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    hub.gate("org/toy");
    let fails = |arguments: &[&str], variables: &[(&str, &str)], said: &str| {
        let mut command = extractor(&hub, folder.path());
        let output = command
            .args(arguments)
            .args(["--out", "cache"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{said}: {text}");
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
        assert!(!text.contains("hf_secret"), "{text}");
    };
    fails(
        &["--model", "org/toy"],
        &[],
        "org/toy is gated: ask for access",
    );
    fails(
        &["--model", "org/toy"],
        &[("HF_TOKEN", "hf_secret")],
        "the one sent has none",
    );
    fails(
        &["--model", "org/toy"],
        &[("HF_TOKEN", "hf_secret bad")],
        "HF_TOKEN",
    );
    fails(
        &["--model", "org/toy"],
        &[("HF_HUB_OFFLINE", "1")],
        "HF_HUB_OFFLINE is set",
    );
    fails(
        &["--model", "org/toy"],
        &[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")],
        "TRANSFORMERS_OFFLINE is set",
    );
    fails(
        &["--model", "org/toy"],
        &[("HF_ENDPOINT", "http://hub.example")],
        "refused plain http to hub.example",
    );
    fails(
        &["--model", "nobody/nothing"],
        &[],
        "there is no nobody/nothing here, and the hub shows none",
    );
    fails(&["--model", "./nothing"], &[], "nothing");
    fails(
        &["--model", ".", "--revision", "main"],
        &[],
        "--revision is for models of the hub",
    );
}
