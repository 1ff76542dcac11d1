//! How an encoder is to be run, as the command line says it.

use std::fmt;

use cache::StoreDtype;

use super::layers::LayerSelection;
use crate::graph::ComputeDtype;

/// Settings of [`super::Encoder::load`].
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Where to run.
    pub device: Device,
    /// Threads of one operator on the CPU; 0 lets ONNX Runtime choose.
    pub threads: usize,
    /// Hidden states to keep.
    pub layers: LayerSelection,
    /// Precision of weights and arithmetic.
    pub dtype: ComputeDtype,
    /// Where the store's rows are made of hidden states.
    pub rows: RowsOn,
    /// Whether tokens may be of type 1: those of the second text of a pair. Encoders without token
    /// types take no notice.
    pub token_types: bool,
    /// Whether the first runs are profiled, to tell which nodes ran where
    /// ([`super::Encoder::nodes_on_cpu`]).
    pub profile: bool,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            device: Device::Auto,
            threads: 0,
            layers: LayerSelection::all(),
            dtype: ComputeDtype::F32,
            rows: RowsOn::Host,
            token_types: false,
            profile: false,
        }
    }
}

/// Where the store's rows are made of hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOn {
    /// On the CPU, from the encoder's float32 outputs.
    Host,
    /// In this number format on the GPU if the encoder runs there, else on the CPU outside the
    /// graph, which is faster than a graph on the CPU.
    Gpu(StoreDtype),
    /// In this number format as part of the graph, wherever it runs.
    Graph(StoreDtype),
}

impl RowsOn {
    /// The format of the rows that the graph makes, if it makes any.
    pub(super) fn format(self, on_gpu: bool) -> Option<StoreDtype> {
        match self {
            Self::Host => None,
            Self::Gpu(format) => Some(format).filter(|_| on_gpu),
            Self::Graph(format) => Some(format),
        }
        .filter(|&format| crate::graph::can_be_output(format))
    }
}

/// Where the encoder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The first GPU if there is one that works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU; an error if it cannot be used.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}
