//! What each number format and compression costs, on the activations of a real store: size, time to write and read,
//! and how far values are from float32. The numbers in `docs/format.md` are what this printed.
//!
//!     cargo run --release -p cache --example store_formats -- STORE [SPLIT]
//!
//! STORE is one of `--store-dtype f32`. The stores that are made of it go to a temporary folder beside it.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: what is wrong ends it"
)]
#![allow(clippy::cast_precision_loss, reason = "megabytes for a person")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use cache::{
    ByteLimits, Codec, Io, Manifest, OpenMode, Opened, PartStatistics, Reading, SplitReader,
    SplitTables, Store, StoreDtype, StoreWriter, rows,
};
use clap::ValueEnum as _;
use shared::datasets::SplitName;

/// float16 first: the others are compared with it.
const DTYPES: [StoreDtype; 5] = [
    StoreDtype::F16,
    StoreDtype::F32,
    StoreDtype::Bf16,
    StoreDtype::I8,
    StoreDtype::I4,
];

const CODECS: [Codec; 3] = [Codec::None, Codec::Zstd, Codec::Blosc];

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().unwrap());
    let split = arguments.next().map_or(SplitName::Train, |name| {
        SplitName::from_str(&name.to_string_lossy(), true).unwrap()
    });
    let store = Store::open(&path, Io::Mmap).unwrap();
    assert_eq!(store.manifest().store_dtype, StoreDtype::F32);
    let source = Source::new(&store, split);
    let folder = tempfile::tempdir_in(path.parent().unwrap()).unwrap();
    println!(
        "{} on {}, {split}: {} tokens, {} layers x {}, {:.1} MB of values in float32\n",
        store.manifest().model.id,
        store.manifest().dataset.id,
        source.tables.input_ids.len(),
        store.manifest().layers.len(),
        store.manifest().hidden,
        (source.values.len() * 4) as f64 / 1e6
    );
    println!(
        "| format | compression | size | of float16 | write | first pass | pass in order | shuffled | shuffled, in memory | error |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut halves = 0;
    for dtype in DTYPES {
        for codec in CODECS {
            let target = folder.path().join(format!("{dtype}-{codec}.zarr"));
            let measured = measure(&source, &target, dtype, codec);
            if (dtype, codec) == (StoreDtype::F16, Codec::None) {
                halves = measured.bytes;
            }
            measured.print(dtype, codec, halves);
            fs_err::remove_dir_all(&target).unwrap();
        }
    }
}

/// A split of the store that is measured with.
struct Source {
    manifest: Manifest,
    tables: SplitTables,
    /// `[tokens, layers, hidden]`.
    values: Vec<f32>,
}

impl Source {
    fn new(store: &Store, name: SplitName) -> Self {
        let split = store.split(name).unwrap();
        let mut manifest = store.manifest().clone();
        manifest.splits.retain(|split, _| *split == name);
        let rows = split.rows(0..split.tokens() as u64).unwrap();
        let mut values = vec![0.0; rows.tokens() * rows.layers() * rows.hidden()];
        rows.to_f32(&mut values);
        let tables = SplitTables {
            name,
            offsets: split.offsets().to_vec(),
            sentence_of: split.sentence_of().to_vec(),
            input_ids: split.input_ids().to_vec(),
            word_ids: split.word_ids().to_vec(),
            words: (0..split.sentences())
                .map(|sentence| {
                    split
                        .words(sentence)
                        .into_iter()
                        .map(str::to_owned)
                        .collect()
                })
                .collect(),
            second_text: Vec::new(),
            labels: Vec::new(),
        };
        Self {
            manifest,
            tables,
            values,
        }
    }

