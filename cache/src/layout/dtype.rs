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
}

/// Bytes of the float32 scale after the numbers of a vector in [`StoreDtype::I8`].
const SCALE_BYTES: usize = 4;

impl StoreDtype {
    /// Bytes of one value, without the scale that int8 vectors have besides.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::I8 => 1,
        }
    }

    /// Bytes of the vector `[hidden]` of one layer of one token.
    #[must_use]
    pub const fn vector_bytes(self, hidden: usize) -> usize {
        match self {
            Self::I8 => hidden + SCALE_BYTES,
            Self::F16 | Self::Bf16 | Self::F32 => hidden * self.bytes(),
        }
    }
}

/// The name of the Zarr data type.
impl fmt::Display for StoreDtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::I8 => "int8",
        })
    }
}
