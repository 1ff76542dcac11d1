//! Models that cannot be read: one error each, which says what is wrong where, and never a crash.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure being reported"
)]

use std::path::{Path, PathBuf};

use extractor::checkpoint::CheckpointError;
use extractor::encoder::{Encoder, EncoderError, EncoderOptions};
use extractor::graph::ComputeDtype;
use extractor::model::ModelFiles;
use serde_json::Value;
use shared::exit::{ExitStatus, HasExitStatus as _};
use tempfile::TempDir;

/// A copy of a good model, to be spoilt.
struct Model {
    folder: TempDir,
}

impl Model {
    fn copy_of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        for entry in fs_err::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder }
    }

    fn plain() -> Self {
        Self::copy_of("checkpoints/bert-plain")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Sets a field of `config.json`; null removes it.
    fn set(self, field: &str, value: Value) -> Self {
        let text = fs_err::read(self.path("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config[field] = value;
        fs_err::write(self.path("config.json"), config.to_string()).unwrap();
        self
    }

    fn write(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        fs_err::write(self.path(file), content).unwrap();
        self
    }

    fn remove(self, file: &str) -> Self {
        fs_err::remove_file(self.path(file)).unwrap();
        self
    }

    fn load(&self) -> Result<Encoder, (String, ExitStatus)> {
        let files = ModelFiles::in_folder(self.folder.path())
            .map_err(|error| (error.to_string(), error.exit_status()))?;
        Encoder::load(&files, &EncoderOptions::default())
            .map_err(|error| (error.to_string(), error.exit_status()))
    }

    /// The error of loading it, which must be the user's to mend and hold all of `parts`.
    #[track_caller]
    fn fails_with(&self, parts: &[&str]) {
        let (message, status) = self.load().err().expect("an error");
        assert_eq!(status, ExitStatus::User, "{message}");
        for part in parts {
            assert!(message.contains(part), "'{part}' is not in: {message}");
        }
        assert!(!message.contains('\n'), "one line: {message}");
    }
}

/// The header of a safetensors file, changed.
fn with_header(bytes: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header = change(std::str::from_utf8(&bytes[8..8 + length]).unwrap());
    let mut changed = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + length..]);
    changed
}

#[test]
fn folders_that_are_no_models() {
    let missing = ModelFiles::in_folder(Path::new("no/such/model")).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("there is no model folder at no/such/model"),
        "{missing}"
    );
    Model::plain()
        .remove("config.json")
        .fails_with(&["has no config.json"]);
    Model::plain()
        .remove("model.safetensors")
        .fails_with(&["has no weights", "model.safetensors"]);
    Model::plain()
        .remove("model.safetensors")
        .write("pytorch_model.bin", "PK")
        .fails_with(&[
            "only as pytorch_model.bin",
            "AutoModel.from_pretrained(m).save_pretrained(m)",
        ]);
}

#[test]
fn weights_of_llama_cpp() {
    let said = [
        "b.Q4_K_M.gguf is GGUF",
        "safetensors checkpoint that it was made from",
        "gguf_file=f",
    ];
    Model::plain()
        .remove("model.safetensors")
        .write("b.Q4_K_M.gguf", "GGUF")
        .write("c.gguf", "GGUF")
        .fails_with(&said);
    // Such a file needs no configuration beside it.
    Model::plain()
        .remove("model.safetensors")
        .remove("config.json")
        .write("b.Q4_K_M.gguf", "GGUF")
        .fails_with(&said);
    // Named itself.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.GGUF");
    fs_err::write(&file, "GGUF").unwrap();
    let error = ModelFiles::in_folder(&file).unwrap_err().to_string();
    assert!(error.contains("b.GGUF is GGUF"), "{error}");
    // Beside weights that are read it is no matter.
    let model = Model::plain().write("b.gguf", "GGUF");
    assert_eq!(
        ModelFiles::in_folder(model.folder.path())
            .unwrap()
            .weights
            .len(),
        1
    );
}

