//! Hidden states against transformers, on small random checkpoints of every family; see
//! `fixtures/make_checkpoints.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure being reported"
)]

mod common;

use std::path::{Path, PathBuf};

use common::expected::{fixtures, floats, integers};
use extractor::encoder::{Batch, Device, Encoder, EncoderOptions, LayerSelection};
use extractor::family::ResidualOrder;
use extractor::model::ModelFiles;
use ndarray::{Array3, Array4, ArrayView3, Axis, s};
use safetensors::SafeTensors;

/// Largest difference to transformers in float32.
const TOLERANCE: f32 = 2e-4;
/// Largest difference that the other rows of a batch may make.
const BATCH_TOLERANCE: f32 = 1e-4;

fn checkpoints() -> Vec<PathBuf> {
    let entries = fs_err::read_dir(fixtures().join("checkpoints")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn options(layers: &str) -> EncoderOptions {
    EncoderOptions {
        device: Device::Cpu,
        threads: 1,
        layers: layers.parse().unwrap(),
        ..EncoderOptions::default()
    }
}

fn load(folder: &Path) -> Encoder {
    Encoder::load(&ModelFiles::in_folder(folder).unwrap(), &options("all")).unwrap()
}

/// A batch, and its hidden states by transformers, `[states, rows, width, hidden]`.
struct Expected {
    batch: Batch,
    states: Array4<f32>,
}

fn expected(folder: &Path) -> Vec<Expected> {
    let bytes = fs_err::read(folder.join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let batch = |number: usize| {
        let ids = tensors.tensor(&format!("{number}.input_ids")).ok()?;
        let lengths = tensors.tensor(&format!("{number}.lengths")).unwrap();
        let states = tensors.tensor(&format!("{number}.hidden_states")).unwrap();
        let shape: [usize; 4] = states.shape().try_into().unwrap();
        let (rows, width) = (ids.shape()[0], ids.shape()[1]);
        let batch = Batch {
            token_types: Vec::new(),
            input_ids: integers(ids.data()),
            lengths: integers(lengths.data()),
            rows,
            width,
        };
        Some(Expected {
            batch,
            states: Array4::from_shape_vec(shape, floats(states.data())).unwrap(),
        })
    };
    (0..).map_while(batch).collect()
}

/// The largest difference at tokens of two arrays `[rows, width, hidden]`; padding does not count.
fn difference(lengths: &[i32], ours: &ArrayView3<'_, f32>, theirs: &ArrayView3<'_, f32>) -> f32 {
    assert_eq!(ours.dim(), theirs.dim());
    let mut largest = 0.0_f32;
    for (row, &length) in lengths.iter().enumerate() {
        let tokens = s![row, ..usize::try_from(length).unwrap(), ..];
        for (ours, theirs) in ours.slice(tokens).iter().zip(theirs.slice(tokens)) {
            assert!(ours.is_finite(), "row {row}: {ours}");
            largest = largest.max((ours - theirs).abs());
        }
    }
    largest
}

#[test]
fn every_hidden_state_is_that_of_transformers() {
    let mut folders = checkpoints();
    assert!(folders.len() >= 110, "the fixtures are there");
    folders.push(fixtures().join("exported"));
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        let mut encoder = load(&folder);
        let (hidden, states) = (encoder.hidden(), encoder.layers_in_model());
        for Expected {
            batch,
            states: theirs,
        } in expected(&folder)
        {
            assert_eq!(
                theirs.dim(),
                (states, batch.rows, batch.width, hidden),
                "{name}"
            );
            let ours = encoder.encode(&batch).unwrap();
            for (state, theirs) in theirs.outer_iter().enumerate() {
                let difference = difference(&batch.lengths, &ours.layer(state), &theirs);
                println!("{name} {state}: {difference:e}");
                assert!(
                    difference < TOLERANCE,
                    "{name}, hidden state {state}: {difference}"
                );
            }
        }
    }
}

#[test]
fn a_sequence_is_encoded_alone_as_it_is_in_company() {
    for folder in checkpoints() {
        let mut encoder = load(&folder);
        let states = encoder.layers_in_model();
        let Expected { batch, .. } = expected(&folder).remove(0);
        let together: Vec<Array3<f32>> = {
            let outputs = encoder.encode(&batch).unwrap();
            (0..states)
                .map(|state| outputs.layer(state).to_owned())
                .collect()
        };
        for (row, &length) in batch.lengths.iter().enumerate() {
            let width = usize::try_from(length).unwrap();
            let begin = row * batch.width;
            let input_ids = batch.input_ids[begin..begin + width].to_vec();
            let single = Batch {
                token_types: Vec::new(),
                input_ids,
                lengths: vec![length],
                rows: 1,
                width,
            };
            let alone = encoder.encode(&single).unwrap();
            for (state, together) in together.iter().enumerate() {
                let together = together.slice(s![row..=row, ..width, ..]);
                let difference = difference(&single.lengths, &alone.layer(state), &together);
                assert!(
                    difference < BATCH_TOLERANCE,
                    "{folder:?}, row {row}, hidden state {state}: {difference}"
                );
            }
        }
    }
}

#[test]
fn every_activation_is_that_of_transformers() {
    let bytes = fs_err::read(fixtures().join("activations.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let input_ids = integers(tensors.tensor("input_ids").unwrap().data());
    let width = input_ids.len();
    let batch = Batch {
        token_types: Vec::new(),
        input_ids,
        lengths: vec![i32::try_from(width).unwrap()],
        rows: 1,
        width,
    };
    let plain = fixtures().join("checkpoints/bert-plain");
    let config = fs_err::read_to_string(plain.join("config.json")).unwrap();
    for name in tensors
        .names()
        .into_iter()
        .filter(|name| *name != "input_ids")
    {
        let folder = tempfile::tempdir().unwrap();
        let changed = config.replace(
            "\"hidden_act\": \"gelu\"",
            &format!("\"hidden_act\": \"{name}\""),
        );
        assert!(changed != config || name == "gelu");
        fs_err::write(folder.path().join("config.json"), changed).unwrap();
        fs_err::copy(
            plain.join("model.safetensors"),
            folder.path().join("model.safetensors"),
        )
        .unwrap();
        let mut encoder = Encoder::load(
            &ModelFiles::in_folder(folder.path()).unwrap(),
            &options("-1"),
        )
        .unwrap();
        let theirs = floats(tensors.tensor(name).unwrap().data());
        let outputs = encoder.encode(&batch).unwrap();
        let ours = outputs.layer(0);
        let theirs = ArrayView3::from_shape(ours.dim(), &theirs).unwrap();
        let difference = difference(&batch.lengths, &ours, &theirs);
        assert!(difference < TOLERANCE, "{name}: {difference}");
    }
}

#[test]
fn selected_layers_are_the_same_as_among_all() {
    for family in ["bert-plain", "gpt2-plain"] {
        let folder = fixtures().join("checkpoints").join(family);
        let Expected {
            batch,
            states: theirs,
        } = expected(&folder).remove(0);
        for (selection, layers) in [
            ("0", vec![0]),
            ("1", vec![1]),
            ("0,-1", vec![0, 2]),
            ("1-2", vec![1, 2]),
        ] {
            let files = ModelFiles::in_folder(&folder).unwrap();
            let mut encoder = Encoder::load(&files, &options(selection)).unwrap();
            assert_eq!(encoder.layers(), layers);
            let outputs = encoder.encode(&batch).unwrap();
            for (index, state) in layers.into_iter().enumerate() {
                let theirs = theirs.index_axis(Axis(0), state);
                let difference = difference(&batch.lengths, &outputs.layer(index), &theirs);
                assert!(
                    difference < TOLERANCE,
                    "{family}, {selection}: {difference}"
                );
            }
        }
    }
}

/// A copy of a checkpoint in one file, without the layers from `layers` on and the norm after the
/// last one.
fn without_upper_layers(files: &ModelFiles, layers: usize, folder: &Path) {
    let spec = files.spec().unwrap();
    let layer_of = |name: &str| {
        // Layers that share weights have no numbers of their own.
        if spec.names.groups.is_some() {
            return None;
        }
        let (_, rest) = name.split_once(spec.names.layer)?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let last_norm = match spec.residual {
        ResidualOrder::PostNorm { .. } | ResidualOrder::PostNormConvolution { .. } => None,
        ResidualOrder::PreNorm { last, .. } => last.map(|last| format!("{last}.")),
        ResidualOrder::Parallel { last, .. } | ResidualOrder::BlockNorms { last, .. } => {
            Some(format!("{last}."))
        }
    };
    let is_last_norm = |name: &str| {
        let norm = last_norm.as_deref().filter(|_| layer_of(name).is_none());
        let prefixes = spec.names.prefixes;
        norm.is_some_and(|norm| {
            let without = prefixes
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix));
            without.into_iter().any(|name| name.starts_with(norm))
        })
    };
    let bytes = files.weights.iter().map(|path| fs_err::read(path).unwrap());
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let files_of = bytes
        .iter()
        .map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    let shards: Vec<SafeTensors<'_>> = files_of.collect();
    let all = shards.iter().flat_map(SafeTensors::tensors);
    let kept = all.filter(|(name, _)| {
        layer_of(name).is_none_or(|layer| layer < layers) && !is_last_norm(name)
    });
    let path = folder.join("model.safetensors");
    safetensors::serialize_to_file(kept, None, &path).unwrap();
    fs_err::copy(&files.config, folder.join("config.json")).unwrap();
}

/// Not one tensor of a layer above the last kept one is read, nor the norm after the last layer, and
/// the kept ones are the same to the last bit.
#[test]
fn layers_above_the_last_kept_one_need_not_be_there() {
    for path in checkpoints() {
        let files = ModelFiles::in_folder(&path).unwrap();
        let batch = Batch::padded(&[&[2, 7, 8, 9, 3], &[2, 11, 3]]).unwrap();
        let mut whole = Encoder::load(&files, &options("all")).unwrap();
        let states = whole.layers().len();
        let expected = whole.encode(&batch).unwrap();
        for last in 0..states - 1 {
            let folder = tempfile::tempdir().unwrap();
            without_upper_layers(&files, last, folder.path());
            let lower = ModelFiles::in_folder(folder.path()).unwrap();
            let kept = if last > 1 {
                format!("0,{last}")
            } else {
                last.to_string()
            };
            let mut encoder = Encoder::load(&lower, &options(&kept)).unwrap();
            let index = encoder.layers().len() - 1;
            let found = encoder.encode(&batch).unwrap();
            let tokens = |row: usize, tokens: usize| s![row, ..tokens, ..];
            for (row, length) in [5, 3].into_iter().enumerate() {
                let (found, expected) = (found.layer(index), expected.layer(last));
                let [found, expected] =
                    [found, expected].map(|layer| layer.slice(tokens(row, length)).to_owned());
                assert_eq!(found, expected, "{}, layer {last}", path.display());
            }
        }
    }
}

#[test]
fn an_encoder_says_what_it_takes() {
    let sizes = |name: &str| {
        let encoder = load(&fixtures().join("checkpoints").join(name));
        (
            encoder.family().to_owned(),
            encoder.max_positions(),
            encoder.vocabulary(),
            encoder.layers().len(),
        )
    };
    assert_eq!(sizes("bert-plain"), ("bert".to_owned(), 16, 40, 3));
    assert_eq!(
        sizes("camembert-sharded"),
        ("camembert".to_owned(), 16 - 6, 40, 3)
    );
    assert_eq!(sizes("gpt2-plain"), ("gpt2".to_owned(), 16, 40, 3));
    assert_eq!(LayerSelection::all().resolve(3).unwrap(), [0, 1, 2]);
}

#[test]
fn a_batch_that_does_not_fit_the_model_is_refused_before_it_runs() {
    let mut encoder = load(&fixtures().join("checkpoints/bert-plain"));
    let mut message = |ids: &[u32]| {
        encoder
            .encode(&Batch::padded(&[ids]).unwrap())
            .err()
            .unwrap()
            .to_string()
    };
    assert!(message(&[2, 40, 3]).contains("token id 40 is not in the model's vocabulary of 40"));
    assert!(message(&[2; 17]).contains("17 tokens is longer than the 16"));
    assert!(message(&[]).contains("empty"));
    let longer = Batch {
        token_types: Vec::new(),
        input_ids: vec![2, 3],
        lengths: vec![3],
        rows: 1,
        width: 2,
    };
    assert!(
        encoder
            .encode(&longer)
            .err()
            .unwrap()
            .to_string()
            .contains("length 3")
    );
}

#[test]
fn every_family_can_be_tried_without_weights() {
    for folder in checkpoints() {
        let config = folder.join("config.json");
        let mut encoder = Encoder::blank(&config, &[0], &options("all")).unwrap();
        assert_eq!(encoder.layers(), [0, 1], "{folder:?}");
        let batch = Batch {
            token_types: Vec::new(),
            input_ids: vec![0; 6],
            lengths: vec![3, 2],
            rows: 2,
            width: 3,
        };
        let states = encoder.encode(&batch).unwrap();
        // Real numbers: what is slow about others must not be measured.
        assert!(
            states.layer(1).iter().all(|value| value.is_finite()),
            "{folder:?}"
        );
    }
}
