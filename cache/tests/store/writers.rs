//! Writers side by side, writers that come back, and stores that are not what was wanted.

use cache::{
    Io, OpenMode, Opened, Store, StoreDtype, StoreError, StoreWriter, find_store, store_path,
};
use shared::exit::{ExitStatus, HasExitStatus as _};

use testing::files::{assert_same, tree};
use testing::fixture::Fixture;

#[test]
fn two_writers_take_turns_and_the_second_on_a_part_is_refused() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let (alone, shared) = (
        folder.path().join("alone.zarr"),
        folder.path().join("shared.zarr"),
    );
    fixture.fill(&alone, 0);
    let (one, other) = (
        fixture.open(&shared).unwrap(),
        fixture.open(&shared).unwrap(),
    );
    let parts = one.parts();
    assert!(parts.len() > 4, "{} parts", parts.len());
    let first = one.begin(&parts[0]).unwrap();
    let error = other.begin(&parts[0]).unwrap_err();
    let pid = std::process::id().to_string();
    assert!(
        matches!(error, StoreError::Owned { .. }) && error.to_string().contains(&pid),
        "{error}"
    );
    drop(first);
    for (number, part) in parts.iter().enumerate() {
        let (writer, late) = if number.is_multiple_of(2) {
            (&one, &other)
        } else {
            (&other, &one)
        };
        fixture.write_part(writer, part, 5);
        assert!(matches!(
            late.begin(part),
            Err(StoreError::AlreadyDone { .. })
        ));
        assert_eq!(late.complete().unwrap(), number + 1 == parts.len());
    }
    assert!(one.complete().unwrap() && one.pending().is_empty());
    assert_same(&alone, &shared);
}

#[test]
fn a_part_that_is_dropped_leaves_nothing_and_can_be_written_again() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.zarr");
    let writer = fixture.open(&path).unwrap();
    let before = tree(&path);
    let part = &writer.pending()[1];
    let mut rows = writer.begin(part).unwrap();
    let statistics = fixture.write(&mut rows, 0);
    drop(rows);
    assert_eq!(tree(&path), before);
    let mut rows = writer.begin(part).unwrap();
    let (bytes, _) = fixture.rows(part.split, part.tokens.start..part.tokens.end - 1, &(0..0));
    rows.write(part.tokens.start, &bytes).unwrap();
    let error = rows.finish(&statistics).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("token {} was never written", part.tokens.end - 1)),
        "{error}"
    );
    assert_eq!(tree(&path), before);
}

#[test]
fn temporary_files_of_the_dead_are_swept() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let (calm, path) = (
        folder.path().join("calm.zarr"),
        folder.path().join("store.zarr"),
    );
    fixture.fill(&calm, 0);
    let _ = fixture.open(&path).unwrap();
    for name in [
        "train/hidden_states/.c.0.0.0.dead.tmp",
        "train/offsets/.c.0.dead.tmp",
        ".zarr.json.dead.tmp",
    ] {
        fs_err::write(path.join(name), b"half").unwrap();
    }
    fixture.fill(&path, 0);
    assert_same(&calm, &path);
}

#[test]
fn an_incomplete_store_is_refused_and_says_how_far_it_got() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.zarr");
    let writer = fixture.open(&path).unwrap();
    let total = writer.parts().len();
    fixture.write_part(&writer, &writer.parts()[2], 0);
    let error = Store::open(&path, Io::Auto).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("1 of {total} parts are done")),
        "{error}"
    );
    assert_eq!(error.exit_status(), ExitStatus::User);
    let inspection = cache::inspect::inspect(&path).unwrap();
    assert_eq!((inspection.complete, inspection.parts_done), (false, 1));
}

#[test]
fn every_field_that_differs_is_named() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.zarr");
    fixture.fill(&path, 0);
    let before = tree(&path);
    let mut other = Fixture::usual(StoreDtype::F16);
    other.manifest.model.weights_digest = "33cc".to_owned();
    other
        .manifest
        .versions
        .insert("onnxruntime".to_owned(), "1.31.1".to_owned());
    let error =
        StoreWriter::open(&path, &other.manifest, &other.tables, OpenMode::Resume).unwrap_err();
    let StoreError::Identity { differences, .. } = &error else {
        panic!("{error}")
    };
    let fields: Vec<_> = differences
        .iter()
        .map(|difference| difference.field.as_str())
        .collect();
    assert_eq!(fields, ["model.weights_digest", "versions.onnxruntime"]);
    assert!(
        error
            .to_string()
            .contains(r#"model.weights_digest: stored "00ff", wanted "33cc""#),
        "{error}"
    );
    assert_eq!(tree(&path), before);
}