    /// Writes a store; the seconds that took, the conversion of the numbers included.
    fn write(&self, path: &Path, dtype: StoreDtype, codec: Codec) -> f64 {
        let mut manifest = self.manifest.clone();
        let vector = dtype.vector_bytes(manifest.hidden);
        let units = ByteLimits::default().units(manifest.layers.len() * vector);
        manifest.store_dtype = dtype;
        manifest.codec = codec;
        manifest.chunk_tokens = units.chunk_tokens;
        manifest.file_tokens = units.file_tokens;
        manifest.part_files = units.part_files;
        let tables = std::slice::from_ref(&self.tables);
        let started = Instant::now();
        let opened = StoreWriter::open(path, &manifest, tables, OpenMode::Resume).unwrap();
        let Opened::Writer(writer) = opened else {
            panic!("it is there already")
        };
        for part in writer.pending() {
            let mut counted = PartStatistics::new(manifest.layers.len());
            let row = manifest.layers.len() * manifest.hidden;
            let (from, to) = (index(part.tokens.start) * row, index(part.tokens.end) * row);
            let values = self.values[from..to].chunks_exact(manifest.hidden);
            let mut bytes = vec![0; values.len() * vector];
            for (at, (values, out)) in values.zip(bytes.chunks_exact_mut(vector)).enumerate() {
                let layer = at % manifest.layers.len();
                rows::encode(dtype, layer, values, out, &mut counted.layers[layer]).unwrap();
            }
            let mut rows = writer.begin(&part).unwrap();
            rows.write(part.tokens.start, &bytes).unwrap();
            rows.finish(&counted).unwrap();
        }
        assert!(writer.complete().unwrap());
        started.elapsed().as_secs_f64()
    }
}

struct Measured {
    bytes: u64,
    values: usize,
    write: f64,
    first: f64,
    ordered: f64,
    shuffled: f64,
    in_memory: f64,
    error: f64,
}

fn measure(source: &Source, path: &Path, dtype: StoreDtype, codec: Codec) -> Measured {
    let write = source.write(path, dtype, codec);
    let mapped = Store::open(path, Io::Mmap).unwrap();
    let split = mapped.split(source.tables.name).unwrap();
    let ordered: Vec<usize> = (0..split.len()).collect();
    let mut shuffled = ordered.clone();
    shuffled.sort_by_key(|&sequence| scramble(sequence as u64));
    let first = pass(split, &ordered);
    let again = pass(split, &ordered);
    let jumping = pass(split, &shuffled);
    let loaded = Store::open(path, Reading::from(Io::Ram)).unwrap();
    let loaded = loaded.split(source.tables.name).unwrap();
    pass(loaded, &ordered);
    Measured {
        bytes: cache::inspect::stored_bytes(path).unwrap(),
        values: source.values.len(),
        write,
        first,
        ordered: again,
        shuffled: jumping,
        in_memory: pass(loaded, &shuffled),
        error: error(source, split),
    }
}

/// Seconds to touch every byte of these sequences.
fn pass(split: &SplitReader, sequences: &[usize]) -> f64 {
    let started = Instant::now();
    let mut sum = 0_u64;
    for &sequence in sequences {
        for piece in split.hidden_states(sequence).unwrap().pieces() {
            let words = piece.chunks_exact(8).map(|word| word.try_into().unwrap());
            sum = words.fold(sum, |sum, word| sum ^ u64::from_le_bytes(word));
        }
    }
    std::hint::black_box(sum);
    started.elapsed().as_secs_f64()
}

/// Root mean square of the differences from float32, relative to that of the values.
fn error(source: &Source, split: &SplitReader) -> f64 {
    let rows = split.rows(0..split.tokens() as u64).unwrap();
    let mut values = vec![0.0; source.values.len()];
    rows.to_f32(&mut values);
    let (mut apart, mut size) = (0.0, 0.0);
    for (value, original) in values.iter().zip(&source.values) {
        apart += f64::from(value - original).powi(2);
        size += f64::from(*original).powi(2);
    }
    (apart / size).sqrt()
}

impl Measured {
    fn print(&self, dtype: StoreDtype, codec: Codec, halves: u64) {
        // Speeds count the values in float16, so that all rows speak of the same work.
        let speed = |seconds: f64| (self.values * 2) as f64 / 1e6 / seconds;
        println!(
            "| {dtype} | {codec} | {:.1} MB | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1e} |",
            self.bytes as f64 / 1e6,
            self.bytes as f64 / halves as f64,
            speed(self.write),
            speed(self.first),
            speed(self.ordered),
            speed(self.shuffled),
            speed(self.in_memory),
            self.error
        );
    }
}

fn index(token: u64) -> usize {
    usize::try_from(token).unwrap()
}

/// The finaliser of `SplitMix64`: neighbours become strangers.
fn scramble(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
