#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

use std::collections::BTreeMap;

use cache::StoreDtype;
use ndarray::{ArrayView3, s};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::*;
use crate::encoder::{Device, RowsOn};
use crate::family::{FeedForward, Norm, ResidualOrder};
use crate::graph::ComputeDtype;

const SEQUENCES: [&[u32]; 2] = [&[2, 7, 8, 9, 30, 31, 32, 3], &[2, 11, 3]];

/// In float16 on the CPU, which only a test wants: ONNX Runtime puts casts around what has no
/// kernel there.
fn in_half(folder: &Path, rows: RowsOn) -> Encoder {
    let files = ModelFiles::in_folder(folder).unwrap();
    let spec = EncoderSpec::from_config(&Config::read(&files.config).unwrap()).unwrap();
    let layers: Vec<usize> = (0..spec.states()).collect();
    let options = EncoderOptions {
        dtype: ComputeDtype::F16,
        rows,
        ..EncoderOptions::default()
    };
    let cpu = (
        Target::Cpu,
        runtime::session_builder(Target::Cpu, 1).unwrap(),
    );
    let checkpoint = || Ok(Checkpoint::open(&files.weights)?);
    let session = Encoder::session(&spec, &layers, &options, checkpoint, cpu).unwrap();
    let on_cpu = (Target::Cpu, Vec::new());
    Encoder::for_session(session, &spec, layers, &options, on_cpu)
}

fn hidden_states(encoder: &mut Encoder) -> Vec<Vec<f32>> {
    let batch = Batch::padded(&SEQUENCES).unwrap();
    let layers = encoder.layers().len();
    let states = encoder.encode(&batch).unwrap();
    let of_layer = |layer| {
        let values: ArrayView3<'_, f32> = states.layer(layer);
        let tokens = SEQUENCES.iter().enumerate().map(|(row, sequence)| {
            let tokens = values.slice(s![row, ..sequence.len(), ..]);
            tokens.iter().copied().collect::<Vec<f32>>()
        });
        tokens.flatten().collect()
    };
    (0..layers).map(of_layer).collect()
}

#[test]
fn float16_is_float32_but_for_rounding() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints");
    let mut compared = 0;
    for entry in fs_err::read_dir(fixtures).unwrap() {
        let folder = entry.unwrap().path();
        let options = EncoderOptions {
            device: Device::Cpu,
            threads: 1,
            ..EncoderOptions::default()
        };
        let files = ModelFiles::in_folder(&folder).unwrap();
        let exact = hidden_states(&mut Encoder::load(&files, &options).unwrap());
        let half = hidden_states(&mut in_half(&folder, RowsOn::Host));
        let mut largest = (0.0_f32, 0.0_f32);
        for (exact, half) in exact.iter().flatten().zip(half.iter().flatten()) {
            assert!(half.is_finite(), "{}", folder.display());
            largest = (
                largest.0.max((exact - half).abs()),
                largest.1.max(exact.abs()),
            );
        }
        assert!(largest.0 > 0.0, "{} computes in float32", folder.display());
        assert!(
            largest.0 < 0.01 * largest.1,
            "{}: {largest:?}",
            folder.display()
        );
        in_half(&folder, RowsOn::Graph(StoreDtype::F16));
        compared += 1;
    }
    assert!(compared >= 94, "the fixtures are there");
}

/// The tensors of a test checkpoint, float32, to be changed.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn checkpoint(name: &str) -> (EncoderSpec, Tensors) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/checkpoints")
        .join(name);
    let spec = EncoderSpec::from_config(&Config::read(&folder.join("config.json")).unwrap());
    let bytes = fs_err::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().filter_map(|(name, tensor)| {
        (tensor.dtype() == Dtype::F32).then(|| {
            let values = bytemuck::pod_collect_to_vec(tensor.data());
            (name, (tensor.shape().to_vec(), values))
        })
    });
    (spec.unwrap(), tensors.collect())
}

