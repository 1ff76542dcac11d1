//! Whatever happens to a store on a disk is found, by the reader where it can be seen cheaply and by `verify`
//! always, and only what is damaged is made again.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use cache::verify::{ProblemKind, Report, verify};
use cache::{Codec, Io, Reading, Store, StoreDtype, StoreError};
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus as _};

use testing::files::{assert_same, tree};
use testing::fixture::Fixture;

const FILE: &str = "train/hidden_states/c.1.0.0";

fn check(path: &Path) -> Report {
    verify(path, false, &|_, _| ()).unwrap()
}

/// Reads every sequence of every split.
fn read_all(path: &Path, how: impl Into<Reading>) -> Result<(), StoreError> {
    let store = Store::open(path, how)?;
    for split in store.splits() {
        split.check_tables()?;
        for sequence in 0..split.len() {
            split.hidden_states(sequence)?;
        }
    }
    Ok(())
}

fn flip(path: &Path, byte: u64) {
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut value = [0];
    file.file().read_exact_at(&mut value, byte).unwrap();
    file.file().write_all_at(&[value[0] ^ 4], byte).unwrap();
}

/// Damages a store, checks what verify and the readers say, and that repairing and filling makes it whole again.
fn damaged(damage: impl Fn(&Path), named: &[&str], kind: ProblemKind, seen_by_readers: bool) {
    for (dtype, codec) in [
        (StoreDtype::F16, Codec::None),
        (StoreDtype::F16, Codec::Blosc),
        (StoreDtype::I4, Codec::None),
    ] {
        let fixture = Fixture::usual(dtype).compressed(codec);
        damaged_fixture(&fixture, &damage, named, kind, seen_by_readers);
    }
}

fn damaged_fixture(
    fixture: &Fixture,
    damage: impl Fn(&Path),
    named: &[&str],
    kind: ProblemKind,
    seen_by_readers: bool,
) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = (
        folder.path().join("whole.zarr"),
        folder.path().join("store.zarr"),
    );
    fixture.fill(&whole, 0);
    fixture.fill(&path, 0);
    assert_eq!(check(&path).problems, []);
    damage(&path);
    let report = check(&path);
    let found: Vec<_> = report
        .problems
        .iter()
        .map(|problem| problem.path.to_str().unwrap())
        .collect();
    assert_eq!(found, named);
    assert!(
        report.problems.iter().all(|problem| problem.kind == kind),
        "{report:?}"
    );
    for io in [Io::Mmap, Io::Read, Io::Ram] {
        let read = read_all(&path, io);
        assert_eq!(read.is_err(), seen_by_readers, "{io:?}: {read:?}");
        if let Err(error) = read {
            assert!(
                named.iter().any(|named| error.to_string().contains(named)),
                "{error}"
            );
        }
    }
    let report = verify(&path, true, &|_, _| ()).unwrap();
    assert!(report.repaired);
    if kind != ProblemKind::Orphan {
        let writer = fixture.open(&path).unwrap();
        assert!(
            writer.pending().len() <= named.len().min(2),
            "{:?}",
            writer.pending()
        );
    }
    fixture.fill(&path, 0);
    assert_eq!(check(&path).problems, []);
    assert_same(&whole, &path);
}

#[test]
fn a_flipped_bit_is_found_when_its_chunk_is_touched() {
    damaged(
        |path| flip(&path.join(FILE), 100),
        &[FILE],
        ProblemKind::Damaged,
        true,
    );
}

