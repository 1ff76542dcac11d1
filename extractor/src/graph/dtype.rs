//! The number formats that an encoder computes in.

use std::fmt;

use ort::value::TensorElementType;

/// Number format of weights and arithmetic; hidden states come out as float32 from each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ComputeDtype {
    /// float32.
    F32,
    /// float16, on CUDA only.
    F16,
    /// bfloat16, on CUDA only: for encoders whose values leave float16's range.
    Bf16,
}

impl ComputeDtype {
    /// Bytes of a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Whether only a GPU computes in it.
    #[must_use]
    pub const fn needs_gpu(self) -> bool {
        !matches!(self, Self::F32)
    }

    /// Its name as a value of `--dtype`.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Its number in the ONNX format (`TensorProto.DataType`).
    pub(super) const fn onnx(self) -> i64 {
        match self {
            Self::F32 => ONNX_FLOAT,
            Self::F16 => ONNX_FLOAT16,
            Self::Bf16 => ONNX_BFLOAT16,
        }
    }

    /// Its name in ONNX Runtime.
    pub(super) const fn element(self) -> TensorElementType {
        match self {
            Self::F32 => TensorElementType::Float32,
            Self::F16 => TensorElementType::Float16,
            Self::Bf16 => TensorElementType::Bfloat16,
        }
    }
}

impl fmt::Display for ComputeDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        })
    }
}

/// `TensorProto.FLOAT` of the ONNX format.
pub(crate) const ONNX_FLOAT: i64 = 1;
/// `TensorProto.INT32`.
pub(crate) const ONNX_INT32: i64 = 6;
/// `TensorProto.INT64`.
pub(crate) const ONNX_INT64: i64 = 7;
/// `TensorProto.FLOAT16`.
pub(super) const ONNX_FLOAT16: i64 = 10;
/// `TensorProto.BFLOAT16`.
pub(super) const ONNX_BFLOAT16: i64 = 16;
