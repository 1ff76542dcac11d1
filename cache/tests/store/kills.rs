//! Writers that are killed (SIGKILL) at any moment, again and again, alone and several at once.
//!
//! A few kills run with every `cargo test`; `STORE_KILLS=200 cargo test -p cache kills` makes that 200 for each number
//! of writers.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cache::{Codec, StoreDtype, StoreError};
use clap::ValueEnum as _;

use testing::files::assert_same;
use testing::fixture::{Fixture, scramble};

const STORE: &str = "STORE_OF_THE_CHILD";
const SHARD: &str = "SHARD_OF_THE_CHILD";
const CODEC: &str = "CODEC_OF_THE_CHILD";

/// Kills for each number of writers.
fn kills() -> u64 {
    std::env::var("STORE_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(8)
}

fn fixture(codec: Codec) -> Fixture {
    Fixture::usual(StoreDtype::F16).compressed(codec)
}

/// Not a test: what the children of the tests below run.
#[test]
#[ignore = "run by the tests of this module as a process of its own"]
fn child() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let (shard, codec) = (std::env::var(SHARD).unwrap(), std::env::var(CODEC).unwrap());
    let (index, count) = shard.split_once('/').unwrap();
    let (index, count): (usize, usize) = (index.parse().unwrap(), count.parse().unwrap());
    let fixture = fixture(Codec::from_str(&codec, false).unwrap());
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

fn spawn(path: &Path, codec: Codec, shard: &str) -> Child {
    let codec = codec.to_possible_value().unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--ignored", "--nocapture"])
        .env(STORE, path)
        .env(SHARD, shard)
        .env(CODEC, codec.get_name())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// `count` writers at once, started and killed in an order and at moments that chance chooses, until `kills` of them
/// met their end at work; what stands when a store became complete must be the same bytes each time.
fn kill_writers(count: usize, codec: Codec) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (calm, killed) = (
        folder.path().join("calm.zarr"),
        folder.path().join("killed.zarr"),
    );
    fixture(codec).fill(&calm, 3);
    let (mut at_work, mut state) = (0, count as u64);
    let mut random = |below: u64| {
        state = scramble(state);
        (state >> 16) % below
    };
    while at_work < kills() {
        let mut shards: Vec<usize> = (0..count).collect();
        shards.sort_by_key(|_| random(1 << 20));
        let mut children: Vec<Child> = shards
            .into_iter()
            .map(|index| spawn(&killed, codec, &format!("{index}/{count}")))
            .collect();
        while !children.is_empty() {
            let among = children.len() as u64;
            let mut child = children.swap_remove(usize::try_from(random(among)).unwrap());
            std::thread::sleep(Duration::from_micros(500 + random(60_000 / among)));
            // Some may live, and finish their parts beside the killed ones.
            if among == 1 || random(4) > 0 {
                at_work += u64::from(child.try_wait().unwrap().is_none());
                child.kill().unwrap();
                child.wait().unwrap();
            } else {
                assert!(child.wait().unwrap().success());
            }
        }
        if killed.join("done.json").exists() {
            // Killed after that, a writer may have left records behind, which the next opening takes away.
            fixture(codec).fill(&killed, at_work);
            assert_same(&calm, &killed);
            fs_err::remove_dir_all(&killed).unwrap();
        }
    }
    fixture(codec).fill(&killed, 4);
    assert_same(&calm, &killed);
    format!("{at_work} of {count} writers at once were killed at work, {codec}")
}

#[test]
fn one_writer_that_is_killed_leaves_the_same_bytes() {
    println!("{}", kill_writers(1, Codec::None));
    println!("{}", kill_writers(1, Codec::Blosc));
}

#[test]
fn two_writers_that_are_killed_leave_the_same_bytes() {
    println!("{}", kill_writers(2, Codec::Zstd));
}

#[test]
fn three_writers_that_are_killed_leave_the_same_bytes() {
    println!("{}", kill_writers(3, Codec::None));
}

#[test]
fn five_writers_that_are_killed_leave_the_same_bytes() {
    println!("{}", kill_writers(5, Codec::Blosc));
}

#[test]
fn any_number_of_writers_make_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, counts) in [(Codec::None, &[2, 3, 5][..]), (Codec::Blosc, &[3])] {
        let calm = folder.path().join(format!("{codec}.zarr"));
        fixture(codec).fill(&calm, 3);
        for count in counts {
            let path = folder.path().join(format!("{codec}-{count}.zarr"));
            let children: Vec<_> = (0..*count)
                .rev()
                .map(|index| spawn(&path, codec, &format!("{index}/{count}")))
                .collect();
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
            assert_same(&calm, &path);
        }
    }
}
