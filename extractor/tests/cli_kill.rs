//! Kills, signals and shares: however an extraction came about, its store has the same bytes.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Toy, program, tree};

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

#[test]
fn a_killed_extraction_ends_with_the_same_bytes() {
    let toy = Toy::repeated(20);
    let began = Instant::now();
    assert_eq!(finish(start(&toy, "whole", &[])), (Some(0), String::new()));
    let duration = began.elapsed();
    let mut state = 1_u64;
    for round in 0..12 {
        let mut child = start(&toy, "killed", &[]);
        // Anywhere from the first moment to the last; what is done stays, so later rounds get further.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(
            duration.mul_f64(f64::from((state >> 40) as u32) / f64::from(1 << 24) * 0.9),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        println!("round {round}: killed");
    }
    assert_eq!(finish(start(&toy, "killed", &[])), (Some(0), String::new()));
    assert_eq!(differing(&toy, "whole", "killed"), Vec::<String>::new());
}

#[test]
fn a_signal_stops_between_batches_and_says_so() {
    let toy = Toy::repeated(60);
    let child = start(&toy, "stopped", &[]);
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
    assert_eq!(finish(start(&toy, "stopped", &[])).0, Some(0));
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
