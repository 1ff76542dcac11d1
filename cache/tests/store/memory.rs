//! What reading and writing take of memory: next to nothing mapped, however large the store, and a bounded amount
//! to write one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use cache::{ByteLimits, Codec, Io, PartStatistics, Store, StoreDtype, StoreWriter};
use shared::datasets::SplitName;

use testing::fixture::Fixture;

const STORE: &str = "STORE_OF_THE_CHILD";
const MEGABYTE: u64 = 1 << 20;

/// What a reader may allocate; its store has ten times as much.
const READER_MEGABYTES: u64 = 16;

/// What a writer may allocate, with the usual chunks of 16 MB.
const WRITER_MEGABYTES: u64 = 512;

/// A split of about `megabytes`, in sequences of 32 tokens of 12 layers, 256 wide.
fn fixture(megabytes: u64, limits: ByteLimits) -> Fixture {
    let sequences = usize::try_from(megabytes * MEGABYTE / (32 * 12 * 256 * 2)).unwrap();
    let lengths = vec![(SplitName::Train, vec![32; sequences])];
    Fixture::new(&lengths, StoreDtype::F16, 12, 256, limits)
}

/// Fills a store with the same few rows again and again, which takes less time than making them all up.
fn fill(fixture: &Fixture, writer: &StoreWriter) {
    let tokens: Range<u64> = 0..256;
    let (rows, statistics) = fixture.rows(SplitName::Train, tokens.clone(), &tokens);
    for part in writer.pending() {
        let mut rows_of_part = writer.begin(&part).unwrap();
        let mut counted = PartStatistics::new(12);
        for first in part.tokens.clone().step_by(256) {
            rows_of_part.write(first, &rows).unwrap();
            counted.merge(&statistics);
        }
        rows_of_part.finish(&counted).unwrap();
    }
    assert!(writer.complete().unwrap());
}

/// Runs an ignored test as a process that may not allocate more than that (`RLIMIT_DATA`: heap and private maps).
fn run_with(child: &str, megabytes: u64, path: &Path) {
    let kibibytes = megabytes * 1024;
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -d {kibibytes} && exec \"$0\" --exact memory::{child} --ignored --nocapture --test-threads 1"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(STORE, path)
        .env("RAYON_NUM_THREADS", "4")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn path() -> PathBuf {
    PathBuf::from(std::env::var_os(STORE).unwrap())
}

/// The limit is there: nobody gets more than that.
fn assert_limited(megabytes: u64) {
    let bytes = usize::try_from(megabytes * MEGABYTE).unwrap();
    assert!(Vec::<u8>::new().try_reserve_exact(bytes).is_err());
}

/// Bytes of this process that belong to no file.
fn anonymous_bytes() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() * 1024
}

#[test]
fn a_store_of_ten_times_the_memory_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let limits = ByteLimits {
        chunk: 2_000_000,
        file: 16_000_000,
        part: 32_000_000,
    };
    let fixture = fixture(10 * READER_MEGABYTES, limits);
    let path = folder.path().join("store.zarr");
    fill(&fixture, &fixture.open(&path).unwrap());
    run_with("read_all", READER_MEGABYTES, &path);
}

/// Every byte of every sequence, in an order that jumps.
#[test]
#[ignore = "run by the test above with little memory"]
fn read_all() {
    assert_limited(READER_MEGABYTES);
    for io in [Io::Mmap, Io::Read] {
        let store = Store::open(&path(), io).unwrap();
        let split = store.split(SplitName::Train).unwrap();
        let before = anonymous_bytes();
        let (mut read, mut sum) = (0, 0_u64);
        for step in 0..split.len() {
            let sequence = step * 997 % split.len();
            for piece in split.hidden_states(sequence).unwrap().pieces() {
                read += piece.len() as u64;
                sum += piece.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            }
        }
        assert!(read >= 10 * READER_MEGABYTES * MEGABYTE - MEGABYTE && sum > 0);
        let grown = anonymous_bytes().saturating_sub(before);
        println!("{io:?}: {read} bytes read, anonymous memory grew by {grown}");
        if io == Io::Mmap {
            assert!(grown < MEGABYTE, "{grown} bytes");
        }
    }
}

#[test]
fn a_store_is_written_and_compressed_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    run_with("write_all", WRITER_MEGABYTES, folder.path());
}

/// One file of the usual size, eight chunks of it compressed at once.
#[test]
#[ignore = "run by the test above with little memory"]
fn write_all() {
    assert_limited(WRITER_MEGABYTES);
    for codec in [Codec::None, Codec::Blosc] {
        let fixture = fixture(128, ByteLimits::default()).compressed(codec);
        let path = path().join(format!("{codec}.zarr"));
        fill(&fixture, &fixture.open(&path).unwrap());
    }
}
