//! Models from the hub: which requests are made, and what is in the cache afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use extractor::model::{ModelError, ModelFiles};
use hub::model::Need;
use hub::{HubError, Token};
use shared::exit::{ExitStatus, HasExitStatus as _};

use crate::resolve;
use crate::server::{COMMIT, Fault, Hub, weights};

const MB: usize = 1 << 20;

fn hub() -> (Hub, tempfile::TempDir) {
    let hub = Hub::start();
    hub.add_model("org/tiny", 3 * MB);
    (hub, tempfile::tempdir().unwrap())
}

fn repository(cache: &Path) -> PathBuf {
    cache.join("models--org--tiny")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_cold_fetch_brings_what_is_needed_in_pythons_layout() {
    let (hub, cache) = hub();
    let model = resolve("org/tiny", None, &hub.options(cache.path())).unwrap();
    assert_eq!(
        (model.id.as_str(), model.revision.as_deref()),
        ("org/tiny", Some(COMMIT))
    );
    assert_eq!(fs_err::read(&model.weights[0]).unwrap(), weights(3 * MB));
    let folder = repository(cache.path());
    assert_eq!(
        fs_err::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
    let snapshot = folder.join("snapshots").join(COMMIT);
    assert_eq!(
        files(&snapshot),
        [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    // Two of the files are equal, and so one blob.
    assert_eq!(files(&folder.join("blobs")).len(), 3);
    let target = fs_err::read_link(snapshot.join("config.json")).unwrap();
    // `git hash-object` of the file.
    assert_eq!(
        target,
        Path::new("../../blobs/46332c50668921e90868a1d44a2550bb60ffdb1d").to_owned()
    );
    assert!(
        !hub.seen()
            .iter()
            .any(|seen| seen.path.contains(".bin") || seen.path.contains("README"))
    );
}

#[test]
fn a_warm_start_asks_for_the_commit_only_and_a_commit_asks_nothing() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    let first = resolve("org/tiny", None, &options).unwrap();
    hub.seen();
    assert_eq!(resolve("org/tiny", None, &options).unwrap(), first);
    let seen = hub.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].path, "/api/models/org/tiny/revision/main");
    assert_eq!(resolve("org/tiny", Some(COMMIT), &options).unwrap(), first);
    options.offline = true;
    assert_eq!(resolve("org/tiny", None, &options).unwrap(), first);
    assert_eq!(hub.seen(), []);
}

#[test]
fn a_new_commit_is_found_and_what_did_not_change_is_not_fetched_again() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    resolve("org/tiny", None, &options).unwrap();
    hub.seen();
    let next = "ffffffffffffffffffffffffffffffffffffffff";
    hub.add_at(
        "org/tiny",
        "next",
        next,
        "config.json",
        r#"{"model_type": "gpt2"}"#,
        false,
    )
    .add_at("org/tiny", "next", next, "tokenizer.json", "{}", false)
    .add_at(
        "org/tiny",
        "next",
        next,
        "model.safetensors",
        weights(3 * MB),
        true,
    );
    let model = resolve("org/tiny", Some("next"), &options).unwrap();
    assert_eq!(model.revision.as_deref(), Some(next));
    assert!(
        fs_err::read_to_string(model.config)
            .unwrap()
            .contains("gpt2")
    );
    assert_eq!(hub.seen().iter().filter(|seen| seen.at_store).count(), 0);
}

#[test]
fn offline_without_a_copy_says_what_to_do_and_asks_nothing() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    options.offline = true;
    let error = resolve("org/tiny", None, &options).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("HF_HUB_OFFLINE") && text.contains("hf download org/tiny"),
        "{text}"
    );
    assert!(text.contains(cache.path().to_str().unwrap()), "{text}");
    assert_eq!(error.exit_status(), ExitStatus::User);
    // A copy that lacks one file is no copy.
    options.offline = false;
    resolve("org/tiny", None, &options).unwrap();
    let snapshot = repository(cache.path()).join("snapshots").join(COMMIT);
    fs_err::remove_file(snapshot.join("model.safetensors")).unwrap();
    options.offline = true;
    hub.seen();
    let error = resolve("org/tiny", None, &options).unwrap_err().to_string();
    assert!(error.contains("model.safetensors is missing"), "{error}");
    assert_eq!(hub.seen(), []);
}

