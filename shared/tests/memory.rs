//! A large file is read in seconds, in memory of less than three times its size. Alone in its program, for the
//! system counts the memory of the whole process.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use shared::dataset::Source;

const SIZE: usize = 32 << 20;

/// Sentences of varied words and tags, as many as fill `SIZE` bytes: about 14 words of about 4 letters each.
fn text() -> String {
    let mut text = String::with_capacity(SIZE + 64);
    let mut state = 1_u64;
    while text.len() < SIZE {
        // A linear congruential generator (Knuth, MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = state >> 40;
        if number.is_multiple_of(15) {
            text.push('\n');
        }
        let tag =
            ["O", "O", "O", "O", "O", "O", "O", "B-PER", "B-LOC", "I-LOC"][(number % 10) as usize];
        let word = format!("{:x}", number % (1 << (4 * (1 + number % 6))));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word}\t{tag}");
    }
    text
}

/// The most memory that this process ever had.
fn peak() -> usize {
    let status = fs_err::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux tells");
    let kibibytes: usize = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kibibytes << 10
}

#[test]
fn a_large_file_takes_seconds_and_less_than_three_times_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.conll");
    fs_err::write(&path, text()).unwrap();
    let begin = Instant::now();
    let data = Source::new(path).load().unwrap();
    let (time, memory) = (begin.elapsed(), peak());
    let words: usize = data
        .splits
        .iter()
        .map(|split| split.sentences.word_count())
        .sum();
    println!(
        "{words} words of {} MiB in {time:.1?}, {} MiB of memory",
        SIZE >> 20,
        memory >> 20
    );
    assert!(memory < 3 * SIZE, "{memory} bytes");
    assert!(time < Duration::from_mins(1), "{time:?}");
}