#[test]
fn a_damaged_chunk_is_named_with_its_sentence_and_the_others_are_still_read() {
    for (codec, io) in [
        (Codec::None, Io::Mmap),
        (Codec::None, Io::Read),
        (Codec::Zstd, Io::Mmap),
        (Codec::Zstd, Io::Read),
    ] {
        let fixture = Fixture::usual(StoreDtype::F16).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        fixture.fill(folder.path(), 0);
        flip(&folder.path().join(FILE), 100);
        let store = Store::open(folder.path(), io).unwrap();
        let split = store.split(SplitName::Train).unwrap();
        // The first chunk of file 1 begins at token 32; a sequence that only touches others is read.
        let layout = split.layout();
        let chunk = layout.file_tokens()..layout.file_tokens() + layout.chunk_tokens;
        for sequence in 0..split.len() {
            let tokens = split.tokens_of(sequence).unwrap();
            let touches = tokens.start < chunk.end && chunk.start < tokens.end;
            let read = split.hidden_states(sequence);
            assert_eq!(read.is_err(), touches, "{codec}, {io:?}, {tokens:?}");
            if let Err(error) = read {
                let sentence = split.sentence_of()[sequence] + 1;
                let message = error.to_string();
                assert!(
                    message.contains("inner chunk 0, tokens 32 to 39"),
                    "{message}"
                );
                assert!(
                    message.contains(&format!("sentence {sentence} of train")),
                    "{message}"
                );
                assert_eq!(error.exit_status(), ExitStatus::Machine);
            }
        }
    }
}

#[test]
fn without_checksums_a_flipped_bit_is_not_looked_for() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    flip(&folder.path().join(FILE), 100);
    flip(&folder.path().join("train/input_ids/c.0"), 9);
    for io in [Io::Mmap, Io::Read, Io::Ram] {
        let unchecked = Reading {
            io,
            checksums: false,
        };
        read_all(folder.path(), unchecked).unwrap();
    }
}

#[test]
fn a_file_that_becomes_shorter_under_its_map_is_an_error() {
    for codec in [Codec::None, Codec::Zstd] {
        let fixture = Fixture::usual(StoreDtype::F16).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        fixture.fill(folder.path(), 0);
        let store = Store::open(folder.path(), Io::Mmap).unwrap();
        let split = store.split(SplitName::Train).unwrap();
        let last = split.len() - 1;
        let layout = split.layout();
        split.hidden_states(last).unwrap();
        let file = layout.file_path(layout.files() - 1);
        let options = fs_err::OpenOptions::new()
            .write(true)
            .open(folder.path().join(&file));
        options.unwrap().set_len(0).unwrap();
        let read = split.hidden_states(last);
        // What is decoded already does not need the file any more.
        if codec.is_none() {
            let message = read.unwrap_err().to_string();
            assert!(message.contains("became shorter"), "{message}");
            assert!(message.contains(file.to_str().unwrap()), "{message}");
        } else {
            read.unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_of_the_index_or_a_checksum_is_found_when_the_file_is_touched() {
    let last = |path: &Path| fs_err::metadata(path.join(FILE)).unwrap().len() - 1;
    damaged(
        |path| flip(&path.join(FILE), last(path)),
        &[FILE],
        ProblemKind::Damaged,
        true,
    );
    damaged(
        |path| flip(&path.join(FILE), last(path) - 30),
        &[FILE],
        ProblemKind::Damaged,
        true,
    );
}

#[test]
fn a_truncated_file_is_an_error_of_the_first_reading() {
    let truncate = |path: &Path| {
        fs_err::OpenOptions::new()
            .write(true)
            .open(path.join(FILE))
            .unwrap()
            .set_len(500)
            .unwrap();
    };
    damaged(truncate, &[FILE], ProblemKind::Damaged, true);
}

#[test]
fn swapped_files_are_found() {
    let other = "train/hidden_states/c.2.0.0";
    let swap = |path: &Path| {
        fs_err::rename(path.join(FILE), path.join("x")).unwrap();
        fs_err::rename(path.join(other), path.join(FILE)).unwrap();
        fs_err::rename(path.join("x"), path.join(other)).unwrap();
    };
    damaged(swap, &[FILE, other], ProblemKind::Damaged, true);
}

#[test]
fn a_deleted_file_is_found() {
    damaged(
        |path| fs_err::remove_file(path.join(FILE)).unwrap(),
        &[FILE],
        ProblemKind::Missing,
        true,
    );
}

#[test]
fn a_damaged_small_array_is_found() {
    damaged(
        |path| flip(&path.join("train/input_ids/c.0"), 9),
        &["train/input_ids/c.0"],
        ProblemKind::Damaged,
        true,
    );
    let file = "test/labels/pos/c.0";
    damaged(
        |path| fs_err::remove_file(path.join(file)).unwrap(),
        &[file],
        ProblemKind::Missing,
        true,
    );
}

#[test]
fn edited_metadata_of_an_array_is_found() {
    let file = "train/hidden_states/zarr.json";
    let edit = |path: &Path| {
        let text = fs_err::read_to_string(path.join(file)).unwrap();
        let edited = text.replace("\"data_type\": \"", "\"data_type\": \"x");
        assert_ne!(edited, text);
        fs_err::write(path.join(file), edited).unwrap();
    };
    damaged(edit, &[file], ProblemKind::Damaged, false);
}

#[test]
fn a_stray_file_is_found() {
    let file = "train/hidden_states/c.99.0.0";
    damaged(
        |path| fs_err::write(path.join(file), b"x").unwrap(),
        &[file],
        ProblemKind::Orphan,
        false,
    );
}

#[test]
fn a_damaged_done_list_means_making_all_again() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let whole = tree(folder.path());
    fs_err::write(folder.path().join("done.json"), b"{").unwrap();
    assert!(
        Store::open(folder.path(), Io::Mmap)
            .unwrap_err()
            .to_string()
            .contains("done.json")
    );
    let report = verify(folder.path(), true, &|_, _| ()).unwrap();
    assert_eq!(report.problems[0].path, Path::new("done.json"));
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems)
    };
    assert_eq!(
        problem.to_string(),
        format!("done.json: {}", problem.detail)
    );
    fixture.fill(folder.path(), 0);
    assert_eq!(tree(folder.path()), whole);
}

