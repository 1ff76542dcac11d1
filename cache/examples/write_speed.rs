//! How fast a store is written: pieces of rows in random order, in batches, as an encoder on a
//! GPU gives them. The numbers of writing in `docs/performance.md` are what this printed.
//!
//!     cargo run --release -p cache --example write_speed -- FOLDER [TOKENS LAYERS HIDDEN [ROUNDS]]
//!
//! FOLDER is on the file system that is measured (`/dev/shm` is one in memory), and has room for
//! the store, which is removed again. Without a shape: that of all-MiniLM-L6-v2 (107 MB), then that
//! of bert-large (2 GB).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: what is wrong ends it"
)]
#![allow(clippy::cast_precision_loss, reason = "gigabytes for a person")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cache::{
    ByteLimits, Manifest, OpenMode, Opened, PartStatistics, PartWriter, SplitTables, StoreWriter,
};
use serde_json::json;
use shared::datasets::SplitName;

/// Tokens, layers, width.
const SHAPES: [[usize; 3]; 2] = [[20_000, 7, 384], [39_000, 25, 1024]];

const ROUNDS: usize = 7;

/// Tokens of a batch, at least.
const BATCH: usize = 2048;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let numbers: Vec<usize> = arguments
        .map(|number| number.to_str().unwrap().parse().unwrap())
        .collect();
    match numbers[..] {
        [tokens, layers, hidden, ref rounds @ ..] => {
            let rounds = rounds.first().copied().unwrap_or(ROUNDS);
            measure(&folder, [tokens, layers, hidden], rounds);
        }
        _ => SHAPES
            .iter()
            .for_each(|&shape| measure(&folder, shape, ROUNDS)),
    }
}

fn measure(folder: &Path, shape: [usize; 3], rounds: usize) {
    let sample = Sample::new(shape);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let [tokens, layers, hidden] = shape;
    let gigabytes = sample.bytes() as f64 / 1e9;
    println!("{tokens} tokens, {layers} layers x {hidden}, {gigabytes:.2} GB");
    let ways: [(&str, Way); 2] = [
        ("a piece after the other", Sample::write_in_turn),
        ("files side by side", Sample::write_together),
    ];
    for (name, way) in ways {
        let mut measured: Vec<[f64; 2]> = (0..rounds)
            .map(|round| {
                let path = folder.path().join(format!("{round}.zarr"));
                let (started, computed) = (Instant::now(), computed());
                sample.write(&path, way);
                let seconds = started.elapsed().as_secs_f64();
                let computed = self::computed() - computed;
                fs_err::remove_dir_all(&path).unwrap();
                [gigabytes / seconds, computed / gigabytes]
            })
            .collect();
        measured.sort_by(|one, other| one[0].total_cmp(&other[0]));
        println!(
            "  {name}: median {:.2} GB/s, best {:.2} GB/s of {rounds}, {:.2} s of CPU a GB",
            measured[rounds / 2][0],
            measured[rounds - 1][0],
            measured.iter().map(|[_, computed]| computed).sum::<f64>() / rounds as f64
        );
    }
}

/// Seconds that the threads of this process have computed, in hundredths.
fn computed() -> f64 {
    let state = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields = state.rsplit_once(')').unwrap().1.split_whitespace();
    // Of the program and of the kernel for it: fields 14 and 15, the first after the name being 3.
    let ticks: u32 = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u32>().unwrap())
        .sum();
    f64::from(ticks) / 100.0
}

/// Writes the pieces of a batch.
type Way = fn(&Sample, &mut PartWriter, &[(u64, usize)]);

/// A made-up data set, and rows for a batch of it.
struct Sample {
    manifest: Manifest,
    tables: SplitTables,
    /// `[tokens of a batch, layers, hidden]`; what the numbers are makes no difference.
    rows: Vec<u8>,
}

