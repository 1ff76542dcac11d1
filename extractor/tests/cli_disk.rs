//! Disks as they are: too small from the start, full in the middle, read-only, gone. Always exit status 2, one clear
//! error, and the same command goes on when the disk is well again.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Toy, program, tree};

/// Tells a test's child that it runs on a disk of its own, and where.
const DISK: &str = "DISK_OF_THE_CHILD";

/// Runs the ignored test `child` with a small file system mounted where only that process sees it; false, with a word,
/// where that cannot be done.
fn on_a_small_disk(child: &str, size: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command
    };
    let may_mount = unshare().arg("mount -t tmpfs tmpfs /mnt").output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs '{}' && exec \"$0\" --exact {child} --ignored --nocapture",
        folder.path().display()
    );
    let output = unshare()
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    true
}

const NO_MOUNT: &str = "skipped: no tmpfs can be mounted here (`unshare --map-root-user --mount`)";

fn disk() -> PathBuf {
    PathBuf::from(std::env::var_os(DISK).unwrap())
}

/// Starts an extraction in small parts, which takes a few seconds.
fn start(toy: &Toy, root: &Path) -> Child {
    let mut command = program(toy.path());
    command
        .args(toy.arguments(root))
        .args(["--quiet", "--no-progress", "--self-check", "0"])
        .args(["--chunk-bytes", "4000", "--file-bytes", "16000"])
        .args(["--part-bytes", "32000", "--max-batch-tokens", "64"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// It ended with status 2 and a single error that has these words.
fn assert_failed((code, said): (Option<i32>, String), words: &[&str]) {
    assert_eq!(code, Some(2), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

fn store(root: &Path) -> PathBuf {
    root.join("toy-bert--names.zarr")
}

/// Waits until the first part of a store is done.
fn wait_for_a_part(root: &Path) {
    let waiting = Instant::now();
    while !store(root).join("progress/train-0.json").exists() {
        assert!(
            waiting.elapsed() < Duration::from_mins(1),
            "no part is done"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_goes_on(toy: &Toy, root: &Path) {
    assert_eq!(finish(start(toy, root)), (Some(0), String::new()));
    let whole = toy.path().join("whole");
    assert_eq!(finish(start(toy, &whole)), (Some(0), String::new()));
    assert!(tree(&store(root)) == tree(&store(&whole)), "other bytes");
}

#[test]
fn a_disk_that_becomes_full_is_told_and_gone_on_from() {
    if !on_a_small_disk("becomes_full", "64m") {
        println!("{NO_MOUNT}");
    }
}

#[test]
#[ignore = "run by the test above on a disk of its own"]
fn becomes_full() {
    let (toy, root) = (Toy::repeated(60), disk().join("cache"));
    let child = start(&toy, &root);
    wait_for_a_part(&root);
    // Somebody else takes all the room.
    let filler = disk().join("filler");
    Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", "status=none"])
        .arg(format!("of={}", filler.display()))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_failed(
        finish(child),
        &["No space left on device", "toy-bert--names.zarr"],
    );
    assert!(!store(&root).join("done.json").exists());
    fs_err::remove_file(filler).unwrap();
    assert_goes_on(&toy, &root);
}

#[test]
fn a_disk_that_is_too_small_is_told_before_anything_is_encoded() {
    if !on_a_small_disk("too_small", "200k") {
        println!("{NO_MOUNT}");
    }
}

#[test]
#[ignore = "run by the test above on a disk of its own"]
fn too_small() {
    let (toy, root) = (Toy::repeated(60), disk().join("cache"));
    assert_failed(finish(start(&toy, &root)), &["are needed and", "are free"]);
    assert!(tree(&disk()).is_empty());
}

#[test]
fn a_disk_that_is_too_small_for_a_conversion_is_told_before_anything_is_written() {
    if !on_a_small_disk("too_small_to_convert", "8m") {
        println!("{NO_MOUNT}");
    }
}

#[test]
#[ignore = "run by the test above on a disk of its own"]
fn too_small_to_convert() {
    let (toy, root) = (Toy::repeated(20), disk().join("cache"));
    let source = toy.path().join("source");
    assert_eq!(finish(start(&toy, &source)), (Some(0), String::new()));
    let convert = || {
        let mut command = program(toy.path());
        command.arg("convert").arg(&source).arg("--out").arg(&root);
        command.args(["--store-dtype", "f32", "--quiet", "--no-progress"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        finish(command.spawn().unwrap())
    };
    // Most of the room is somebody else's.
    let filler = disk().join("filler");
    fs_err::write(&filler, vec![1; 7 << 20]).unwrap();
    assert_failed(
        convert(),
        &["are needed and", "are free", "toy-bert--names.zarr"],
    );
    assert!(!root.exists());
    fs_err::remove_file(filler).unwrap();
    assert_eq!(convert(), (Some(0), String::new()));
}

#[test]
fn a_read_only_disk_is_told_and_left_alone() {
    if !on_a_small_disk("read_only", "64m") {
        println!("{NO_MOUNT}");
    }
}

#[test]
#[ignore = "run by the test above on a disk of its own"]
fn read_only() {
    let (toy, root) = (Toy::repeated(60), disk().join("cache"));
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        let status = Command::new("mount")
            .args(["-o", &options])
            .arg(disk())
            .status();
        assert!(status.unwrap().success());
    };
    remount("ro");
    assert_failed(
        finish(start(&toy, &root)),
        &["Read-only file system", "cache"],
    );
    remount("rw");
    assert_goes_on(&toy, &root);
}

#[test]
fn a_store_that_is_moved_away_under_its_writer_is_told_and_gone_on_from() {
    let toy = Toy::repeated(60);
    let root = toy.path().join("cache");
    let child = start(&toy, &root);
    wait_for_a_part(&root);
    let away = toy.path().join("away");
    fs_err::rename(&root, &away).unwrap();
    assert_failed(finish(child), &["cache/toy-bert--names.zarr"]);
    fs_err::rename(&away, &root).unwrap();
    assert_goes_on(&toy, &root);
}

#[test]
fn a_compressed_store_is_smaller_and_says_so() {
    let toy = Toy::new();
    let extract = |root: &str, codec: &str| {
        let output = program(toy.path())
            .args(toy.arguments(&toy.path().join(root)))
            .args(["--compression", codec, "--json"])
            .output()
            .unwrap();
        assert!(output.status.success());
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        summary
    };
    let (none, zstd, blosc) = (
        extract("none", "none"),
        extract("zstd", "zstd"),
        extract("blosc", "blosc"),
    );
    let stored = |summary: &serde_json::Value| summary["stored_bytes"].as_u64().unwrap();
    assert_eq!(none["bytes"], blosc["bytes"]);
    assert!(stored(&zstd) < stored(&none), "{zstd}");
    assert!(stored(&blosc) < stored(&none), "{blosc}");
    for root in ["zstd", "blosc"] {
        let output = program(toy.path()).args(["verify", root]).output().unwrap();
        assert!(output.status.success());
        let output = program(toy.path())
            .args(["inspect", root])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("on disk") && said.contains("zstd-3"),
            "{said}"
        );
    }
}