/// Every hidden state of the first of [`SEQUENCES`], in an encoder of these parts and weights.
fn states(spec: &EncoderSpec, tensors: &Tensors) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let views = tensors.iter().map(|(name, (shape, values))| {
        let bytes = bytemuck::cast_slice(values);
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    serialize_to_file(views, None, &path).unwrap();
    let options = EncoderOptions {
        device: Device::Cpu,
        threads: 1,
        ..EncoderOptions::default()
    };
    let layers = (0..spec.states()).collect();
    let open = || Ok(Checkpoint::open(std::slice::from_ref(&path))?);
    let mut encoder = Encoder::from_spec(spec, layers, &options, open).unwrap();
    let batch = Batch::padded(&SEQUENCES[..1]).unwrap();
    let states = encoder.encode(&batch).unwrap();
    (0..spec.states())
        .map(|state| states.layer(state).iter().copied().collect())
        .collect()
}

fn assert_same(left: &[Vec<f32>], right: &[Vec<f32>]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().flatten().zip(right.iter().flatten()) {
        assert!((left - right).abs() < 1e-5, "{left} {right}");
    }
}

#[test]
fn an_encoder_without_biases_is_one_whose_biases_are_zero() {
    for name in ["bert-plain", "gpt2-plain", "electra-projected"] {
        let (mut spec, mut tensors) = checkpoint(name);
        let unchanged = states(&spec, &tensors);
        let is_bias = |name: &String| {
            !name.contains("embeddings_project") && name.rsplit('.').next() == Some("bias")
        };
        for (_, (_, values)) in tensors.iter_mut().filter(|(name, _)| is_bias(name)) {
            values.fill(0.0);
        }
        let zeros = states(&spec, &tensors);
        assert!(
            unchanged[1]
                .iter()
                .zip(&zeros[1])
                .any(|(with, without)| with.to_bits() != without.to_bits())
        );
        tensors.retain(|name, _| !is_bias(name));
        spec.attention.bias = false;
        spec.attention.output_bias = false;
        match &mut spec.feed_forward {
            FeedForward::Plain { bias, .. } => *bias = false,
            FeedForward::Gated {
                bias, output_bias, ..
            } => (*bias, *output_bias) = (false, false),
        }
        let Norm::Layer { bias, .. } = &mut spec.norm else {
            panic!("{name} has layer norms");
        };
        *bias = false;
        assert_same(&states(&spec, &tensors), &zeros);
    }
}

/// Each head of size `size` in `values`, `[.., heads, size]`, with as many numbers `more` behind it.
fn widened(values: &[f32], size: usize, more: f32) -> Vec<f32> {
    let heads = values.chunks_exact(size);
    heads
        .flat_map(|head| head.iter().copied().chain(vec![more; size]))
        .collect()
}

#[test]
fn heads_may_be_wider_than_their_share_of_the_hidden_size() {
    let (mut spec, mut tensors) = checkpoint("bert-plain");
    let expected = states(&spec, &tensors);
    let (hidden, size) = (spec.hidden, spec.attention.head_size);
    for (name, (shape, values)) in &mut tensors {
        // Zeros in queries, keys and values add nothing; the factor makes up for the scale.
        let factor = if name.contains("query") {
            2_f32.sqrt()
        } else {
            1.0
        };
        if name.contains("attention.self") && name.contains("weight") {
            *values = widened(values, size * hidden, 0.0);
            shape[0] *= 2;
        } else if name.contains("attention.self") {
            *values = widened(values, size, 0.0);
            shape[0] *= 2;
        } else if name.contains("attention.output.dense.weight") {
            *values = widened(values, size, 7.0);
            shape[1] *= 2;
        }
        for value in values.iter_mut() {
            *value *= factor;
        }
    }
    spec.attention.head_size *= 2;
    assert_same(&states(&spec, &tensors), &expected);
}

/// What stands before the layers of an encoder changes nothing in them: the hidden states are those
/// of an encoder whose tables hold hidden state 0 itself, one row a position.
fn assert_layers_are_the_same_after(spec: &EncoderSpec, tensors: &Tensors) {
    let expected = states(spec, tensors);
    let (mut plain, mut tables) = checkpoint("gpt2-plain");
    plain.residual = spec.residual;
    for (name, values) in tensors {
        tables.insert(name.clone(), values.clone());
    }
    let hidden = plain.hidden;
    tables.get_mut("wte.weight").unwrap().1.fill(0.0);
    let positions = &mut tables.get_mut("wpe.weight").unwrap().1;
    positions[..expected[0].len()].copy_from_slice(&expected[0]);
    assert_eq!(expected[0].len() % hidden, 0);
    assert_same(&states(&plain, &tables), &expected);
}

#[test]
fn norms_before_blocks_may_follow_embeddings_that_are_normalised_or_not() {
    let (mut spec, tensors) = checkpoint("gpt2-plain");
    assert_layers_are_the_same_after(&spec, &tensors);
    spec.embedding.norm = Some("ln_f");
    assert_layers_are_the_same_after(&spec, &tensors);
    // Norms behind blocks, after embeddings that are not normalised.
    spec.embedding.norm = None;
    let before = states(&spec, &tensors);
    spec.residual = ResidualOrder::PostNorm {
        attention: "ln_1",
        feed_forward: "ln_2",
    };
    assert_layers_are_the_same_after(&spec, &tensors);
    let after = states(&spec, &tensors);
    assert_same(&after[..1], &before[..1]);
    assert!(
        after[1]
            .iter()
            .zip(&before[1])
            .any(|(one, other)| (one - other).abs() > 1e-2)
    );
}
