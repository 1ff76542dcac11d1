//! The number formats a store keeps hidden states in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Number format of `hidden_states` on disk; `float16` halves the disk and is what readers expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum StoreDtype {
    /// IEEE 754 half precision, up to 65504.
    #[serde(rename = "float16")]
    #[value(name = "f16")]
    F16,
    /// IEEE 754 single precision: exactly what the encoder computed.
    #[serde(rename = "float32")]
    #[value(name = "f32")]
    F32,
    /// The upper half of a float32: its range with 8 bits of precision. zarr-python cannot read it.
    #[serde(rename = "bfloat16")]
    #[value(name = "bf16")]
    Bf16,
    /// Whole numbers from -127 to 127 and a float32 scale for each token and layer, four bytes after its numbers.
    #[serde(rename = "int8")]
    #[value(name = "i8")]
    I8,
    /// 16 levels a value and a float32 scale for each token and layer, of vectors that are rotated before: half of
    /// i8, a quarter of f16.
    #[serde(rename = "int4")]
    #[value(name = "i4")]
    I4,
}

/// Bytes of the float32 scale after the numbers of a vector in [`StoreDtype::I8`] and [`StoreDtype::I4`].
pub(crate) const SCALE_BYTES: usize = 4;

impl StoreDtype {
    /// Bytes of one element of the Zarr array: of a value, and of two in int4, without the scale that int8 and int4
    /// vectors have besides.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::I8 | Self::I4 => 1,
        }
    }

    /// Bytes of the vector `[hidden]` of one layer of one token.
    #[must_use]
    pub const fn vector_bytes(self, hidden: usize) -> usize {
        match self {
            Self::I8 => hidden + SCALE_BYTES,
            Self::I4 => hidden.div_ceil(2) + SCALE_BYTES,
            Self::F16 | Self::Bf16 | Self::F32 => hidden * self.bytes(),
        }
    }
}

/// As the manifest has it: the name of the Zarr data type, but for int4, which is uint8 to Zarr.
impl fmt::Display for StoreDtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::I8 => "int8",
            Self::I4 => "int4",
        })
    }
}