#[test]
fn overwriting_starts_anew_but_not_under_a_living_writer() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let (path, fresh) = (
        folder.path().join("store.zarr"),
        folder.path().join("fresh.zarr"),
    );
    fixture.fill(&path, 0);
    let other = Fixture::usual(StoreDtype::F32);
    let overwrite =
        || StoreWriter::open(&path, &other.manifest, &other.tables, OpenMode::Overwrite);
    let Opened::Writer(writer) = overwrite().unwrap() else {
        panic!("nothing was overwritten")
    };
    // Before its first part too: a store that was just begun is not there to be deleted.
    assert!(matches!(overwrite(), Err(StoreError::Busy { .. })));
    let rows = writer.begin(&writer.pending()[0]).unwrap();
    assert!(matches!(overwrite(), Err(StoreError::Busy { .. })));
    drop(rows);
    other.fill(&path, 0);
    drop(writer);
    other.fill(&fresh, 0);
    assert_same(&fresh, &path);
}

/// Of many that want other activations at one place at once, one gets it, and the others are told who has it.
#[test]
fn of_writers_of_different_stores_at_one_place_one_wins() {
    let [halves, floats] = [StoreDtype::F16, StoreDtype::F32].map(Fixture::usual);
    for mode in [OpenMode::Overwrite, OpenMode::Resume] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.zarr");
        let barrier = std::sync::Barrier::new(8);
        let opened: Vec<_> = std::thread::scope(|scope| {
            let open = |number: usize| {
                let fixture = if number.is_multiple_of(2) {
                    &halves
                } else {
                    &floats
                };
                barrier.wait();
                StoreWriter::open(&path, &fixture.manifest, &fixture.tables, mode)
            };
            let threads: Vec<_> = (0..8)
                .map(|number| scope.spawn(move || open(number)))
                .collect();
            let threads = threads.into_iter();
            threads.map(|thread| thread.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = opened.iter().partition(|opened| opened.is_ok());
        match mode {
            OpenMode::Overwrite => assert_eq!(won.len(), 1),
            OpenMode::Resume => assert_eq!(won.len(), 4, "writers of one store work side by side"),
        }
        for error in lost {
            let error = error.as_ref().unwrap_err();
            assert!(
                matches!(error, StoreError::Busy { .. } | StoreError::Identity { .. }),
                "{error}"
            );
        }
        drop(opened);
        let (manifest, tables) = (&halves.manifest, &halves.tables);
        let won = StoreWriter::open(&path, manifest, tables, OpenMode::Resume).is_ok();
        let fixture = if won { &halves } else { &floats };
        fixture.fill(&path, 0);
        let alone = folder.path().join("alone.zarr");
        fixture.fill(&alone, 0);
        assert_same(&alone, &path);
    }
}

#[test]
fn what_is_no_store_is_left_alone() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("thesis.tex"), b"x").unwrap();
    for mode in [OpenMode::Resume, OpenMode::Overwrite] {
        let error =
            StoreWriter::open(folder.path(), &fixture.manifest, &fixture.tables, mode).unwrap_err();
        assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    }
    assert_eq!(tree(folder.path()).len(), 1);
    assert!(matches!(
        Store::open(folder.path(), Io::Auto),
        Err(StoreError::NoStore { .. })
    ));
}

#[test]
fn a_finished_store_is_said_to_be_complete() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let before = tree(folder.path());
    assert!(fixture.open(folder.path()).is_none());
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_full_or_read_only_disk_is_the_machines_fault() {
    let fixture = Fixture::usual(StoreDtype::F16);
    // A folder that can never be made, whoever runs the test.
    let error = StoreWriter::open(
        "/proc/nowhere/store.zarr".as_ref(),
        &fixture.manifest,
        &fixture.tables,
        OpenMode::Resume,
    )
    .unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Machine);
    assert!(error.to_string().contains("/proc/nowhere"), "{error}");
}

#[test]
fn stores_are_found_by_model_and_data_set() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(
        find_store(root.path(), None, None),
        Err(StoreError::NoStore { .. })
    ));
    let path = store_path(root.path(), "someone/tiny", "made-up");
    assert!(path.ends_with("someone--tiny--made-up.zarr"));
    let _ = fixture.open(&path).unwrap();
    assert_eq!(find_store(root.path(), None, None).unwrap(), path);
    assert_eq!(find_store(&path, None, None).unwrap(), path);
    let _ = Fixture::usual(StoreDtype::F32)
        .open(&store_path(root.path(), "someone/tiny", "other"))
        .unwrap();
    let error = find_store(root.path(), Some("someone/tiny"), None).unwrap_err();
    assert!(
        error.to_string().contains("someone--tiny--other.zarr"),
        "{error}"
    );
    assert!(find_store(root.path(), None, Some("another")).is_err());
}
