//! Writers that are killed (SIGKILL) at any moment, again and again, alone and several at once.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cache::{StoreDtype, StoreError};

use crate::fixture::{Fixture, assert_same, scramble};

const STORE: &str = "STORE_OF_THE_CHILD";
const SHARD: &str = "SHARD_OF_THE_CHILD";

/// Kills of the longer test; `STORE_KILLS` sets another number.
fn kills() -> u64 {
    std::env::var("STORE_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(25)
}

/// Not a test: what the children of the tests below run.
#[test]
#[ignore = "run by the tests of this module as a process of its own"]
fn child() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let shard = std::env::var(SHARD).unwrap();
    let (index, count) = shard.split_once('/').unwrap();
    let (index, count): (usize, usize) = (index.parse().unwrap(), count.parse().unwrap());
    let fixture = Fixture::usual(StoreDtype::F16);
    let Some(writer) = fixture.open(Path::new(&path)) else {
        return;
    };
    for (number, part) in writer.parts().into_iter().enumerate() {
        if number % count != index || writer.is_done(&part) {
            continue;
        }
        match writer.begin(&part) {
            Ok(mut rows) => {
                let statistics = fixture.write(&mut rows, number as u64);
                rows.finish(&statistics).unwrap();
            }
            Err(StoreError::AlreadyDone { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    writer.complete().unwrap();
}

fn spawn(path: &Path, shard: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--ignored", "--nocapture"])
        .env(STORE, path)
        .env(SHARD, shard)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_store_whose_writers_were_killed_is_byte_identical() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, killed) = (
        folder.path().join("calm.zarr"),
        folder.path().join("killed.zarr"),
    );
    Fixture::usual(StoreDtype::F16).fill(&calm, 3);
    let mut before_the_end = 0;
    for kill in 0..kills() {
        let mut child = spawn(&killed, "0/1");
        std::thread::sleep(Duration::from_micros(500 + scramble(kill) % 60_000));
        before_the_end += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if killed.join("done.json").exists() {
            // Killed after that, it may have left records behind, which the next opening takes away.
            Fixture::usual(StoreDtype::F16).fill(&killed, kill);
            assert_same(&calm, &killed);
            fs_err::remove_dir_all(&killed).unwrap();
        }
    }
    assert!(before_the_end > 0, "no child was killed at work");
    Fixture::usual(StoreDtype::F16).fill(&killed, 4);
    assert_same(&calm, &killed);
}

#[test]
fn any_number_of_writers_make_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let calm = folder.path().join("calm.zarr");
    Fixture::usual(StoreDtype::F16).fill(&calm, 3);
    for count in [2, 3, 5] {
        let path = folder.path().join(format!("{count}.zarr"));
        let children: Vec<_> = (0..count)
            .rev()
            .map(|index| spawn(&path, &format!("{index}/{count}")))
            .collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_same(&calm, &path);
    }
}
