//! What can go wrong with an encoder, and the exit status that goes with it.

use shared::exit::{ExitStatus, HasExitStatus};

use super::layers::LayerSelectionError;
use crate::checkpoint::CheckpointError;
use crate::family::FamilyError;
use crate::graph::{ComputeDtype, GraphError};

/// Part of the error about graphs that lack something.
const HOW_TO_EXPORT: &str = "export it with transformers' output_hidden_states=True, the inputs input_ids and \
     attention_mask (int64, [rows, width]) and the hidden states as float32 outputs hidden_states.0 (the embeddings), \
     hidden_states.1, ... ([rows, width, hidden])";

/// Why an encoder could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// The configuration.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Making the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The selected layers.
    #[error(transparent)]
    Layers(#[from] LayerSelectionError),
    /// ONNX Runtime is not where it should be.
    #[error(transparent)]
    Library(#[from] shared::native::NativeError),
    /// ONNX Runtime is there and cannot be used.
    #[error(
        "cannot use ONNX Runtime: {reason}; `cargo xtask setup` fetches the one that fits, \
         or point ORT_DYLIB_PATH at a libonnxruntime.so of version 1.24 or later"
    )]
    Load {
        /// What its loader said.
        reason: String,
    },
    /// A session could not be made of the graph.
    #[error("ONNX Runtime cannot run this model on {device}: {source}")]
    Session {
        /// Where it should run, `cpu` or `cuda:0`.
        device: String,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// The GPU cannot be used.
    #[error(
        "cannot use {device}: {reason}; `extractor doctor` shows which libraries and devices are found, \
         --device cpu goes without a GPU"
    )]
    Device {
        /// What was asked for.
        device: String,
        /// Why it is not to be had.
        reason: String,
    },
    /// float16 or bfloat16 arithmetic on the CPU.
    #[error(
        "--dtype {} computes in {dtype}, which only CUDA does fast: use --device cuda or --dtype f32",
        .dtype.option()
    )]
    HalfOnCpu {
        /// What was asked for.
        dtype: ComputeDtype,
    },
    /// Another number format for a graph whose format is fixed.
    #[error(
        "--dtype {} does not apply to {file}: an exported graph runs in the precision it was exported in",
        .dtype.option()
    )]
    HalfOfOnnxFile {
        /// What was asked for.
        dtype: ComputeDtype,
        /// The exported graph.
        file: String,
    },
    /// An exported graph without what is needed.
    #[error("{file}: {problem}; {}", HOW_TO_EXPORT)]
    OnnxFile {
        /// The exported graph.
        file: String,
        /// What is missing.
        problem: String,
    },
    /// A batch that contradicts itself.
    #[error("the batch cannot be encoded: {problem}")]
    Batch {
        /// How.
        problem: String,
    },
    /// A sequence longer than the model can number.
    #[error(
        "a sequence of {width} tokens is longer than the {max_positions} that the model can take"
    )]
    TooLong {
        /// Its tokens.
        width: usize,
        /// The limit.
        max_positions: usize,
    },
    /// A token id without an embedding.
    #[error(
        "token id {id} is not in the model's vocabulary of {vocabulary}: the tokenizer belongs to another model, \
         or tokens were added to it and the model was not resized"
    )]
    UnknownToken {
        /// The id.
        id: i32,
        /// Rows of the embedding table.
        vocabulary: usize,
    },
    /// An output of another shape than the model's configuration says.
    #[error("the graph's output {name} has shape {got:?}, expected {expected:?}")]
    OutputShape {
        /// The output.
        name: String,
        /// `[rows, width, hidden]`.
        expected: [usize; 3],
        /// What came out.
        got: Vec<i64>,
    },
    /// An output that holds no floating-point numbers.
    #[error("the graph's output {name} is {got}, expected float32, float16 or bfloat16")]
    OutputType {
        /// The output.
        name: String,
        /// What came out.
        got: String,
    },
    /// A run that failed.
    #[error(
        "encoding a batch of [{rows}, {width}] tokens on {device} failed: {source}; if memory ran out, lower --max-batch-tokens"
    )]
    Run {
        /// Where it ran, `cpu` or `cuda:0`.
        device: String,
        /// Sequences of the batch.
        rows: usize,
        /// Tokens of the longest.
        width: usize,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// Memory for a batch's rows is not to be had.
    #[error(
        "no memory for the rows of {rows} tokens and their statistics: {source}; lower --max-batch-tokens"
    )]
    Memory {
        /// Tokens of the batch.
        rows: usize,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// Another failure of ONNX Runtime.
    #[error("ONNX Runtime failed: {source}")]
    Runtime {
        /// What it said.
        source: ort::Error,
    },
}

/// How ONNX Runtime and the CUDA libraries below it say that memory ran out.
const OUT_OF_MEMORY: [&str; 4] = [
    "out of memory",
    "failed to allocate memory",
    "alloc_failed",
    "bad_alloc",
];

impl EncoderError {
    /// Whether memory ran out, so that a smaller batch would help.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        let (Self::Run { source, .. } | Self::Session { source, .. }) = self else {
            return matches!(self, Self::Memory { .. });
        };
        let text = source.to_string().to_lowercase();
        OUT_OF_MEMORY.iter().any(|words| text.contains(words))
    }
}

impl HasExitStatus for EncoderError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Family(error) => error.exit_status(),
            Self::Checkpoint(error) => error.exit_status(),
            Self::Graph(error) => error.exit_status(),
            Self::Session { .. }
            | Self::Run { .. }
            | Self::Memory { .. }
            | Self::Runtime { .. }
            | Self::Device { .. } => ExitStatus::Machine,
            Self::Layers(_)
            | Self::Library(_)
            | Self::Load { .. }
            | Self::HalfOnCpu { .. }
            | Self::HalfOfOnnxFile { .. }
            | Self::OnnxFile { .. }
            | Self::Batch { .. }
            | Self::TooLong { .. }
            | Self::UnknownToken { .. }
            | Self::OutputShape { .. }
            | Self::OutputType { .. } => ExitStatus::User,
        }
    }
}