impl Sample {
    fn new([tokens, layers, hidden]: [usize; 3]) -> Self {
        let tables = tables(tokens);
        let row_bytes = layers * hidden * 2;
        let units = ByteLimits::default().units(row_bytes);
        let manifest = json!({
            "format_version": cache::FORMAT_VERSION,
            "model": {
                "id": "made-up", "revision": null, "weights_digest": "", "family": "bert", "layers_in_model": layers,
            },
            "tokenizer_digest": "",
            "dataset": { "id": "made-up", "digest": "", "task": "pos", "scheme": null },
            "splits": { "train": tables.size() },
            "max_length": 128,
            "long": "split",
            "long_sentences": 0,
            "layers": (0..layers).collect::<Vec<_>>(),
            "hidden": hidden,
            "compute_dtype": "float32",
            "max_batch_tokens": BATCH,
            "store_dtype": "float16",
            "codec": "none",
            "provider": "cpu",
            "chunk_tokens": units.chunk_tokens,
            "file_tokens": units.file_tokens,
            "part_files": units.part_files,
            "versions": {},
        });
        let words = (0..(BATCH + LONGEST) * row_bytes / 8).map(|at| scramble(at as u64));
        Self {
            manifest: serde_json::from_value(manifest).unwrap(),
            tables,
            rows: words.flat_map(u64::to_le_bytes).collect(),
        }
    }

    fn bytes(&self) -> usize {
        self.tables.input_ids.len() * self.manifest.row_bytes()
    }

    fn write(&self, path: &Path, way: Way) {
        let tables = std::slice::from_ref(&self.tables);
        let Opened::Writer(writer) =
            StoreWriter::open(path, &self.manifest, tables, OpenMode::Resume).unwrap()
        else {
            panic!("it is there already")
        };
        for part in writer.pending() {
            let mut rows = writer.begin(&part).unwrap();
            for pieces in batches(&self.tables.offsets, part.sequences.clone()) {
                way(self, &mut rows, &pieces);
            }
            rows.finish(&PartStatistics::new(self.manifest.layers.len()))
                .unwrap();
        }
        assert!(writer.complete().unwrap());
    }

    fn write_in_turn(&self, writer: &mut PartWriter, pieces: &[(u64, usize)]) {
        let mut at = 0;
        for &(first, tokens) in pieces {
            let end = at + tokens * self.manifest.row_bytes();
            writer.write(first, &self.rows[at..end]).unwrap();
            at = end;
        }
    }

    fn write_together(&self, writer: &mut PartWriter, pieces: &[(u64, usize)]) {
        let tokens: usize = pieces.iter().map(|&(_, tokens)| tokens).sum();
        let rows = &self.rows[..tokens * self.manifest.row_bytes()];
        writer.write_pieces(pieces, rows).unwrap();
    }
}

const LONGEST: usize = 64;

/// First token and number of tokens of each sequence of each batch, in random order.
fn batches(offsets: &[u64], sequences: Range<usize>) -> Vec<Vec<(u64, usize)>> {
    let mut order: Vec<usize> = sequences.collect();
    order.sort_by_key(|&sequence| scramble(sequence as u64));
    let (mut batches, mut tokens) = (vec![Vec::new()], 0);
    for sequence in order {
        let (first, length) = (
            offsets[sequence],
            index(offsets[sequence + 1] - offsets[sequence]),
        );
        if tokens >= BATCH {
            batches.push(Vec::new());
            tokens = 0;
        }
        batches.last_mut().unwrap().push((first, length));
        tokens += length;
    }
    batches
}

/// Sequences of 3 to 64 tokens, 20 in the middle of them.
fn tables(tokens: usize) -> SplitTables {
    let mut offsets = vec![0];
    while offsets[offsets.len() - 1] < tokens as u64 {
        let number = scramble(offsets.len() as u64);
        let length = if number.is_multiple_of(2) {
            3 + number / 2 % 18
        } else {
            20 + number / 2 % 44
        };
        offsets.push((offsets[offsets.len() - 1] + length).min(tokens as u64));
    }
    let sequences = offsets.len() - 1;
    SplitTables {
        name: SplitName::Train,
        offsets,
        sentence_of: (0..sequences)
            .map(|at| u32::try_from(at).unwrap())
            .collect(),
        input_ids: vec![1; tokens],
        word_ids: vec![-1; tokens],
        words: vec![Vec::new(); sequences],
        second_text: Vec::new(),
        labels: Vec::new(),
    }
}

fn index(tokens: u64) -> usize {
    usize::try_from(tokens).unwrap()
}

/// The finaliser of `SplitMix64`: neighbours become strangers.
fn scramble(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
