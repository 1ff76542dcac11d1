//! The execution providers of ONNX Runtime that encoders run on.

use std::fmt;

use serde::Serialize;

/// Where an encoder runs: part of what identifies a store, as rounding depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
}

impl Provider {
    /// Its name in manifests and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