#[test]
fn broken_configurations() {
    Model::plain()
        .write("config.json", "{\"model_type\": ")
        .fails_with(&["config.json", "line 1"]);
    Model::plain()
        .write("config.json", "[]")
        .fails_with(&["config.json", "expected a JSON object"]);
    Model::plain()
        .set("model_type", Value::Null)
        .fails_with(&["model_type is missing"]);
    Model::plain()
        .set("model_type", "bart".into())
        .fails_with(&["model type bart is not supported", "bert, roberta", "gpt2"]);
    Model::plain()
        .set("hidden_size", Value::Null)
        .fails_with(&["hidden_size is missing, expected a whole number"]);
    Model::plain()
        .set("hidden_size", "12".into())
        .fails_with(&["hidden_size is \"12\""]);
    Model::plain()
        .set("num_hidden_layers", 0.into())
        .fails_with(&["num_hidden_layers is 0"]);
    Model::plain()
        .set("num_attention_heads", 5.into())
        .fails_with(&["num_attention_heads is 5", "divisor", "12"]);
    Model::plain()
        .set("vocab_size", u64::MAX.into())
        .fails_with(&["vocab_size is 18446744073709551615"]);
    Model::plain()
        .set("layer_norm_eps", (-1).into())
        .fails_with(&["layer_norm_eps is -1"]);
    Model::plain()
        .set("is_decoder", "yes".into())
        .fails_with(&["is_decoder is \"yes\", expected true or false"]);
}

#[test]
fn settings_that_would_change_the_result() {
    let relative = Model::plain().set("position_embedding_type", "relative_key".into());
    relative.fails_with(&[
        "position_embedding_type = relative_key is not supported",
        "absolute",
    ]);
    Model::plain()
        .set("hidden_act", "xielu".into())
        .fails_with(&["hidden_act = xielu is not supported", "gelu_new"]);
    let cross = Model::copy_of("checkpoints/gpt2-plain").set("add_cross_attention", true.into());
    cross.fails_with(&["add_cross_attention = true is not supported"]);
    let pruned = serde_json::json!({"0": [1]});
    Model::plain()
        .set("pruned_heads", pruned)
        .fails_with(&["pruned_heads"]);
    Model::plain()
        .set("quantization_config", serde_json::json!({"bits": 4}))
        .fails_with(&["quantization_config"]);
    assert!(
        Model::plain()
            .set("pruned_heads", serde_json::json!({}))
            .load()
            .is_ok()
    );
}

/// A checkpoint, and a setting of it as JSON with a part of the error that it makes.
const SETTINGS: [(&str, &str, &str, &str); 16] = [
    (
        "albert-plain",
        "num_hidden_groups",
        "4",
        "is 4, expected at most 3, the number of layers",
    ),
    (
        "albert-plain",
        "position_embedding_type",
        "\"relative_key\"",
        "= relative_key is not supported",
    ),
    (
        "xlm-roberta-xl-plain",
        "add_cross_attention",
        "true",
        "= true is not supported",
    ),
    (
        "opt-plain",
        "num_attention_heads",
        "3",
        "is 3, expected a divisor of the hidden size 16",
    ),
    (
        "opt-plain",
        "enable_bias",
        "\"no\"",
        "is \"no\", expected true or false",
    ),
    (
        "mpnet-plain",
        "relative_attention_num_buckets",
        "31",
        "is 31, expected at least 32",
    ),
    (
        "t5-whole",
        "relative_attention_num_buckets",
        "3",
        "is 3, expected at least 4",
    ),
    (
        "umt5-whole",
        "relative_attention_max_distance",
        "8",
        "is 8, expected more than 8",
    ),
    (
        "mt5-whole",
        "feed_forward_proj",
        "\"gated-a-b\"",
        "is \"gated-a-b\", expected a non-linearity",
    ),
    (
        "mt5-whole",
        "dense_act_fn",
        "\"xielu\"",
        "= xielu is not supported",
    ),
    (
        "esm-plain",
        "is_folding_model",
        "true",
        "= true is not supported",
    ),
    ("esm-plain", "is_decoder", "true", "= true is not supported"),
    (
        "esm-plain",
        "add_cross_attention",
        "true",
        "= true is not supported",
    ),
    (
        "esm-plain",
        "position_embedding_type",
        "\"relative_key\"",
        "(supported: absolute, rotary)",
    ),
    (
        "esm-plain",
        "mask_token_id",
        "null",
        "is missing, expected a token's id",
    ),
    (
        "esm-absolute-f16-sharded",
        "pad_token_id",
        "null",
        "is missing, expected a token's id",
    ),
];

#[test]
fn settings_of_a_family_that_would_change_the_result() {
    for (model, field, value, part) in SETTINGS {
        Model::copy_of(&format!("checkpoints/{model}"))
            .set(field, serde_json::from_str(value).unwrap())
            .fails_with(&[field, part]);
    }
}

