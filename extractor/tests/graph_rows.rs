//! Rows that a graph makes, as encoders on a GPU do, against those that the program makes of the
//! same hidden states; on the CPU, on small random checkpoints of every family.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

use std::path::{Path, PathBuf};

use cache::{PartStatistics, StoreDtype};
use extractor::encoder::{Batch, Device, Encoder, EncoderOptions, RowsOn};
use extractor::model::ModelFiles;
use ndarray::s;

/// Three sequences of different lengths.
const SEQUENCES: [&[u32]; 3] = [
    &[2, 7, 8, 9, 30, 31, 32, 3],
    &[2, 11, 3],
    &[2, 12, 13, 14, 3],
];

fn checkpoints() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints");
    let entries = fs_err::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn load(folder: &Path, rows: RowsOn) -> Encoder {
    let options = EncoderOptions {
        device: Device::Cpu,
        threads: 1,
        rows,
        ..EncoderOptions::default()
    };
    Encoder::load(&ModelFiles::in_folder(folder).unwrap(), &options).unwrap()
}

/// The tokens that are stored: of the first sequence the end, of the last the begin, as where a
/// part begins and ends; padded to a width that none of them has.
fn batch_and_kept() -> (Batch, Vec<(usize, usize)>) {
    let batch = Batch::padded_to(10, &SEQUENCES).unwrap();
    let tokens = |row: usize, range: std::ops::Range<usize>| range.map(move |token| (row, token));
    let kept = tokens(0, 5..8)
        .chain(tokens(1, 0..3))
        .chain(tokens(2, 0..2));
    (batch, kept.collect())
}

/// Rows and statistics made on the CPU.
fn on_the_cpu(encoder: &mut Encoder, format: StoreDtype) -> (Vec<u8>, PartStatistics) {
    let (batch, kept) = batch_and_kept();
    let (layers, hidden) = (encoder.layers().len(), encoder.hidden());
    let states = encoder.encode(&batch).unwrap();
    let (mut bytes, mut statistics) = (Vec::new(), PartStatistics::new(layers));
    for (row, token) in kept {
        for layer in 0..layers {
            let values = states.layer(layer).slice(s![row, token, ..]).to_vec();
            let mut out = vec![0; format.vector_bytes(hidden)];
            let counts = &mut statistics.layers[layer];
            cache::rows::encode(format, layer, &values, &mut out, counts).unwrap();
            bytes.extend(out);
        }
    }
    (bytes, statistics)
}

#[test]
fn a_graph_makes_the_rows_that_the_program_makes() {
    let folders = checkpoints();
    assert!(folders.len() >= 22, "the fixtures are there");
    for folder in folders {
        let mut plain = load(&folder, RowsOn::Host);
        assert_eq!(plain.row_format(), None);
        for format in [StoreDtype::F16, StoreDtype::Bf16, StoreDtype::F32] {
            let (expected, counted) = on_the_cpu(&mut plain, format);
            let mut encoder = load(&folder, RowsOn::Graph(format));
            assert_eq!(encoder.row_format(), Some(format));
            let (batch, kept) = batch_and_kept();
            let places: Vec<i32> = kept
                .iter()
                .map(|(row, token)| i32::try_from(row * batch.width + token).unwrap())
                .collect();
            let rows = encoder.encode_rows(&batch, &places).unwrap();
            assert_eq!(rows.bytes(), expected, "{folder:?}, {format}");
            let statistics = rows.statistics().unwrap();
            assert_eq!(statistics.layers.len(), counted.layers.len());
            for (found, counted) in statistics.layers.iter().zip(&counted.layers) {
                assert_eq!(found.values, counted.values);
                assert_eq!(
                    (found.minimum(), found.maximum()),
                    (counted.minimum(), counted.maximum())
                );
                let apart = (found.mean_absolute() - counted.mean_absolute()).abs();
                assert!(apart < 1e-6 * counted.mean_absolute().max(1.0), "{apart}");
            }
            // The ordinary way is still there, for a value that the format cannot hold.
            assert_eq!(on_the_cpu(&mut encoder, format).0, expected);
        }
    }
}

#[test]
fn rows_outlive_the_next_batch_and_move_between_threads() {
    let folder = checkpoints().remove(0);
    let mut encoder = load(&folder, RowsOn::Graph(StoreDtype::F16));
    let batch = Batch::padded(&SEQUENCES).unwrap();
    let first = encoder.encode_rows(&batch, &[0, 1]).unwrap();
    let second = encoder.encode_rows(&batch, &[8, 9, 10]).unwrap();
    let before = first.bytes().to_vec();
    drop(second);
    let third = encoder.encode_rows(&batch, &[0, 1]).unwrap();
    let after = std::thread::spawn(move || first.bytes().to_vec());
    assert_eq!(after.join().unwrap(), before);
    assert_eq!(third.bytes(), before);
}

#[test]
fn only_tokens_are_kept_and_only_graphs_that_can_make_rows() {
    let folder = checkpoints().remove(0);
    let batch = Batch::padded(&SEQUENCES).unwrap();
    let mut encoder = load(&folder, RowsOn::Graph(StoreDtype::F16));
    let mut refused = |kept: &[i32]| {
        let error = encoder.encode_rows(&batch, kept).err().unwrap();
        error.to_string()
    };
    // Row 1 has three tokens and then padding; there is no row 3.
    assert!(refused(&[0, 11]).contains("place 11 is not a token's"));
    assert!(refused(&[24]).contains("place 24"));
    assert!(refused(&[-1]).contains("place -1"));
    assert!(refused(&[]).contains("no token"));
    // An int8 vector has a scale, which no tensor holds.
    let mut plain = load(&folder, RowsOn::Graph(StoreDtype::I8));
    assert_eq!(plain.row_format(), None);
    let error = plain.encode_rows(&batch, &[0]).err().unwrap();
    assert!(error.to_string().contains("makes no rows"), "{error}");
    // On the CPU the graph makes rows only if that is asked for.
    assert_eq!(
        load(&folder, RowsOn::Gpu(StoreDtype::F16)).row_format(),
        None
    );
    let longer = Batch::padded_to(2, &SEQUENCES).err().unwrap().to_string();
    assert!(longer.contains("a sequence has 8 tokens"), "{longer}");
}
