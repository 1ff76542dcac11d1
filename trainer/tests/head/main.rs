//! Every head against an independent PyTorch implementation on padded batches (`fixtures/reference.py`): logits, layer
//! attention, gradients, and a hundred training steps; and weights that move both ways.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, and the numbers are small"
)]

mod device;
mod rules;
mod texts;
mod trees;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cache::StoreDtype;
use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};
use trainer::activations::Batch;
use trainer::head::{self, Dropout, Head, HeadOptions, Level};
use trainer::optimiser::{Adam, AdamOptions, clip_gradient_norm};
use trainer::schedule::{Schedule, ScheduleKind};
use trainer::weights::{self, WeightsError};

/// The fixtures of heads.
const HEADS: [&str; 15] = [
    "adapter",
    "adapter-no-tailor",
    "adapter-no-tailor-attention",
    "adapter-one-layer-classifier",
    "adapter-sequence",
    "attention-fusion",
    "scalar-mix",
    "scalar-mix-sequence",
    "last",
    "layer",
    "concat",
    "adapter-crf",
    "attention-fusion-crf",
    "scalar-mix-crf",
    "last-crf",
];

/// What both sides may differ by, relative to the largest number of a tensor.
const TOLERANCE: f64 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The tensors of a fixture by name.
fn tensors(name: &str) -> BTreeMap<String, Tensor> {
    weights::read(&fixture(name)).unwrap().into_iter().collect()
}

/// The options in the metadata of a fixture.
fn options(name: &str) -> HeadOptions {
    let bytes = fs_err::read(fixture(name)).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&metadata.metadata().as_ref().unwrap()["options"]).unwrap()
}

/// One batch of the inputs, and its targets by token and by sentence.
struct Input {
    dtype: StoreDtype,
    rows: Vec<u8>,
    shape: (usize, usize),
    offsets: Vec<usize>,
    targets: Vec<i64>,
    sentence_targets: Vec<i64>,
}

impl Input {
    fn all() -> Vec<Self> {
        // Tests run beside each other already; a team of threads for each of these small products only gets in the way.
        tch::set_num_threads(1);
        let bytes = fs_err::read(fixture("inputs.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let integers = |name: &str| -> Vec<i64> {
            let bytes = file
                .tensor(name)
                .unwrap()
                .data()
                .chunks_exact(8)
                .map(|eight| eight.try_into().unwrap());
            bytes.map(i64::from_le_bytes).collect()
        };
        let inputs = (0..3).map(|index| {
            let rows = file.tensor(&format!("{index}.rows")).unwrap();
            let dtype = match rows.dtype() {
                Dtype::F16 => StoreDtype::F16,
                Dtype::BF16 => StoreDtype::Bf16,
                _ => StoreDtype::F32,
            };
            Self {
                dtype,
                rows: rows.data().to_vec(),
                shape: (rows.shape()[1], rows.shape()[2]),
                offsets: integers(&format!("{index}.offsets"))
                    .into_iter()
                    .map(|offset| offset as usize)
                    .collect(),
                targets: integers(&format!("{index}.targets")),
                sentence_targets: integers(&format!("{index}.sentence_targets")),
            }
        });
        inputs.collect()
    }

    fn batch(&self) -> Batch<'_> {
        Batch::packed(self.rows.as_slice(), &self.offsets, self.shape, self.dtype).unwrap()
    }

    fn targets(&self, level: Level) -> &[i64] {
        match level {
            Level::Token => &self.targets,
            Level::Sentence => &self.sentence_targets,
        }
    }
}

/// The head of a fixture, with the weights it starts from there.
fn started(name: &str) -> (Box<dyn Head>, BTreeMap<String, Tensor>) {
    changed(name, |_| ())
}