#[test]
fn a_connection_cut_in_the_middle_goes_on_where_it_was() {
    let (hub, cache) = hub();
    hub.fail("signature", Fault::Cut(MB));
    hub.fail("signature", Fault::Cut(MB / 2));
    let model = resolve("org/tiny", None, &hub.options(cache.path())).unwrap();
    assert_eq!(fs_err::read(&model.weights[0]).unwrap(), weights(3 * MB));
    let ranges: Vec<_> = hub
        .seen()
        .into_iter()
        .filter(|seen| seen.at_store)
        .map(|seen| seen.range)
        .collect();
    let range = |start: usize| Some(format!("bytes={start}-"));
    assert_eq!(ranges, [None, range(MB), range(MB + MB / 2)]);
}

#[test]
fn an_interrupted_fetch_is_resumed_by_the_next_start() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    options.attempts = 1;
    hub.fail("signature", Fault::Cut(2 * MB));
    let error = resolve("org/tiny", None, &options).unwrap_err();
    assert!(matches!(error, HubError::NoConnection { .. }), "{error}");
    assert_eq!(error.exit_status(), ExitStatus::Machine);
    let blobs = repository(cache.path()).join("blobs");
    let part = files(&blobs)
        .into_iter()
        .find(|name| name.ends_with(".incomplete"))
        .unwrap();
    assert_eq!(
        fs_err::metadata(blobs.join(part)).unwrap().len(),
        2 * MB as u64
    );
    // Nothing that is not whole may look so, to Python neither.
    assert!(
        !repository(cache.path())
            .join("snapshots")
            .join(COMMIT)
            .join("model.safetensors")
            .exists()
    );
    hub.seen();
    let model = resolve("org/tiny", None, &options).unwrap();
    assert_eq!(fs_err::read(&model.weights[0]).unwrap(), weights(3 * MB));
    let store: Vec<_> = hub
        .seen()
        .into_iter()
        .filter(|seen| seen.at_store)
        .collect();
    assert_eq!(store.len(), 1);
    assert_eq!(store[0].range.as_deref(), Some("bytes=2097152-"));
    assert!(
        !files(&blobs)
            .iter()
            .any(|name| name.ends_with(".incomplete"))
    );
}

#[test]
fn a_signal_stops_a_fetch_and_keeps_what_came() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    options.stop.stop();
    let error = resolve("org/tiny", None, &options).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Interrupted);
}

#[test]
fn a_damaged_part_of_an_earlier_start_is_fetched_anew() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    options.attempts = 1;
    hub.fail("signature", Fault::Cut(MB));
    resolve("org/tiny", None, &options).unwrap_err();
    let blobs = repository(cache.path()).join("blobs");
    let part = blobs.join(
        files(&blobs)
            .into_iter()
            .find(|name| name.ends_with(".incomplete"))
            .unwrap(),
    );
    fs_err::write(&part, vec![7; MB]).unwrap();
    let model = resolve("org/tiny", None, &options).unwrap();
    assert_eq!(fs_err::read(&model.weights[0]).unwrap(), weights(3 * MB));
}

#[test]
fn a_server_that_knows_no_ranges_sends_the_file_from_its_beginning() {
    let (hub, cache) = hub();
    hub.fail("signature", Fault::Cut(MB));
    hub.fail("signature", Fault::WholeFile);
    let model = resolve("org/tiny", None, &hub.options(cache.path())).unwrap();
    assert_eq!(fs_err::read(&model.weights[0]).unwrap(), weights(3 * MB));
}

#[test]
fn another_digest_than_announced_leaves_nothing_behind() {
    let (hub, cache) = hub();
    hub.fail("signature", Fault::OtherBytes);
    let error = resolve("org/tiny", None, &hub.options(cache.path())).unwrap_err();
    assert!(
        matches!(&error, HubError::Digest { name, .. } if name == "model.safetensors"),
        "{error}"
    );
    let folder = repository(cache.path());
    assert_eq!(
        files(&folder.join("blobs")).len(),
        2,
        "only the two small files"
    );
    assert!(!folder.join("refs/main").exists());
    assert!(resolve("org/tiny", None, &hub.options(cache.path())).is_ok());
}

