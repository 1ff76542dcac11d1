//! The index at the end of a file of the `sharding_indexed` codec: where each inner chunk is.
//!
//! Zarr v3, codec `sharding_indexed` 1.0 with `index_location: end` and index codecs `bytes` (little) and `crc32c`:
//! for each inner chunk two uint64, offset and length, both 2^64 - 1 for a chunk that is not there, then the
//! crc32c of all that as uint32. Our inner chunks all have one size and stand in order.

/// Bytes of a crc32c.
pub(crate) const CHECKSUM_BYTES: u64 = 4;

const MISSING: u64 = u64::MAX;

/// Bytes of the index of a file with room for `chunks` inner chunks, checksum included.
pub(crate) const fn index_bytes(chunks: u64) -> u64 {
    16 * chunks + CHECKSUM_BYTES
}

/// The index of a file with room for `chunks` inner chunks of which the first `present`, `slot` bytes each, are there.
pub(crate) fn index(chunks: u64, present: u64, slot: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(index_bytes(chunks)).unwrap_or_default());
    for chunk in 0..chunks {
        let (offset, length) = if chunk < present {
            (chunk * slot, slot)
        } else {
            (MISSING, MISSING)
        };
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Checksum of a file: the crc32c over the checksums of its inner chunks, each as little-endian uint32, in order.
/// Cheap to check when a file is first touched, and it tells two files apart that are each sound in themselves.
pub(crate) fn file_checksum(chunks: impl IntoIterator<Item = u32>) -> u32 {
    chunks.into_iter().fold(0, |checksum, chunk| {
        crc32c::crc32c_append(checksum, &chunk.to_le_bytes())
    })
}

/// A checksum as the records write it: 8 lower-case hexadecimal digits.
pub(crate) fn checksum_text(checksum: u32) -> String {
    format!("{checksum:08x}")
}