#[test]
fn settings_of_disentangled_attention() {
    let deberta = || Model::copy_of("checkpoints/deberta-v2-plain");
    for terms in ["c2p|p2p", "c2p|c2p", "none", ""] {
        deberta()
            .set("pos_att_type", terms.into())
            .fails_with(&[&format!("pos_att_type = {terms} is not"), "c2p and p2c"]);
    }
    deberta()
        .set("pos_att_type", serde_json::json!(["P2C"]))
        .fails_with(&["pos_att_type = P2C is not supported"]);
    deberta()
        .set("pos_att_type", serde_json::json!([7]))
        .fails_with(&["pos_att_type is [7], expected a list of texts"]);
    deberta()
        .set("attention_head_size", 5.into())
        .fails_with(&["attention_head_size is 5, expected the hidden size by 3 heads, 4"]);
    deberta()
        .set("position_buckets", 1.into())
        .fails_with(&["position_buckets is 1, expected 2 to 77"]);
    // The logarithm of 1 is divided by.
    let farthest = |farthest: u64| deberta().set("max_relative_positions", farthest.into());
    farthest(5).fails_with(&["position_buckets is 8, expected 2 to 7"]);
    assert!(farthest(6).load().is_ok());
    deberta()
        .set("position_buckets", 16.into())
        .fails_with(&["has shape [16, 12], expected [32, 12]"]);
    deberta()
        .set("max_position_embeddings", (1 << 21).into())
        .fails_with(&["max_position_embeddings is 2097152, expected at most 1048576"]);
    deberta()
        .set("conv_kernel_size", 4.into())
        .fails_with(&["conv_kernel_size is 4, expected an odd number"]);
    let convolution = deberta().set("conv_kernel_size", 3.into());
    convolution.fails_with(&["no tensor encoder.conv.conv.weight"]);
    let convolution = || Model::copy_of("checkpoints/deberta-v2-to-content-bf16");
    convolution()
        .set("conv_groups", 5.into())
        .fails_with(&["conv_groups is 5, expected a divisor of the hidden size 12"]);
    convolution()
        .set("conv_act", "xielu".into())
        .fails_with(&["conv_act = xielu is not supported"]);
    let first = || Model::copy_of("checkpoints/deberta-plain");
    first()
        .set("talking_head", true.into())
        .fails_with(&["talking_head = true is not supported"]);
    first()
        .set("pos_att_type", "p2p".into())
        .fails_with(&["pos_att_type = p2p is not supported"]);
    first()
        .set("max_relative_positions", 7.into())
        .fails_with(&["has shape [18, 12], expected [14, 12]"]);
}