/// The same with other options, which its parameters do not depend on.
fn changed(
    name: &str,
    change: impl FnOnce(&mut HeadOptions),
) -> (Box<dyn Head>, BTreeMap<String, Tensor>) {
    let name = format!("{name}.safetensors");
    let mut options = options(&name);
    change(&mut options);
    let head = head::build(&options, Device::Cpu, 1).unwrap();
    let fixture = tensors(&name);
    let start: Vec<_> = fixture
        .iter()
        .filter_map(|(name, tensor)| {
            Some((
                name.strip_prefix("start.")?.to_owned(),
                tensor.shallow_clone(),
            ))
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("start.safetensors");
    weights::save(&file, &start, &BTreeMap::new()).unwrap();
    weights::load(&file, head.parameters()).unwrap();
    (head, fixture)
}

/// The largest difference over the largest number.
fn assert_close(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(got.size(), expected.size(), "{what}");
    let scale = expected.abs().max().double_value(&[]);
    let difference = (got.detach() - expected).abs().max().double_value(&[]);
    // The floor is for gradients that are nothing but rounding: see `meaningful`.
    assert!(
        difference <= TOLERANCE * scale.max(1e-3),
        "{what}: differs by {difference}, of {scale}"
    );
}

/// What of a parameter training determines. The keys' biases shift all scores of a softmax alike,
/// so that their gradient is nothing but rounding, which Adam blows up to steps of full size.
fn meaningful(parameter: &str, tensor: &Tensor) -> Option<Tensor> {
    match parameter {
        "adapter.key_projector.bias" => None,
        _ if parameter.ends_with("in_proj_bias") => Some(tensor.narrow(0, 0, tensor.size()[0] / 3)),
        _ => Some(tensor.shallow_clone()),
    }
}

/// Trains as `reference.train` does, the batches in turn; the losses.
fn train(head: &dyn Head, inputs: &[Input], steps: u64, seed: Option<u64>) -> Vec<f64> {
    let mut adam = Adam::new(head.parameters(), AdamOptions::default());
    let schedule = Schedule::new(ScheduleKind::OneCycle, 1e-3, steps, None);
    (0..steps)
        .map(|step| {
            let input = &inputs[step as usize % inputs.len()];
            let dropout = seed.map(|seed| Dropout::at(seed, step));
            let mut result = head
                .loss_and_gradients(&input.batch(), input.targets(head.options().level), dropout)
                .unwrap();
            clip_gradient_norm(&mut result.gradients, 1.0).unwrap();
            let size = schedule.at(step);
            adam.step(
                head.parameters(),
                &result.gradients,
                size.learning_rate,
                size.beta1,
            )
            .unwrap();
            result.loss
        })
        .collect()
}

#[test]
fn outputs_are_the_references() {
    let inputs = Input::all();
    for name in HEADS {
        let (head, fixture) = started(name);
        let batch = inputs[0].batch();
        assert_close(
            &format!("{name}: logits"),
            &head.logits(&batch).unwrap(),
            &fixture["logits"],
        );
        match head.layer_attention(&batch).unwrap() {
            Some(attention) => {
                assert_close(
                    &format!("{name}: layer attention"),
                    &attention,
                    &fixture["layer_attention"],
                );
                assert_close(
                    &format!("{name}: sums"),
                    &attention.sum_dim_intlist([1].as_slice(), false, Kind::Float),
                    &Tensor::ones([batch.tokens() as i64], (Kind::Float, Device::Cpu)),
                );
            }
            None => assert!(!fixture.contains_key("layer_attention"), "{name}"),
        }
    }
}

#[test]
fn gradients_are_the_references() {
    let inputs = Input::all();
    for name in HEADS {
        let (head, fixture) = started(name);
        let level = head.options().level;
        let result = head
            .loss_and_gradients(&inputs[0].batch(), inputs[0].targets(level), None)
            .unwrap();
        let expected = fixture["loss"].double_value(&[]);
        assert!(
            (result.loss - expected).abs() <= TOLERANCE * expected,
            "{name}: {} for {expected}",
            result.loss
        );
        for ((parameter, _), gradient) in head.parameters().iter().zip(&result.gradients) {
            let expected = fixture.get(&format!("gradient.{parameter}"));
            match (gradient, expected) {
                (Some(gradient), Some(expected)) => {
                    assert_close(&format!("{name}: {parameter}"), gradient, expected);
                }
                // Parameters that nothing depends on: no gradient, or one of zeros.
                (None, None) => {}
                (Some(one), None) | (None, Some(one)) => {
                    assert_eq!(
                        one.abs().max().double_value(&[]),
                        0.0,
                        "{name}: {parameter}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_hundred_steps_are_the_references() {
    let inputs = Input::all();
    for name in HEADS {
        let (head, fixture) = started(name);
        let losses = train(&*head, &inputs, 100, None);
        for (step, loss) in losses.iter().enumerate() {
            let expected = fixture["losses"].double_value(&[step as i64]);
            assert!(
                (loss - expected).abs() <= TOLERANCE * expected,
                "{name}, step {step}: {loss} for {expected}"
            );
        }
        assert!(
            losses[97..].iter().sum::<f64>() < 0.95 * losses[..3].iter().sum::<f64>(),
            "{name} learns nothing"
        );
        for (parameter, tensor) in head.parameters() {
            let (got, expected) = (
                meaningful(parameter, tensor),
                &fixture[&format!("final.{parameter}")],
            );
            if let Some(got) = got {
                assert_close(
                    &format!("{name}: final {parameter}"),
                    &got,
                    &meaningful(parameter, expected).unwrap(),
                );
            }
        }
    }
}

#[test]
fn names_and_shapes_are_those_of_the_reference() {
    for name in HEADS {
        let file = format!("{name}.safetensors");
        let head = head::build(&options(&file), Device::Cpu, 1).unwrap();
        let got: BTreeMap<_, _> = head
            .parameters()
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.size()))
            .collect();
        let fixture = tensors(&file);
        let expected: BTreeMap<_, _> = fixture
            .iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix("start.")?.to_owned(), tensor.size()))
            })
            .collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn saved_weights_are_the_bytes_of_the_reference() {
    let (head, fixture) = started("adapter");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adapter.safetensors");
    weights::save(
        &file,
        head.parameters(),
        &BTreeMap::from([("epoch".to_owned(), "3".to_owned())]),
    )
    .unwrap();
    let bytes = fs_err::read(&file).unwrap();
    let saved = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(saved.len(), head.parameters().len());
    for (name, view) in saved.tensors() {
        let expected = &fixture[&format!("start.{name}")];
        let values: Vec<f32> = Vec::try_from(expected.flatten(0, -1)).unwrap();
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        assert_eq!(
            view.data(),
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>(),
            "{name}"
        );
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["epoch"], "3");
}

#[test]
fn pytorch_loads_what_is_saved_here_and_back() {
    let Some(python) = std::env::var_os("PYTHON_WITH_TORCH") else {
        println!("skipped: set PYTHON_WITH_TORCH to a Python that has torch and safetensors");
        return;
    };
    for name in HEADS {
        let options = options(&format!("{name}.safetensors"));
        let head = head::build(&options, Device::Cpu, 5).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (written, file) = (
            folder.path().join("options.json"),
            folder.path().join("weights.safetensors"),
        );
        fs_err::write(&written, serde_json::to_vec(&options).unwrap()).unwrap();
        weights::save(&file, head.parameters(), &BTreeMap::new()).unwrap();
        let done = Command::new(&python)
            .arg(fixture("load_weights.py"))
            .arg(&written)
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let back = head::build(&options, Device::Cpu, 6).unwrap();
        weights::load(
            &folder.path().join("reference.safetensors"),
            back.parameters(),
        )
        .unwrap();
        for ((parameter, ours), (_, theirs)) in head.parameters().iter().zip(back.parameters()) {
            assert_eq!(ours, theirs, "{name}: {parameter}");
        }
    }
}

#[test]
fn weights_of_another_head_are_refused_by_name_and_change_nothing() {
    let (head, _) = started("adapter");
    let (other, _) = started("adapter-one-layer-classifier");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.safetensors");
    weights::save(&file, other.parameters(), &BTreeMap::new()).unwrap();
    let before: Vec<Tensor> = head
        .parameters()
        .iter()
        .map(|(_, tensor)| tensor.detach().copy())
        .collect();
    let error = weights::load(&file, head.parameters()).unwrap_err();
    let WeightsError::Differs { differences, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(differences.len(), 4, "{error}");
    assert!(
        error
            .to_string()
            .contains("'classifier.pip.1.weight' [5, 24] is missing"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("'classifier.pip.0.weight' is [5, 32], expected [24, 32]"),
        "{error}"
    );
    for ((name, after), before) in head.parameters().iter().zip(before) {
        assert_eq!(&before, after, "{name}");
    }
    fs_err::write(&file, b"no tensors here").unwrap();
    assert!(matches!(
        weights::load(&file, head.parameters()),
        Err(WeightsError::Format { .. })
    ));
    let missing = folder.path().join("missing.safetensors");
    let error = weights::load(&missing, head.parameters()).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
}
