//! The graph of encoder and head against the encoder alone, for every family: positions and lengths
//! come from the mask there, and from the program here.

use std::path::{Path, PathBuf};

use ndarray::s;
use ort::value::Tensor;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use shared::heads::ParserOptions;

use super::{
    ARC_SCORES, ATTENTION_MASK, HeadKind, HeadOptions, LOGITS, Parameters, RELATION_SCORES,
    TreeOutputs, WORDS, build,
};
use crate::checkpoint::Checkpoint;
use crate::encoder::{Batch, Device, Encoder, EncoderOptions, runtime};
use crate::family::{Config, EncoderSpec};
use crate::graph::{ComputeDtype, INPUT_IDS};
use crate::model::ModelFiles;

const CLASSES: usize = 3;

/// Rows of different lengths; 1 is the padding token of some families, and stands within a row
/// here.
const ROWS: [&[u32]; 3] = [&[0, 7, 9, 2, 13], &[5, 1, 8], &[3]];

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/checkpoints")
        .join(name)
}

/// A classifier that is nothing but a matrix `[classes, width]`, and the matrix.
fn classifier(folder: &Path, width: usize) -> (Parameters, Vec<f32>) {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let weight: Vec<f32> = (0..CLASSES * width)
        .map(|place| ((place * 29 % 83) as f32 - 41.0) / 40.0)
        .collect();
    let path = folder.join("head.safetensors");
    let (bytes, bias): (&[u8], _) = (bytemuck::cast_slice(&weight), [0; 4 * CLASSES]);
    let view = |shape, bytes| TensorView::new(Dtype::F32, shape, bytes).unwrap();
    let tensors = [
        ("classifier.pip.0.weight", view(vec![CLASSES, width], bytes)),
        ("classifier.pip.0.bias", view(vec![CLASSES], &bias)),
    ];
    serialize_to_file(tensors, None, &path).unwrap();
    (Parameters::open(&path).unwrap(), weight)
}

/// What the graph gives for [`ROWS`], `[rows, width, classes]`.
fn logits(files: &ModelFiles, options: &HeadOptions, parameters: &Parameters) -> Vec<f32> {
    let spec = EncoderSpec::from_config(&Config::read(&files.config).unwrap()).unwrap();
    let weights = Checkpoint::open(&files.weights).unwrap();
    let model = build(
        &spec,
        &weights,
        ComputeDtype::F32,
        options,
        parameters,
        TreeOutputs::Projected,
    )
    .unwrap();
    let builder = runtime::session_builder(runtime::Target::Cpu, 1).unwrap();
    let mut session = model.into_session(&builder).unwrap();
    let width = ROWS[0].len();
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for (row, tokens) in (1..).zip(ROWS) {
        ids.extend(tokens.iter().map(|&id| i64::from(id)));
        mask.extend(tokens.iter().map(|_| 1_i64));
        ids.resize(row * width, 0);
        mask.resize(row * width, 0);
    }
    let shape = [ROWS.len(), width];
    let inputs = ort::inputs! {
        INPUT_IDS => Tensor::from_array((shape, ids)).unwrap(),
        ATTENTION_MASK => Tensor::from_array((shape, mask)).unwrap(),
    };
    let outputs = session.run(inputs).unwrap();
    outputs[LOGITS].try_extract_tensor().unwrap().1.to_vec()
}

#[test]
fn positions_and_lengths_are_those_of_every_family() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "bert-plain",
        "bert-causal",
        "roberta-plain",
        "roberta-padding-in-text",
        "camembert-plain",
        "xlm-roberta-head",
        "distilbert-plain",
        "electra-projected",
        "gpt2-plain",
        "albert-inner-groups",
        "roberta-prelayernorm-plain",
        "opt-plain",
        "opt-no-last-norm-bf16",
        "mpnet-plain",
        "t5-whole",
        "umt5-whole",
        "deberta-plain",
        "deberta-v2-plain",
        "deberta-v2-to-content-bf16",
        "esm-plain",
        "esm-mask-is-padding",
    ] {
        let files = ModelFiles::in_folder(&checkpoint(name)).unwrap();
        let options = EncoderOptions {
            device: Device::Cpu,
            threads: 1,
            ..EncoderOptions::default()
        };
        let mut encoder = Encoder::load(&files, &options).unwrap();
        let (hidden, last) = (encoder.hidden(), encoder.layers_in_model() - 1);
        let (parameters, weight) = classifier(folder.path(), 2 * hidden);
        // Not ascending, as the encoder gives them.
        let kind = HeadKind::Concat(vec![last, 0]);
        let options = HeadOptions {
            classifier_size: 0,
            ..HeadOptions::new(kind, (0..=last).collect(), hidden, CLASSES)
        };
        let got = logits(&files, &options, &parameters);
        let states = encoder.encode(&Batch::padded(&ROWS).unwrap()).unwrap();
        let width = ROWS[0].len();
        for (row, tokens) in ROWS.iter().enumerate() {
            for column in 0..tokens.len() {
                let token = row * width + column;
                let vector = |layer| states.layer(layer).slice(s![row, column, ..]).to_vec();
                let features = [vector(last), vector(0)].concat();
                let weights = weight.chunks_exact(2 * hidden);
                for (got, weights) in got[token * CLASSES..][..CLASSES].iter().zip(weights) {
                    let products = weights.iter().zip(&features).map(|(a, b)| a * b);
                    let expected: f32 = products.sum();
                    assert!(
                        (got - expected).abs() < 1e-4,
                        "{name}, row {row}, token {column}: {got} for {expected}"
                    );
                }
            }
        }
    }
}

