//! Kills, signals and shares: however an extraction came about, its store has the same bytes.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "chances"
)]

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Toy, program, tree};
use testing::random::Random;

/// Small chunks, files and parts, so that a toy store has many; small batches, so that it takes a while.
const SMALL: [&str; 8] = [
    "--chunk-bytes",
    "4000",
    "--file-bytes",
    "16000",
    "--part-bytes",
    "32000",
    "--max-batch-tokens",
    "64",
];

fn start(toy: &Toy, out: &str, extra: &[&str]) -> Child {
    let mut command = program(toy.path());
    command.args(toy.arguments(&toy.path().join(out))).args([
        "--no-progress",
        "--quiet",
        "--self-check",
        "0",
    ]);
    command.args(SMALL).args(extra);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn store(toy: &Toy, out: &str) -> PathBuf {
    toy.path().join(out).join("toy-bert--names.zarr")
}

fn differing(left: &Toy, one: &str, other: &str) -> Vec<String> {
    let (one, other) = (tree(&store(left, one)), tree(&store(left, other)));
    one.keys()
        .chain(other.keys())
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

/// Kills for each number of shares: a few with every `cargo test`, more with `STORE_KILLS=200`.
fn kills() -> usize {
    let kills = std::env::var("STORE_KILLS").ok();
    kills.and_then(|kills| kills.parse().ok()).unwrap_or(6)
}

/// Starts `count` shares again and again, in any order and at once, and kills them at any moment, the first and the
/// last one of a run included, until that met [`kills`] of them at work.
fn kill_shares(count: usize, extra: &[&str]) -> String {
    let toy = Toy::repeated(20);
    let began = Instant::now();
    assert_eq!(
        finish(start(&toy, "whole", extra)),
        (Some(0), String::new())
    );
    let duration = began.elapsed();
    let (mut chance, mut killed, mut completed) = (Random::new(count as u64), 0, 0);
    while killed < kills() {
        let mut shares: Vec<usize> = (1..=count).collect();
        shares.sort_by_cached_key(|_| (chance.unit() * 1e6) as u64);
        let mut children: Vec<Child> = shares
            .into_iter()
            .map(|share| {
                let share = format!("{share}/{count}");
                start(&toy, "killed", &[extra, &["--shard", &share]].concat())
            })
            .collect();
        while let Some(mut child) = children.pop() {
            // What is done stays, so later rounds get further.
            std::thread::sleep(duration.mul_f64(chance.unit() * 0.9 / count as f64));
            if child.try_wait().unwrap().is_none() {
                killed += 1;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if store(&toy, "killed").join("done.json").exists() {
            // Killed after that, it may have left records behind, which the next run takes away.
            assert_eq!(finish(start(&toy, "killed", extra)).0, Some(0));
            assert_eq!(differing(&toy, "whole", "killed"), Vec::<String>::new());
            fs_err::remove_dir_all(store(&toy, "killed")).unwrap();
            completed += 1;
        }
    }
    assert_eq!(
        finish(start(&toy, "killed", extra)),
        (Some(0), String::new())
    );
    assert_eq!(differing(&toy, "whole", "killed"), Vec::<String>::new());
    format!("{killed} kills of {count} shares at once, {completed} stores completed under them")
}

#[test]
fn a_killed_extraction_ends_with_the_same_bytes() {
    println!("{}", kill_shares(1, &[]));
}

#[test]
fn killed_shares_end_with_the_same_bytes() {
    for count in [2, 3, 5] {
        println!("{}", kill_shares(count, &["--compression", "blosc"]));
    }
}

#[test]
fn encoders_in_turn_that_are_killed_end_with_the_same_bytes() {
    // Two parts are in work when the border between them is passed.
    println!(
        "{}",
        kill_shares(2, &["--encoders", "2", "--rows", "device"])
    );
}

#[test]
fn a_signal_stops_between_batches_and_says_so() {
    stopped(&[]);
    stopped(&["--encoders", "2"]);
}

/// Stops an extraction by a signal and goes on with it.
fn stopped(extra: &[&str]) {
    let toy = Toy::repeated(60);
    let child = start(&toy, "stopped", extra);
    let waiting = Instant::now();
    while !store(&toy, "stopped").join("progress").exists() {
        assert!(
            waiting.elapsed() < Duration::from_mins(1),
            "no store after a minute"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let (code, message) = finish(child);
    assert_eq!(code, Some(75), "{message}");
    assert!(message.contains("run the same command again"), "{message}");
    assert!(!store(&toy, "stopped").join("done.json").exists());
    assert_eq!(finish(start(&toy, "stopped", extra)).0, Some(0));
    assert_eq!(finish(start(&toy, "whole", &[])).0, Some(0));
    assert_eq!(differing(&toy, "whole", "stopped"), Vec::<String>::new());
}

#[test]
fn shares_in_any_order_fill_one_store() {
    let toy = Toy::repeated(10);
    assert_eq!(finish(start(&toy, "whole", &[])).0, Some(0));
    for share in ["3/3", "1/3", "2/3"] {
        assert!(
            !store(&toy, "shared").join("done.json").exists(),
            "complete before share {share}"
        );
        assert_eq!(
            finish(start(&toy, "shared", &["--shard", share])),
            (Some(0), String::new()),
            "{share}"
        );
    }
    assert_eq!(differing(&toy, "whole", "shared"), Vec::<String>::new());

    let both = [
        start(&toy, "at once", &["--shard", "1/2"]),
        start(&toy, "at once", &["--shard", "2/2"]),
    ];
    for child in both {
        assert_eq!(finish(child), (Some(0), String::new()));
    }
    assert_eq!(differing(&toy, "whole", "at once"), Vec::<String>::new());
}

/// Extractions of other layers into one place, and some that replace what is there, all at once:
/// whatever is there in the end is the store of one of them, whole, and those that could not have
/// it were told who had it, or what differs.
#[test]
fn extractions_of_other_layers_at_once_leave_one_whole_store() {
    let toy = Toy::repeated(20);
    let kinds: [&[&str]; 4] = [
        &["--layers", "0"],
        &["--layers", "1"],
        &["--layers", "0", "--overwrite"],
        &["--layers", "1", "--overwrite"],
    ];
    for layers in ["0", "1"] {
        let alone = finish(start(
            &toy,
            &format!("alone-{layers}"),
            &["--layers", layers],
        ));
        assert_eq!(alone, (Some(0), String::new()));
    }
    for round in 0..kills().div_ceil(2) {
        let out = format!("round-{round}");
        let children = kinds.map(|kind| start(&toy, &out, kind));
        let ends = children.map(finish);
        for (status, said) in &ends {
            let explained = ["is being written by process ", "layers: stored "]
                .iter()
                .any(|reason| said.contains(reason));
            assert!(
                *status == Some(0) || (*status == Some(1) && explained),
                "{ends:?}"
            );
        }
        assert!(
            ends.iter().any(|(status, _)| *status == Some(0)),
            "{ends:?}"
        );
        let same = ["alone-0", "alone-1"]
            .iter()
            .any(|alone| differing(&toy, alone, &out).is_empty());
        assert!(same, "round {round}: neither store is there: {ends:?}");
    }
}