#[test]
fn an_edited_manifest_is_refused_by_all() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let file = folder.path().join("zarr.json");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, text.replace("someone/tiny", "someone/else")).unwrap();
    assert!(matches!(
        Store::open(folder.path(), Io::Mmap),
        Err(StoreError::EditedManifest { .. })
    ));
    let report = verify(folder.path(), true, &|_, _| ()).unwrap();
    assert_eq!(report.problems[0].kind, ProblemKind::Edited);
    assert!(!report.repaired && folder.path().join("done.json").exists());
}

#[test]
fn a_newer_version_is_refused_by_all() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let file = folder.path().join("zarr.json");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(
        &file,
        text.replace("\"format_version\": 1", "\"format_version\": 2"),
    )
    .unwrap();
    assert!(matches!(
        Store::open(folder.path(), Io::Mmap),
        Err(StoreError::NewerVersion { found: 2, .. })
    ));
    assert!(matches!(
        verify(folder.path(), false, &|_, _| ()),
        Err(StoreError::NewerVersion { .. })
    ));
    assert!(matches!(
        fixture_open(&fixture, folder.path()),
        StoreError::NewerVersion { .. }
    ));
}

fn fixture_open(fixture: &Fixture, path: &Path) -> StoreError {
    cache::StoreWriter::open(
        path,
        &fixture.manifest,
        &fixture.tables,
        cache::OpenMode::Resume,
    )
    .unwrap_err()
}

#[test]
fn progress_counts_every_byte_and_an_incomplete_store_is_checked_as_far_as_it_got() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let writer = fixture.open(folder.path()).unwrap();
    let parts = writer.parts();
    fixture.write_part(&writer, &parts[0], 0);
    let (last, most) = (std::sync::Mutex::new((0, 0)), parts[0].split);
    assert_eq!(most, SplitName::Train);
    let report = verify(folder.path(), false, &|checked, total| {
        let mut last = last.lock().unwrap();
        *last = (checked.max(last.0), total);
    })
    .unwrap();
    assert_eq!(
        (report.complete, report.parts_done, report.problems.len()),
        (false, 1, 0)
    );
    assert_eq!(*last.lock().unwrap(), (report.bytes, report.bytes));
}
