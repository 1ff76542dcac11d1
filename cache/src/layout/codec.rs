//! Compression of inner chunks, by codecs that every Zarr reader knows. Level and shuffle are part of the name, so
//! that the manifest says which bytes a chunk becomes and one store never mixes two of them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zarrs::array::codec::{
    BloscCodec, BloscCompressionLevel, BloscCompressor, BloscShuffleMode, ZstdCodec,
};
use zarrs::array::{BytesRepresentation, BytesToBytesCodecTraits, CodecOptions};

use crate::StoreDtype;

/// Compression of the inner chunks of `hidden_states`. Without it files can be mapped and read in place; with it
/// a reader decodes a whole inner chunk to get at a token.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
pub enum Codec {
    /// As they are: what training wants.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Zstandard (RFC 8878), level 3.
    #[serde(rename = "zstd-3")]
    Zstd,
    /// Bytes of one significance together, then Zstandard level 3, by Blosc: smaller and faster than zstd alone.
    #[serde(rename = "blosc-zstd-3-shuffle")]
    Blosc,
}

const LEVEL: u8 = 3;

/// What Blosc and Zstandard add at most to bytes that do not become smaller, generously.
const OVERHEAD: u64 = 64;
const OVERHEAD_SHARE: u64 = 128;

impl Codec {
    /// Whether chunks lie in the files as they are.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// The Zarr codec; none for [`Codec::None`].
    pub(crate) fn zarr(
        self,
        dtype: StoreDtype,
    ) -> Result<Option<Arc<dyn BytesToBytesCodecTraits>>, String> {
        Ok(match self {
            Self::None => None,
            Self::Zstd => Some(Arc::new(ZstdCodec::new(LEVEL.into(), false))),
            Self::Blosc => {
                let level = BloscCompressionLevel::try_from(LEVEL)
                    .map_err(|_| format!("Blosc has no level {LEVEL}"))?;
                let blosc = BloscCodec::new(
                    BloscCompressor::Zstd,
                    level,
                    None,
                    BloscShuffleMode::Shuffle,
                    Some(dtype.bytes()),
                );
                Some(Arc::new(blosc.map_err(|error| error.to_string())?))
            }
        })
    }

    /// Bytes that an inner chunk of `bytes` bytes takes at most.
    pub(crate) fn bound(self, bytes: u64) -> u64 {
        match self {
            Self::None => bytes,
            Self::Zstd | Self::Blosc => bytes + bytes / OVERHEAD_SHARE + OVERHEAD,
        }
    }

    /// An inner chunk as it is stored.
    pub(crate) fn compress(self, dtype: StoreDtype, chunk: &[u8]) -> Result<Vec<u8>, String> {
        match self.zarr(dtype)? {
            None => Ok(chunk.to_vec()),
            Some(codec) => codec
                .encode(Cow::Borrowed(chunk), &CodecOptions::default())
                .map(Cow::into_owned)
                .map_err(|error| error.to_string()),
        }
    }

    /// The inner chunk of `length` bytes that `stored` holds; its checksum has been compared before.
    pub(crate) fn decompress(
        self,
        dtype: StoreDtype,
        stored: &[u8],
        length: u64,
    ) -> Result<Vec<u8>, String> {
        let representation = BytesRepresentation::FixedSize(length);
        let chunk = match self.zarr(dtype)? {
            None => Cow::Borrowed(stored),
            Some(codec) => codec
                .decode(
                    Cow::Borrowed(stored),
                    &representation,
                    &CodecOptions::default(),
                )
                .map_err(|error| error.to_string())?,
        };
        if chunk.len() as u64 == length {
            return Ok(chunk.into_owned());
        }
        Err(format!("{} bytes, expected {length}", chunk.len()))
    }
}

/// As the manifest has it.
impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Zstd => "zstd-3",
            Self::Blosc => "blosc-zstd-3-shuffle",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_chunk_comes_back_and_stays_in_its_bounds(
            noise in prop::collection::vec(any::<u8>(), 1..5_000),
            repeated in 1_usize..4,
        ) {
            let chunk = noise.repeat(repeated);
            for codec in [Codec::None, Codec::Zstd, Codec::Blosc] {
                for dtype in [StoreDtype::F16, StoreDtype::F32, StoreDtype::I8] {
                    let stored = codec.compress(dtype, &chunk).unwrap();
                    prop_assert!(stored.len() as u64 <= codec.bound(chunk.len() as u64));
                    prop_assert_eq!(&codec.decompress(dtype, &stored, chunk.len() as u64).unwrap(), &chunk);
                    prop_assert!(codec.decompress(dtype, &stored, chunk.len() as u64 + 1).is_err());
                }
            }
        }
    }
}
