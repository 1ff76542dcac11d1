//! Rows that come in pieces: whatever their order and wherever they are cut, by whatever number of
//! threads they are written, the files are those of rows that came in order. And a part takes
//! neither a second reading nor a file handle a file.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use cache::{
    ByteLimits, Codec, Part, PartStatistics, PartWriter, StoreDtype, StoreError, StoreWriter,
};
use proptest::prelude::*;
use shared::datasets::SplitName;

use testing::faulty::scratch;
use testing::files::assert_same;
use testing::fixture::{Fixture, scramble};

const STORE: &str = "STORE_OF_THE_CHILD";

/// How a part is cut into pieces, and how they are written.
#[derive(Debug, Clone, Copy)]
struct Cuts {
    seed: u64,
    /// Tokens of a piece at most.
    longest: u64,
    /// One piece in so many comes again, first with wrong rows; none for 0.
    again: u64,
    /// Pieces of a batch.
    batch: usize,
}

impl Cuts {
    /// First token and number of tokens of each piece, with whether its rows are wrong; those at
    /// the edges reach over.
    fn pieces(self, part: &Part) -> Vec<(u64, u64, bool)> {
        let (mut at, mut cut, mut pieces) = (part.tokens.start.saturating_sub(3), 0, Vec::new());
        while at < part.tokens.end + 3 {
            cut += 1;
            let length = 1 + scramble(self.seed ^ cut) % self.longest;
            pieces.push((at, length, false));
            at += length;
        }
        pieces.sort_by_key(|&(first, ..)| scramble(self.seed ^ scramble(first)));
        let again = pieces.clone().into_iter().filter(|&(first, ..)| {
            self.again > 0 && scramble(first.wrapping_add(self.seed)).is_multiple_of(self.again)
        });
        let wrong: Vec<_> = again
            .map(|(first, length, _)| (first, length, true))
            .collect();
        [wrong, pieces].concat()
    }
}

fn rows(fixture: &Fixture, tokens: Range<u64>) -> Vec<u8> {
    fixture.rows(SplitName::Train, tokens, &(0..0)).0
}

fn write(fixture: &Fixture, writer: &mut PartWriter, cuts: Cuts) {
    let part = writer.part().clone();
    for batch in cuts.pieces(&part).chunks(cuts.batch) {
        let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
        for &(first, length, wrong) in batch {
            // Of another token.
            let from = first + u64::from(wrong);
            bytes.extend(rows(fixture, from..from + length));
            pieces.push((first, usize::try_from(length).unwrap()));
        }
        match pieces[..] {
            [(first, _)] => writer.write(first, &bytes).unwrap(),
            _ => writer.write_pieces(&pieces, &bytes).unwrap(),
        }
    }
}

fn statistics(fixture: &Fixture, part: &Part) -> PartStatistics {
    fixture
        .rows(part.split, part.tokens.clone(), &part.tokens)
        .1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pieces_in_any_order_and_any_cut_make_the_same_files(
        lengths in prop::collection::vec(1_usize..14, 1..40),
        codec in prop_oneof![3 => Just(Codec::None), 1 => Just(Codec::Zstd)],
        (chunk, files, parts) in (1_u64..700, 1_u64..4, 1_u64..9),
        (seed, longest) in (any::<u64>(), 1_u64..60),
        (again, batch) in (0_u64..5, 1_usize..20),
        threads in 1_usize..5,
    ) {
        let limits = ByteLimits { chunk, file: chunk * files, part: chunk * files * parts };
        let fixture = Fixture::new(&vec![(SplitName::Train, lengths)], StoreDtype::F16, 2, 5, limits);
        let fixture = fixture.compressed(codec);
        let folder = scratch();
        let path = |name: &str| folder.path().join(name);
        let store = fixture.open(&path("in_order.zarr")).unwrap();
        for part in store.pending() {
            let mut writer = store.begin(&part).unwrap();
            writer.write(part.tokens.start, &rows(&fixture, part.tokens.clone())).unwrap();
            writer.finish(&statistics(&fixture, &part)).unwrap();
        }
        assert!(store.complete().unwrap());
        let store = fixture.open(&path("in_pieces.zarr")).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for part in store.pending() {
            let mut writer = store.begin(&part).unwrap();
            let cuts = Cuts { seed, longest, again, batch };
            pool.install(|| write(&fixture, &mut writer, cuts));
            writer.finish(&statistics(&fixture, &part)).unwrap();
        }
        assert!(store.complete().unwrap());
        assert_same(&path("in_order.zarr"), &path("in_pieces.zarr"));
    }
}

#[test]
fn pieces_that_are_more_or_fewer_than_the_rows_are_refused() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let store = fixture.open(&folder.path().join("store.zarr")).unwrap();
    let mut writer = store.begin(&store.pending()[0]).unwrap();
    let bytes = rows(&fixture, 0..5);
    writer.write_pieces(&[(0, 2), (4, 3)], &bytes).unwrap();
    for pieces in [
        &[(0, 2), (4, 2)][..],
        &[(0, 6)],
        &[],
        &[(0, usize::MAX), (9, 6)],
    ] {
        let error = writer.write_pieces(pieces, &bytes).unwrap_err();
        assert!(matches!(error, StoreError::Rows { .. }), "{error}");
        assert!(error.to_string().contains("train-0"), "{error}");
    }
    assert!(writer.write(0, &bytes[1..]).is_err());
}

/// Runs an ignored test as a process of its own, after `limits`.
fn run(child: &str, limits: &str, path: &Path) {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{limits} exec \"$0\" --exact pieces::{child} --ignored --nocapture --test-threads 1"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(STORE, path)
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

/// Bytes that this process has read, files and all else.
fn bytes_read() -> u64 {
    let account = fs_err::read_to_string("/proc/self/io").unwrap();
    let read = account
        .lines()
        .find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

#[test]
fn an_uncompressed_part_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    run("count_what_is_read", "", &folder.path().join("store.zarr"));
}

#[test]
#[ignore = "run by the test above as a process of its own"]
fn count_what_is_read() {
    let lengths = vec![(SplitName::Train, vec![50; 400])];
    let fixture = Fixture::new(&lengths, StoreDtype::F32, 4, 32, ByteLimits::default());
    let store: StoreWriter = fixture.open(&path()).unwrap();
    let part = &store.pending()[0];
    let before = bytes_read();
    let mut writer = store.begin(part).unwrap();
    let statistics = fixture.write(&mut writer, 5);
    writer.finish(&statistics).unwrap();
    let (read, bytes) = (bytes_read() - before, 400 * 50 * 4 * 32 * 4);
    assert!(read < bytes / 10, "{read} bytes read for {bytes} written");
}

#[test]
fn a_part_of_more_files_than_may_be_open_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, few) = (
        folder.path().join("calm.zarr"),
        folder.path().join("few.zarr"),
    );
    many_files().fill(&calm, 3);
    run("write_many_files", "ulimit -n 32 &&", &few);
    assert_same(&calm, &few);
}

fn many_files() -> Fixture {
    let limits = ByteLimits {
        chunk: 400,
        file: 400,
        part: 40_000,
    };
    let lengths = vec![(SplitName::Train, vec![9; 80])];
    Fixture::new(&lengths, StoreDtype::F16, 3, 8, limits)
}

#[test]
#[ignore = "run by the test above with few open files"]
fn write_many_files() {
    let fixture = many_files();
    let store = fixture.open(&path()).unwrap();
    let files = store.parts()[0].tokens.end / fixture.manifest.file_tokens;
    assert!(store.parts().len() == 1 && files > 64, "{files} files");
    fixture.fill(&path(), 3);
}
