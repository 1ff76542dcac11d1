//! Every single call by which a store is written fails once: nothing is ever listed as done that is
//! not whole on the disk, and the next writer ends with the same bytes.
//!
//! Some calls are tried with every `cargo test`; `STORE_FAULTS=all cargo test -p cache faults` tries each of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cache::verify::{ProblemKind, verify};
use cache::{Codec, OpenMode, Opened, StoreDtype, StoreError, StoreWriter};
use clap::ValueEnum as _;
use shared::exit::{ExitStatus, HasExitStatus as _};

use testing::faulty::{Call, FaultyStorage, chosen, scratch};
use testing::files::assert_same;
use testing::fixture::Fixture;

const STORE: &str = "STORE_ON_FAULTY_STORAGE";
const CODEC: &str = "CODEC_ON_FAULTY_STORAGE";

fn fixture(codec: Codec) -> Fixture {
    Fixture::usual(StoreDtype::F16).compressed(codec)
}

/// Not a test: what the tests below run on storage that fails.
#[test]
#[ignore = "run by the tests of this module as a process of its own"]
fn child() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let codec = Codec::from_str(&std::env::var(CODEC).unwrap(), false).unwrap();
    if let Err(error) = write(Path::new(&path), &fixture(codec)) {
        assert_eq!(error.exit_status(), ExitStatus::Machine, "{error}");
        panic!("the store says: {error}");
    }
}

fn write(path: &Path, fixture: &Fixture) -> Result<(), StoreError> {
    let opened = StoreWriter::open(path, &fixture.manifest, &fixture.tables, OpenMode::Resume)?;
    let Opened::Writer(writer) = opened else {
        return Ok(());
    };
    for part in writer.pending() {
        let mut rows = writer.begin(&part)?;
        let statistics = fixture.try_write(&mut rows, part.index)?;
        rows.finish(&statistics)?;
    }
    assert!(writer.complete()?);
    Ok(())
}

fn run(storage: &FaultyStorage, store: &Path, codec: Codec, at: usize, stays: bool) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "faults::child", "--ignored", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .env(STORE, store)
        .env(CODEC, codec.to_possible_value().unwrap().get_name());
    storage.under(&mut command, at, stays);
    command.output().unwrap()
}

/// Both ways to fail with `STORE_FAULTS=all`, else they take turns.
fn variants() -> usize {
    1 + usize::from(std::env::var_os("STORE_FAULTS").is_some())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn a_call_that_fails_leaves_nothing_that_looks_done() {
    for codec in [Codec::None, Codec::Zstd] {
        let folder = scratch();
        let path = |name: &str| folder.path().join(name);
        let Some(storage) = FaultyStorage::new(&path("broken.zarr"), folder.path()) else {
            return;
        };
        fixture(codec).fill(&path("calm.zarr"), 0);
        let output = run(&storage, &path("broken.zarr"), codec, 0, false);
        assert!(output.status.success(), "{}", said(&output));
        assert_same(&path("calm.zarr"), &path("broken.zarr"));
        let calls = storage.calls();
        let (mut tried, mut told) = (0, 0);
        for at in chosen(calls.len(), 24) {
            // The storage recovers, or stays broken.
            for stays in [at % 2 == 0, at % 2 == 1].into_iter().take(variants()) {
                fs_err::remove_dir_all(path("broken.zarr")).unwrap();
                let output = run(&storage, &path("broken.zarr"), codec, at, stays);
                let said = said(&output);
                // Calls whose failing harms nothing, such as removing a file that the next writer
                // sweeps, may be passed over.
                if !output.status.success() {
                    assert!(said.contains("the store says: "), "call {at}: {said}");
                    assert!(said.contains("Input/output error"), "call {at}: {said}");
                    assert!(said.contains("broken.zarr"), "call {at}: {said}");
                    told += 1;
                }
                assert_nothing_looks_done(&path("broken.zarr"), at);
                fixture(codec).fill(&path("broken.zarr"), 7);
                assert_same(&path("calm.zarr"), &path("broken.zarr"));
                tried += 1;
            }
        }
        assert!(told * 2 > tried, "{told} of {tried} failures were told");
        println!(
            "{tried} failures of {} calls, {codec}: {told} stopped the writer, 0 bytes lost",
            calls.len()
        );
    }
}

/// What records list is there, whole and right.
fn assert_nothing_looks_done(path: &Path, at: usize) {
    fs_err::create_dir_all(path).unwrap();
    if !path.join("zarr.json").exists() {
        assert!(!path.join("progress").exists() && !path.join("done.json").exists());
        return;
    }
    let report = verify(path, false, &|_, _| ()).unwrap();
    if report.parts_done == 0 {
        return;
    }
    // Files that have their names already, but no record yet, are none's.
    let bad = report
        .problems
        .iter()
        .filter(|problem| problem.kind != ProblemKind::Orphan);
    assert_eq!(bad.count(), 0, "call {at}: {:?}", report.problems);
}

#[test]
fn a_record_is_written_after_its_files_are_synced_and_named() {
    let folder = scratch();
    let store = folder.path().join("store.zarr");
    let Some(storage) = FaultyStorage::new(&store, folder.path()) else {
        return;
    };
    let output = run(&storage, &store, Codec::Blosc, 0, false);
    assert!(output.status.success(), "{}", said(&output));
    let mut disk = Disk::default();
    for call in storage.calls() {
        disk.follow(&call);
    }
    assert!(disk.records > 4, "{} records", disk.records);
}

/// What a power cut would leave: only what is synced, file and name.
#[derive(Default)]
struct Disk {
    /// Files with bytes that are not synced.
    loose: BTreeSet<PathBuf>,
    /// Names that their folder has not been synced for.
    unnamed: BTreeSet<PathBuf>,
    records: usize,
}

impl Disk {
    fn follow(&mut self, call: &Call) {
        let Call { what, path, to } = call;
        match what.as_str() {
            "write" | "cut" => {
                self.loose.insert(path.clone());
            }
            "sync" if path.is_dir() => self.unnamed.retain(|name| name.parent() != Some(path)),
            "sync" => {
                self.loose.remove(path);
            }
            "remove" => {
                self.loose.remove(path);
                self.unnamed.remove(path);
            }
            "rename" => {
                assert!(
                    !self.loose.contains(path),
                    "{} is named before it is synced",
                    to.display()
                );
                let is_record = to
                    .parent()
                    .is_some_and(|parent| parent.ends_with("progress"));
                if is_record || to.ends_with("done.json") {
                    self.records += 1;
                    let hidden = |file: &&PathBuf| {
                        file.components()
                            .any(|part| part.as_os_str() == "hidden_states")
                    };
                    let loose: Vec<_> = self
                        .loose
                        .iter()
                        .chain(&self.unnamed)
                        .filter(hidden)
                        .collect();
                    assert!(loose.is_empty(), "{} before {loose:?}", to.display());
                }
                self.unnamed.insert(to.clone());
            }
            _ => {}
        }
    }
}