#[test]
fn settings_of_newer_families_that_would_change_the_result() {
    use serde_json::json;

    let long = json!({ "rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0] });
    for field in ["rope_parameters", "rope_scaling"] {
        Model::copy_of("checkpoints/phi3-plain")
            .set(field, long.clone())
            .fails_with(&[&format!(
                "{field}.rope_type = \"longrope\" is not supported"
            )]);
    }
    Model::copy_of("checkpoints/llama-plain")
        .set("rope_parameters", long)
        .fails_with(&["rope_type = longrope is not supported", "llama3, yarn"]);
    for gemma in ["gemma-plain", "gemma2-plain", "gemma3-text-plain"] {
        Model::copy_of(&format!("checkpoints/{gemma}"))
            .set("use_bidirectional_attention", true.into())
            .fails_with(&["use_bidirectional_attention = true is not supported"]);
    }
    let partial = "partial_rotary_factor = 0.5 is not supported";
    Model::copy_of("checkpoints/llama-plain")
        .set("partial_rotary_factor", json!(0.5))
        .fails_with(&[partial]);
    let inside = json!({ "rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5 });
    Model::copy_of("checkpoints/llama-plain")
        .set("rope_parameters", inside)
        .fails_with(&[partial]);
}

#[test]
fn settings_of_nomic_berts_own_code_that_would_change_the_result() {
    use serde_json::json;

    let model = || Model::copy_of("checkpoints/nomic-bert-own-code");
    for (field, value) in [
        ("activation_function", json!("gelu")),
        ("rotary_emb_fraction", json!(0.5)),
        ("qkv_proj_bias", json!(true)),
        ("mlp_fc1_bias", json!(true)),
        ("mlp_fc2_bias", json!(true)),
        ("prenorm", json!(true)),
        ("parallel_block", json!(true)),
        ("use_rms_norm", json!(true)),
        ("causal", json!(true)),
        ("rotary_emb_interleaved", json!(true)),
        ("scale_attn_by_inverse_layer_idx", json!(true)),
        ("scale_attn_weights", json!(false)),
        ("rotary_scaling_factor", json!(2)),
        ("rotary_emb_scale_base", json!(512)),
    ] {
        model()
            .set(field, value)
            .fails_with(&[&format!("{field} = "), "is not supported"]);
    }
    // What that code takes where nothing is said is no matter of guessing.
    for field in [
        "n_head",
        "n_layer",
        "n_inner",
        "n_positions",
        "activation_function",
        "rotary_emb_base",
        "rotary_emb_fraction",
        "qkv_proj_bias",
    ] {
        model()
            .set(field, Value::Null)
            .fails_with(&[&format!("{field} is missing")]);
    }
    model()
        .set("n_head", 3.into())
        .fails_with(&["n_head is 3, expected a divisor of n_embd = 16"]);
}

#[test]
fn weights_that_do_not_belong_to_the_configuration() {
    Model::plain()
        .set("num_hidden_layers", 3.into())
        .fails_with(&[
            "no tensor encoder.layer.2.",
            "[12, 12]",
            "bert.encoder.layer.2.",
            "the nearest name is",
        ]);
    let shape = [
        "embeddings.word_embeddings.weight",
        "has shape [40, 12], expected",
    ];
    Model::plain()
        .set("vocab_size", 50.into())
        .fails_with(&[shape[0], shape[1], "[50, 12]"]);
    Model::plain()
        .set("vocab_size", 30.into())
        .fails_with(&[shape[0], shape[1], "[30, 12]"]);
    Model::plain()
        .set("intermediate_size", 24.into())
        .fails_with(&["has shape [20, 12], expected [24, 12]"]);
}

#[test]
fn broken_weight_files() {
    let bytes = fs_err::read(Model::plain().path("model.safetensors")).unwrap();
    let spoilt = |bytes: &[u8]| Model::plain().write("model.safetensors", bytes);
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        spoilt(&bytes[..length]).fails_with(&["model.safetensors is not a whole safetensors file"]);
    }
    let whole = "not a whole safetensors file";
    spoilt(&[&u64::MAX.to_le_bytes(), &bytes[8..]].concat()).fails_with(&[whole]);
    spoilt(&with_header(&bytes, |header| {
        header.replace("[12,12]", "[12,13]")
    }))
    .fails_with(&[whole]);
    spoilt(&with_header(&bytes, |header| {
        header.replace("[12,12]", "[18446744073709551615,12]")
    }))
    .fails_with(&[whole]);
    spoilt(&with_header(&bytes, |header| {
        header.replacen("data_offsets", "offsets", 1)
    }))
    .fails_with(&[whole]);
    spoilt(&with_header(&bytes, |header| {
        header.replace("\"F32\"", "\"I32\"")
    }))
    .fails_with(&["is of type I32"]);
    spoilt(b"version https://git-lfs.github.com/spec/v1\n").fails_with(&["git lfs pull"]);
}

#[test]
fn broken_indices() {
    let sharded = || Model::copy_of("checkpoints/bert-old-names-sharded");
    let index = "model.safetensors.index.json";
    let shard = "model-00002-of-00003.safetensors";
    sharded()
        .remove(shard)
        .fails_with(&[index, shard, "not in the folder"]);
    sharded()
        .write(index, "{")
        .fails_with(&[index, "not an index"]);
    sharded()
        .write(index, "{\"weight_map\": {}}")
        .fails_with(&[index, "weight_map is empty"]);
    for outside in ["../model.safetensors", "/etc/passwd", ""] {
        let map = serde_json::json!({"weight_map": {"a": outside}});
        sharded()
            .write(index, map.to_string())
            .fails_with(&[index, "only files in the model's own folder"]);
    }
    let twice = sharded();
    fs_err::copy(
        twice.path(shard),
        twice.path("model-00001-of-00003.safetensors"),
    )
    .unwrap();
    twice.fails_with(&["is both in", shard]);
}

#[test]
fn exported_graphs_that_lack_something() {
    let exported = || Model::copy_of("exported");
    let graph = fs_err::read(exported().path("model.onnx")).unwrap();
    // Names of the same length keep the protobuf message whole.
    let renamed = |from: &str, to: &str| {
        let mut graph = graph.clone();
        for at in 0..graph.len() - from.len() {
            if graph[at..].starts_with(from.as_bytes()) {
                graph[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        exported().write("model.onnx", graph)
    };
    renamed("hidden_states.0", "hidden_states_0")
        .fails_with(&["no output hidden_states.0", "output_hidden_states=True"]);
    renamed("attention_mask", "attention_bias")
        .fails_with(&["an input attention_bias", "input_ids, attention_mask"]);
}

#[test]
fn errors_of_the_machine_are_told_apart() {
    let error = EncoderError::from(CheckpointError::from(std::io::Error::other("disk")));
    assert_eq!(error.exit_status(), ExitStatus::Machine);
    let dtype = ComputeDtype::F16;
    assert_eq!(
        EncoderError::HalfOnCpu { dtype }.exit_status(),
        ExitStatus::User
    );
}