#[test]
fn small_files_are_checked_too() {
    let (hub, cache) = hub();
    // The first request of the file is for its headers.
    hub.fail("config.json", Fault::Busy(503, None));
    hub.fail(
        "/resolve/5c38ec7c405ec4b44b94cc5a9bb96e735b38267a/tokenizer.json",
        Fault::OtherBytes,
    );
    hub.fail(
        "/resolve/5c38ec7c405ec4b44b94cc5a9bb96e735b38267a/tokenizer.json",
        Fault::OtherBytes,
    );
    let error = resolve("org/tiny", None, &hub.options(cache.path())).unwrap_err();
    assert!(
        matches!(&error, HubError::Digest { name, .. } if name == "tokenizer.json"),
        "{error}"
    );
}

#[test]
fn a_busy_hub_is_asked_again_but_not_for_ever() {
    let (hub, cache) = hub();
    hub.fail("/api/", Fault::Busy(429, Some(0)));
    hub.fail("/api/", Fault::Busy(503, None));
    assert!(resolve("org/tiny", None, &hub.options(cache.path())).is_ok());
    let fresh = tempfile::tempdir().unwrap();
    (0..3).for_each(|_| hub.fail("/api/", Fault::Busy(500, None)));
    let error = resolve("org/tiny", None, &hub.options(fresh.path())).unwrap_err();
    assert!(
        matches!(error, HubError::Status { status: 500, .. }),
        "{error}"
    );
    hub.fail("/api/", Fault::Busy(429, Some(3600)));
    let begun = std::time::Instant::now();
    let error = resolve("org/tiny", None, &hub.options(fresh.path())).unwrap_err();
    assert!(
        matches!(error, HubError::RateLimit { wait } if wait == Duration::from_hours(1)),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_hub_that_is_down_does_not_matter_to_a_complete_copy() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    let first = resolve("org/tiny", None, &options).unwrap();
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    options.endpoint = format!("http://{free}");
    assert_eq!(resolve("org/tiny", None, &options).unwrap(), first);
    let empty = tempfile::tempdir().unwrap();
    options.cache = empty.path().to_owned();
    let error = resolve("org/tiny", None, &options).unwrap_err().to_string();
    assert!(
        error.contains("hf download org/tiny") && error.contains("127.0.0.1"),
        "{error}"
    );
}

#[test]
fn unknown_names_and_revisions_are_told() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    let error = resolve("org/nothing", None, &options).unwrap_err();
    assert!(matches!(error, HubError::NoRepository { .. }), "{error}");
    assert!(error.to_string().contains("/org/nothing"), "{error}");
    let error = resolve("org/tiny", Some("v2"), &options).unwrap_err();
    assert!(
        matches!(&error, HubError::NoRevision { revision, .. } if revision == "v2"),
        "{error}"
    );
    let error = ModelFiles::resolve("./no/folder", None, Need::All, &options).unwrap_err();
    assert!(matches!(error, ModelError::NoFolder { .. }), "{error}");
}

#[test]
fn a_gated_model_asks_for_a_token_and_comes_with_one() {
    let (hub, cache) = hub();
    hub.gate("org/tiny");
    let mut options = hub.options(cache.path());
    let error = resolve("org/tiny", None, &options).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::User);
    let text = error.to_string();
    assert!(
        text.contains("org/tiny is gated: ask for access at") && text.contains("HF_TOKEN"),
        "{text}"
    );
    options.token = Token::new("hf_bad").unwrap();
    let text = resolve("org/tiny", None, &options).unwrap_err().to_string();
    assert!(
        text.contains("the one sent has none") && !text.contains("hf_bad"),
        "{text}"
    );
    options.token = Token::new("hf_good").unwrap();
    assert!(resolve("org/tiny", None, &options).is_ok());
}

#[test]
fn weights_in_several_files_are_followed_by_their_index() {
    let hub = Hub::start();
    let cache = tempfile::tempdir().unwrap();
    hub.add_model("org/large", 1);
    let hub2 = Hub::start();
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}"#;
    hub2.add("org/large", "config.json", "{}", false)
        .add("org/large", "vocab.txt", "[UNK]", false)
        .add("org/large", "model.safetensors.index.json", index, false)
        .add(
            "org/large",
            "model-00001-of-00002.safetensors",
            weights(10),
            true,
        )
        .add(
            "org/large",
            "model-00002-of-00002.safetensors",
            weights(20),
            true,
        )
        .add(
            "org/large",
            "model-00003-of-00002.safetensors",
            weights(30),
            true,
        );
    let model = resolve("org/large", None, &hub2.options(cache.path())).unwrap();
    let sizes: Vec<u64> = model
        .weights
        .iter()
        .map(|path| fs_err::metadata(path).unwrap().len())
        .collect();
    assert_eq!(sizes, [10, 20]);
    // A shard that went missing is noticed offline.
    fs_err::remove_file(&model.weights[1]).unwrap();
    let mut options = hub2.options(cache.path());
    options.offline = true;
    let error = resolve("org/large", None, &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model-00002-of-00002.safetensors is missing"),
        "{error}"
    );
}

