//! A disk that becomes full while a store is written, and is given more space.

use std::path::PathBuf;
use std::process::Command;

use cache::verify::verify;
use cache::{ByteLimits, StoreDtype, StoreError};
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus as _};

use testing::files::tree;
use testing::fixture::Fixture;

const DISK: &str = "SMALL_DISK";

/// Mounts a small file system where only this process sees it, and runs `child` on it.
#[test]
fn a_full_disk_is_told_and_resumed_from() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=1200k tmpfs '{}' && exec \"$0\" --exact full_disk::child --ignored --nocapture",
        folder.path().display()
    );
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command
    };
    let may_mount = unshare().arg("mount -t tmpfs tmpfs /mnt").output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: no tmpfs can be mounted here (`unshare --map-root-user --mount`)");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let output = unshare()
        .arg(script)
        .arg(test)
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Not a test of its own: runs on the small disk.
#[test]
#[ignore = "run by the test of this module in a mount namespace"]
fn child() {
    let disk = PathBuf::from(std::env::var(DISK).unwrap());
    let limits = ByteLimits {
        chunk: 4_000,
        file: 64_000,
        part: 128_000,
    };
    let fixture = Fixture::new(
        &vec![(SplitName::Train, vec![50; 400])],
        StoreDtype::F16,
        3,
        8,
        limits,
    );
    let path = disk.join("store.zarr");
    let writer = fixture.open(&path).unwrap();
    let error = writer
        .pending()
        .iter()
        .find_map(|part| match writer.begin(part) {
            Err(error) => Some(error),
            Ok(mut rows) => match fixture.try_write(&mut rows, 0) {
                Ok(statistics) => rows.finish(&statistics).err(),
                Err(error) => Some(error),
            },
        })
        .unwrap();
    assert_eq!(error.exit_status(), ExitStatus::Machine);
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(
        error.to_string().contains("train/hidden_states/c."),
        "{error}"
    );
    let (done, total) = writer.progress();
    assert!(0 < done && done < total, "{done} of {total}");
    assert!(
        tree(&path)
            .keys()
            .all(|file| !file.to_string_lossy().ends_with(".tmp"))
    );
    drop(writer);
    let remounted = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(remounted.success());
    fixture.fill(&path, 1);
    assert_eq!(verify(&path, false, &|_, _| ()).unwrap().problems, []);
}
