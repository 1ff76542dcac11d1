//! One cache for this program and for Python: each finds what the other fetched.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::server::{COMMIT, Hub};

const VARIABLE: &str = "PYTHON_WITH_HUGGINGFACE_HUB";
const NAMES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// Looks for every file without a request, and for the snapshot as a whole.
const FIND: &str = r#"
import os, sys
from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache
cache, commit, *names = sys.argv[1:]
for name in names:
    for revision in (None, "main", commit):
        path = try_to_load_from_cache("org/tiny", name, cache_dir=cache, revision=revision)
        assert isinstance(path, str) and os.path.isfile(path), (name, revision, path)
folder = snapshot_download("org/tiny", cache_dir=cache, local_files_only=True)
assert os.path.basename(folder) == commit, folder
assert sorted(os.listdir(folder)) == sorted(names), os.listdir(folder)
(repository,) = scan_cache_dir(cache).repos
assert repository.repo_id == "org/tiny" and repository.nb_files == 3, repository
assert not scan_cache_dir(cache).warnings
"#;

const FETCH: &str = r#"
import sys
from huggingface_hub import hf_hub_download
cache, commit, *names = sys.argv[1:]
for name in names:
    hf_hub_download("org/tiny", name, cache_dir=cache)
"#;

fn python() -> Option<OsString> {
    let python = std::env::var_os(VARIABLE);
    if python.is_none() {
        println!("skipped: {VARIABLE} names no Python with huggingface_hub");
    }
    python
}

fn run(python: &OsString, script: &str, hub: &Hub, cache: &Path) {
    let mut command = Command::new(python);
    command
        .args(["-c", script])
        .arg(cache)
        .arg(COMMIT)
        .args(NAMES);
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HUB_DISABLE_TELEMETRY", "1");
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn python_finds_what_was_fetched_here() {
    let Some(python) = python() else { return };
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.add_model("org/tiny", 100_000);
    crate::resolve("org/tiny", None, &hub.options(cache.path())).unwrap();
    run(&python, FIND, &hub, cache.path());
}

#[test]
fn what_python_fetched_is_found_here() {
    let Some(python) = python() else { return };
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.add_model("org/tiny", 100_000);
    run(&python, FETCH, &hub, cache.path());
    hub.seen();
    let mut options = hub.options(cache.path());
    options.offline = true;
    let model = crate::resolve("org/tiny", None, &options).unwrap();
    assert_eq!(model.revision.as_deref(), Some(COMMIT));
    assert_eq!(hub.seen(), []);
}