#[test]
fn weights_that_only_python_reads_are_not_fetched() {
    let hub = Hub::start();
    let cache = tempfile::tempdir().unwrap();
    hub.add("org/old", "config.json", "{}", false).add(
        "org/old",
        "pytorch_model.bin",
        "pickle",
        true,
    );
    let error = resolve("org/old", None, &hub.options(cache.path()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("only pytorch_model.bin") && error.contains("save_pretrained"),
        "{error}"
    );
    assert_eq!(hub.seen().len(), 1);
}

#[test]
fn weights_of_llama_cpp_are_not_fetched() {
    let hub = Hub::start();
    let cache = tempfile::tempdir().unwrap();
    // Most have no configuration of their own.
    hub.add("org/small-GGUF", "small.Q8_0.gguf", "GGUF", true)
        .add("org/small-GGUF", "small.Q4_0.gguf", "GGUF", true)
        .add("org/both", "config.json", "{}", false)
        .add("org/both", "small.gguf", "GGUF", true);
    for (id, file) in [
        ("org/small-GGUF", "small.Q4_0.gguf"),
        ("org/both", "small.gguf"),
    ] {
        let error = resolve(id, None, &hub.options(cache.path()))
            .unwrap_err()
            .to_string();
        for part in [file, "that it was made from", "gguf_file="] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert_eq!(hub.seen().len(), 2);
}

#[test]
fn a_model_that_moved_keeps_the_name_that_was_typed() {
    let (hub, cache) = hub();
    hub.rename("tiny", "org/tiny");
    let model = resolve("tiny", None, &hub.options(cache.path())).unwrap();
    assert_eq!(model.id, "tiny");
    assert!(cache.path().join("models--tiny/refs/main").exists());
}

#[test]
fn two_fetches_at_once_fetch_once() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| resolve("org/tiny", None, &options).unwrap());
        }
    });
    assert_eq!(hub.seen().iter().filter(|seen| seen.at_store).count(), 1);
}

#[test]
fn random_weights_need_none_on_the_hub() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    let files = ModelFiles::resolve_random("org/tiny", None, 5, &options).unwrap();
    assert_eq!((files.weights.len(), files.random_seed), (0, Some(5)));
    assert!(
        !hub.seen()
            .iter()
            .any(|seen| seen.path.contains("safetensors"))
    );
    let revision = files.revision.as_deref();
    // Weights that are there change nothing, and a commit that is there takes no request.
    resolve("org/tiny", None, &options).unwrap();
    hub.seen();
    let again = ModelFiles::resolve_random("org/tiny", revision, 5, &options).unwrap();
    assert_eq!(again, files);
    assert_eq!(hub.seen(), []);

    // A model that was never trained, or whose weights are of another format.
    hub.add("org/untrained", "config.json", "{}", false);
    hub.add("org/untrained", "tokenizer.json", "{}", false);
    let error = resolve("org/untrained", None, &options).unwrap_err();
    assert!(matches!(error, HubError::NoSafetensors { .. }), "{error}");
    let files = ModelFiles::resolve_random("org/untrained", None, 5, &options).unwrap();
    assert_eq!(files.name(), "org/untrained-random5");
}

#[test]
fn a_plan_fetches_no_weights_and_an_extraction_after_it_only_those() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    let plan = ModelFiles::resolve("org/tiny", None, Need::Description, &options);
    assert_eq!(plan.unwrap().weights, Vec::<PathBuf>::new());
    assert!(!hub.seen().iter().any(|seen| seen.at_store));
    let model = resolve("org/tiny", None, &options).unwrap();
    let paths: Vec<String> = hub.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths.len(),
        4,
        "listing, headers, redirect and bytes: {paths:?}"
    );
    let plan = ModelFiles::resolve("org/tiny", None, Need::Description, &options);
    assert_eq!(plan.unwrap(), model);
}
