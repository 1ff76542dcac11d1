//! The index at the end of a file of the `sharding_indexed` codec: where each inner chunk is.
//!
//! Zarr v3, codec `sharding_indexed` 1.0 with `index_location: end` and index codecs `bytes` (little) and `crc32c`:
//! for each inner chunk two uint64, offset and length, both 2^64 - 1 for a chunk that is not there, then the
//! crc32c of all that as uint32. Our inner chunks stand in order and without gaps; uncompressed ones have one size.

use std::ops::Range;

/// Bytes of a crc32c.
pub(crate) const CHECKSUM_BYTES: u64 = 4;

const MISSING: u64 = u64::MAX;

/// Bytes of the index of a file with room for `chunks` inner chunks, checksum included.
pub(crate) const fn index_bytes(chunks: u64) -> u64 {
    16 * chunks + CHECKSUM_BYTES
}

/// Where `chunks` inner chunks of `slot` bytes each are, one after another.
pub(crate) fn evenly(chunks: u64, slot: u64) -> Vec<Range<u64>> {
    (0..chunks)
        .map(|chunk| chunk * slot..(chunk + 1) * slot)
        .collect()
}

/// The index of a file with room for `chunks` inner chunks, of which the first ones are `present`.
pub(crate) fn index(chunks: u64, present: &[Range<u64>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(index_bytes(chunks)).unwrap_or_default());
    let there = present.iter().map(|at| [at.start, at.end - at.start]);
    for entry in there
        .chain(std::iter::repeat([MISSING; 2]))
        .zip(0..chunks)
        .flat_map(|(entry, _)| entry)
    {
        bytes.extend_from_slice(&entry.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The `present` inner chunks of a file with room for `chunks`, if `index` stands at byte `start` and says that they
/// fill the file up to there in order, each of them longer than its checksum.
pub(crate) fn parse(
    index: &[u8],
    chunks: u64,
    present: u64,
    start: u64,
) -> Option<Vec<Range<u64>>> {
    let mut entries = Vec::new();
    let mut end = 0;
    for entry in index
        .as_chunks::<16>()
        .0
        .iter()
        .take(usize::try_from(present).ok()?)
    {
        let (offset, length) = entry.split_at(8);
        let (offset, length) = (
            u64::from_le_bytes(offset.try_into().ok()?),
            u64::from_le_bytes(length.try_into().ok()?),
        );
        if offset != end || length <= CHECKSUM_BYTES {
            return None;
        }
        end = offset.checked_add(length)?;
        entries.push(offset..end);
    }
    // Written again it must be the same: what is not there is marked so, and the checksum is right.
    (end == start && index == self::index(chunks, &entries)).then_some(entries)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_it_was_written_and_no_bit_of_it_may_flip() {
        let present = [0..10, 10..17, 17..400];
        let bytes = index(5, &present);
        assert_eq!(bytes.len() as u64, index_bytes(5));
        assert_eq!(parse(&bytes, 5, 3, 400), Some(present.to_vec()));
        assert_eq!(parse(&bytes, 5, 3, 401), None);
        assert_eq!(parse(&bytes, 5, 2, 17), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&flipped, 5, 3, 400), None, "bit {bit}");
        }
        // Sound in itself, but chunks overlap or leave a gap.
        for other in [[0..10, 9..17, 17..400], [0..10, 11..17, 17..400]] {
            assert_eq!(parse(&index(5, &other), 5, 3, 400), None);
        }
    }
}
