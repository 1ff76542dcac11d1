//! Data sets from the hub: their own parquet files or the hub's conversion, configurations, splits and classes.

use hub::HubError;
use hub::dataset::{fetch, load};
use shared::datasets::{Source, SplitName};
use shared::tasks::Task;

use crate::parquet::fixture;
use crate::server::{CONVERTED, CONVERTED_COMMIT, Hub};

fn bytes(name: &str) -> Vec<u8> {
    fs_err::read(fixture(name)).unwrap()
}

/// CoNLL-2003 as the hub has it: a script in the repository, parquet on the branch of conversions.
fn conll() -> (Hub, tempfile::TempDir) {
    let hub = Hub::start();
    let id = "datasets/eriktks/conll2003";
    hub.add(id, "conll2003.py", "script", false)
        .add(id, "README.md", "# CoNLL", false);
    for split in SplitName::ALL {
        let name = format!("conll2003/{split}/0000.parquet");
        hub.add_at(
            id,
            CONVERTED,
            CONVERTED_COMMIT,
            &name,
            bytes(&format!("conll-{split}.parquet")),
            true,
        );
    }
    (hub, tempfile::tempdir().unwrap())
}

#[test]
fn the_default_set_is_read_from_its_conversion() {
    let (hub, cache) = conll();
    let mut options = hub.options(cache.path());
    let data = load("conll2003", None, &Source::default(), &options).unwrap();
    assert_eq!((data.id.as_str(), data.task), ("conll2003", Task::Ner));
    assert_eq!(data.splits.len(), 3);
    assert_eq!(data.classes[1], "B-PER");
    let folder = cache.path().join("datasets--eriktks--conll2003");
    assert_eq!(
        fs_err::read_to_string(folder.join("refs/refs/convert/parquet")).unwrap(),
        CONVERTED_COMMIT
    );
    assert!(
        folder
            .join("snapshots")
            .join(CONVERTED_COMMIT)
            .join("conll2003/train/0000.parquet")
            .is_file()
    );
    // A warm start asks for the two commits and nothing else, an offline one for nothing.
    hub.seen();
    let again = load("conll2003", None, &Source::default(), &options).unwrap();
    let paths: Vec<String> = hub.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/api/datasets/eriktks/conll2003/revision/main",
            "/api/datasets/eriktks/conll2003/revision/refs%2Fconvert%2Fparquet",
        ]
    );
    options.offline = true;
    let offline = load("conll2003", None, &Source::default(), &options).unwrap();
    assert_eq!(hub.seen(), []);
    assert_eq!(
        (again.digest(), offline.digest()),
        (data.digest(), data.digest())
    );
}

#[test]
fn the_task_chooses_the_column_of_a_known_set() {
    let (hub, cache) = conll();
    let source = Source {
        task: Some(Task::Pos),
        ..Source::default()
    };
    let data = load("conll2003", None, &source, &hub.options(cache.path())).unwrap();
    assert_eq!((data.task, data.classes[0].as_str()), (Task::Pos, "NOUN"));
}

#[test]
fn offline_without_all_files_says_which_is_missing() {
    let (hub, cache) = conll();
    let mut options = hub.options(cache.path());
    options.offline = true;
    let error = fetch("conll2003", None, &options).unwrap_err().to_string();
    assert!(
        error.contains("HF_HUB_OFFLINE")
            && error.contains("hf download --repo-type dataset eriktks/conll2003"),
        "{error}"
    );
    options.offline = false;
    fetch("conll2003", None, &options).unwrap();
    let snapshot = cache
        .path()
        .join("datasets--eriktks--conll2003/snapshots")
        .join(CONVERTED_COMMIT);
    fs_err::remove_file(snapshot.join("conll2003/test/0000.parquet")).unwrap();
    options.offline = true;
    let error = fetch("conll2003", None, &options).unwrap_err().to_string();
    assert!(
        error.contains("conll2003/test/0000.parquet is missing"),
        "{error}"
    );
}

#[test]
fn a_sets_own_parquet_goes_first_and_configurations_are_chosen() {
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    for config in ["en", "de"] {
        hub.add(
            "datasets/org/ner",
            &format!("{config}/train-00000-of-00001.parquet"),
            bytes("conll-train.parquet"),
            true,
        )
        .add(
            "datasets/org/ner",
            &format!("{config}/dev-00000-of-00001.parquet"),
            bytes("conll-validation.parquet"),
            false,
        );
    }
    let options = hub.options(cache.path());
    let error = fetch("org/ner", None, &options).unwrap_err().to_string();
    assert!(
        error.contains("--dataset-config with one of de, en"),
        "{error}"
    );
    let error = fetch("org/ner", Some("fr"), &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no configuration `fr`"), "{error}");
    let found = fetch("org/ner", Some("de"), &options).unwrap();
    assert_eq!(found.config, "de");
    assert_eq!(
        found.files.keys().copied().collect::<Vec<_>>(),
        [SplitName::Train, SplitName::Validation]
    );
    assert!(
        hub.seen()
            .iter()
            .all(|seen| !seen.path.contains("/en/") && !seen.path.contains("convert"))
    );
}

#[test]
fn classes_come_from_the_card_where_the_files_name_none() {
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    let card = "---\ndataset_info:\n  features:\n  - name: tokens\n    sequence: string\n  - name: tags\n    sequence:\n      \
                class_label:\n        names:\n          '0': X\n          '1': Y\n          '2': Z\n---\n# Words\n";
    hub.add(
        "datasets/org/words",
        "data/train-00000-of-00001.parquet",
        bytes("groups-zstd.parquet"),
        true,
    )
    .add("datasets/org/words", "README.md", card, false);
    let data = load(
        "org/words",
        None,
        &Source::default(),
        &hub.options(cache.path()),
    )
    .unwrap();
    assert_eq!(data.classes, ["X", "Y", "Z"]);
}

#[test]
fn sets_without_parquet_or_usual_splits_say_what_to_do() {
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.add("datasets/org/csv", "train.csv", "a,b", false).add(
        "datasets/org/odd",
        "data/unsupervised-00000-of-00001.parquet",
        bytes("texts.parquet"),
        false,
    );
    let options = hub.options(cache.path());
    let error = fetch("org/csv", None, &options).unwrap_err();
    assert!(
        matches!(error, HubError::NoParquet { .. }) && error.to_string().contains("--dataset"),
        "{error}"
    );
    let error = fetch("org/odd", None, &options).unwrap_err().to_string();
    assert!(error.contains("unsupervised"), "{error}");
    let error = fetch("org/none", None, &options).unwrap_err().to_string();
    assert!(error.contains("/datasets/org/none"), "{error}");
}

#[test]
fn a_converted_set_cannot_place_files_elsewhere() {
    let (hub, cache) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.add(
        "datasets/org/evil",
        "../../../data/train.parquet",
        bytes("texts.parquet"),
        false,
    );
    let error = fetch("org/evil", None, &hub.options(cache.path())).unwrap_err();
    assert!(matches!(error, HubError::Name { .. }), "{error}");
}