/// Two graphs of one head, of which one gives what the scorer needs of each word, and the other the
/// scores themselves.
#[test]
fn scores_of_trees_are_those_of_the_scorer() {
    let folder = tempfile::tempdir().unwrap();
    let files = ModelFiles::in_folder(&checkpoint("bert-plain")).unwrap();
    let spec = EncoderSpec::from_config(&Config::read(&files.config).unwrap()).unwrap();
    let weights = Checkpoint::open(&files.weights).unwrap();
    let layers: Vec<usize> = (0..=spec.layers).collect();
    let mut options = HeadOptions::new(HeadKind::Last, layers, spec.hidden, CLASSES);
    options.parser = Some(ParserOptions {
        arc_size: 5,
        relation_size: 3,
        dropout: 0.0,
    });
    let path = folder.path().join("parser.safetensors");
    let mut values = Vec::new();
    for (number, parameter) in options.parameters().iter().enumerate() {
        let count: usize = parameter.shape.iter().product();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let numbers = (0..count).map(|place| ((place * 29 + number * 7) % 83) as f32 / 40.0 - 1.0);
        values.push((parameter.clone(), numbers.collect::<Vec<f32>>()));
    }
    let tensors = values.iter().map(|(parameter, values)| {
        let bytes = bytemuck::cast_slice(values);
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes);
        (parameter.name.as_str(), view.unwrap())
    });
    serialize_to_file(tensors, None, &path).unwrap();
    let parameters = Parameters::open(&path).unwrap();
    let scorer = super::run::scorer(&options, &parameters).unwrap().unwrap();

    let width = ROWS[0].len();
    let (mut ids, mut mask) = (
        vec![0_i64; ROWS.len() * width],
        vec![0_i64; ROWS.len() * width],
    );
    for (row, tokens) in ROWS.iter().enumerate() {
        for (token, &id) in tokens.iter().enumerate() {
            (ids[row * width + token], mask[row * width + token]) = (i64::from(id), 1);
        }
    }
    // Three words of the first row, the second of which is two tokens; two of the others.
    let mut shares = vec![0_f32; ROWS.len() * 3 * width];
    for (row, word, token, share) in [
        (0, 0, 0, 1.0),
        (0, 1, 1, 0.5),
        (0, 1, 2, 0.5),
        (0, 2, 4, 1.0),
        (1, 0, 0, 1.0),
        (1, 1, 2, 1.0),
        (2, 0, 0, 1.0),
    ] {
        shares[(row * 3 + word) * width + token] = share;
    }
    let run = |outputs: TreeOutputs, name: &str| {
        // It opens ONNX Runtime.
        let builder = runtime::session_builder(runtime::Target::Cpu, 1).unwrap();
        let dtype = ComputeDtype::F32;
        let model = build(&spec, &weights, dtype, &options, &parameters, outputs).unwrap();
        let mut session = model.into_session(&builder).unwrap();
        let shape = [ROWS.len(), width];
        let inputs = ort::inputs! {
            INPUT_IDS => Tensor::from_array((shape, ids.clone())).unwrap(),
            ATTENTION_MASK => Tensor::from_array((shape, mask.clone())).unwrap(),
            WORDS => Tensor::from_array(([ROWS.len(), 3, width], shares.clone())).unwrap(),
        };
        let outputs = session.run(inputs).unwrap();
        let (_, values) = outputs[name].try_extract_tensor::<f32>().unwrap();
        values.to_vec()
    };
    let kept = run(TreeOutputs::Projected, LOGITS);
    let arcs = run(TreeOutputs::Scores, ARC_SCORES);
    let relations = run(TreeOutputs::Scores, RELATION_SCORES);
    let near = |one: f32, other: f32| assert!((one - other).abs() < 1e-4 * (1.0 + one.abs()));
    for row in 0..ROWS.len() {
        let of_word = |word: usize| {
            let first = (row * 3 + word) * scorer.width();
            &kept[first..first + scorer.width()]
        };
        let words = [of_word(0), of_word(1), of_word(2)];
        let expected = scorer.arcs(&words);
        for (one, other) in arcs[row * 12..(row + 1) * 12].iter().zip(&expected) {
            near(*one, *other);
        }
        for (word, dependent) in words.iter().enumerate() {
            for column in 0..4 {
                let head = usize::checked_sub(column, 1).map(|head| words[head]);
                for (class, expected) in scorer.relations(dependent, head).iter().enumerate() {
                    let place = (((row * 3 + word) * CLASSES) + class) * 4 + column;
                    near(relations[place], *expected);
                }
            }
        }
    }
}
