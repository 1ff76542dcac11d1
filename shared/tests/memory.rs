//! A large file of each format is read in seconds, in memory of less than three times its size.
//! Each alone in a process, for the system counts the memory of the whole of it. `LARGE_FILE_MB`
//! makes the files larger or smaller.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and tell what they measured"
)]

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use shared::datasets::Source;
use shared::resources::peak_memory;

/// Names the format to the process that reads it.
const FORMAT: &str = "LARGE_FILE_FORMAT";
const SIZE: &str = "LARGE_FILE_MB";
const TAGS: [&str; 10] = ["O", "O", "O", "O", "O", "O", "O", "B-PER", "B-LOC", "I-LOC"];

/// A sentence of about 14 words of about 4 letters, with a tag each.
fn sentence(state: &mut u64) -> Vec<(String, &'static str)> {
    let mut words = Vec::new();
    loop {
        // A linear congruential generator (Knuth, MMIX).
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = *state >> 40;
        let word = format!("{:x}", number % (1 << (4 * (1 + number % 6))));
        words.push((word, TAGS[(number % 10) as usize]));
        if number.is_multiple_of(15) {
            return words;
        }
    }
}

/// Writes a sentence as it stands in a file of the format.
fn write(format: &str, words: &[(String, &str)], out: &mut String) -> std::fmt::Result {
    let texts: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    match format {
        "conll" => {
            for (word, tag) in words {
                writeln!(out, "{word}\t{tag}")?;
            }
            writeln!(out)
        }
        "conllu" => {
            for (number, (word, tag)) in words.iter().enumerate() {
                let tag = tag.replace('-', "");
                writeln!(
                    out,
                    "{}\t{word}\t{word}\t{tag}\t_\t_\t0\troot\t_\t_",
                    number + 1
                )?;
            }
            writeln!(out)
        }
        "jsonl" => {
            let tags: Vec<&str> = words.iter().map(|(_, tag)| *tag).collect();
            writeln!(
                out,
                "{}",
                serde_json::json!({"tokens": texts, "tags": tags})
            )
        }
        _ => writeln!(out, "\"{}\",{}", texts.join(" "), words[0].1),
    }
}

/// Writes a file sentence by sentence: a text of its size in this process would teach the allocator
/// to keep such pieces.
fn fill(path: &Path, format: &str, size: usize) -> std::io::Result<()> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    if format == "csv" {
        file.write_all(b"text,label\n")?;
    }
    let (mut state, mut written, mut text) = (1, 0, String::new());
    while written < size {
        text.clear();
        write(format, &sentence(&mut state), &mut text).expect("room for it");
        file.write_all(text.as_bytes())?;
        written += text.len();
    }
    file.flush()
}

/// Bytes of the files; debug builds and slow machines are given less to do.
fn size() -> usize {
    let asked = std::env::var(SIZE).ok();
    asked.map_or(24, |asked| asked.parse().expect("a number of megabytes")) * 1_000_000
}

/// Reads one file and looks at its own memory.
fn read(format: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("train.{format}"));
    fill(&path, format, size()).expect("room for it");
    let begin = Instant::now();
    let data = Source::new(path).load().expect("it is right");
    let (time, memory) = (begin.elapsed(), peak_memory().expect("Linux tells"));
    let words: usize = data
        .splits
        .iter()
        .map(|split| split.sentences.word_count())
        .sum();
    println!(
        "{format}: {words} words of {} MB in {time:.1?}, {} MB of memory",
        size() / 1_000_000,
        memory / 1_000_000
    );
    assert!(memory < 3 * size() as u64, "{format}: {memory} bytes");
    assert!(time < Duration::from_mins(1), "{format}: {time:?}");
}

#[test]
fn a_large_file_takes_seconds_and_less_than_three_times_its_size() {
    if let Ok(format) = std::env::var(FORMAT) {
        return read(&format);
    }
    let program = std::env::current_exe().expect("a test is a program");
    for format in ["conll", "conllu", "jsonl", "csv"] {
        let mut alone = Command::new(&program);
        alone.env(FORMAT, format).args(["--exact", "--nocapture"]);
        alone.arg("a_large_file_takes_seconds_and_less_than_three_times_its_size");
        assert!(alone.status().expect("it runs").success(), "{format}");
    }
}
