//! The inner chunks of a file of hidden states as the file itself states them: where they are, and their checksums.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use crate::layout::shard::{self, CHECKSUM_BYTES};
use crate::{SplitLayout, StoreError};

/// An inner chunk in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its bytes as stored, without the checksum after them.
    pub(crate) bytes: Range<u64>,
    /// The checksum after them.
    pub(crate) checksum: u32,
}

/// The chunks of file `number`, which has `length` bytes; none if its index is damaged. Reads a few bytes a chunk.
pub(crate) fn read_chunks(
    layout: &SplitLayout,
    number: u64,
    file: &File,
    length: u64,
) -> io::Result<Option<Vec<Chunk>>> {
    let Some(start) = length.checked_sub(layout.index_bytes()) else {
        return Ok(None);
    };
    let mut index = vec![0; usize::try_from(layout.index_bytes()).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut index, start)?;
    let present = layout.chunks_of_file(number);
    let places = shard::parse(&index, layout.file_chunks, present, start)
        .filter(|places| !layout.codec.is_none() || is_even(places, layout.slot_bytes()));
    let Some(places) = places else {
        return Ok(None);
    };
    let mut chunks = Vec::with_capacity(places.len());
    for place in places {
        let mut checksum = [0; 4];
        let end = place.end - CHECKSUM_BYTES;
        file.read_exact_at(&mut checksum, end)?;
        chunks.push(Chunk {
            bytes: place.start..end,
            checksum: u32::from_le_bytes(checksum),
        });
    }
    Ok(Some(chunks))
}

fn is_even(places: &[Range<u64>], slot: u64) -> bool {
    places.iter().all(|place| place.end - place.start == slot)
}

/// The rows of an inner chunk, `layout.chunk_bytes()` bytes, from its bytes as stored.
pub(crate) fn decode(layout: &SplitLayout, stored: &[u8]) -> Result<Vec<u8>, String> {
    layout
        .codec
        .decompress(layout.dtype, stored, layout.chunk_bytes())
        .map_err(|what| format!("cannot be decompressed: {what}"))
}

impl Chunk {
    /// Length as stored.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.bytes.end - self.bytes.start).unwrap_or(usize::MAX)
    }

    /// Whether `stored` is what the checksum was computed of.
    pub(crate) fn is_sound(&self, stored: &[u8]) -> bool {
        crc32c::crc32c(stored) == self.checksum
    }
}

/// The checksum of a file, which the done-list states.
pub(crate) fn file_checksum(chunks: &[Chunk]) -> String {
    shard::checksum_text(shard::file_checksum(
        chunks.iter().map(|chunk| chunk.checksum),
    ))
}

/// What is wrong with a file whose checksum is another one than the done-list states.
pub(crate) fn other_file(found: &str, expected: &str) -> String {
    format!("is not the file that was written (checksum {found}, expected {expected})")
}

/// What is wrong with a file that has a damaged chunk.
pub(crate) fn damaged_chunk(layout: &SplitLayout, file: u64, chunk: u64) -> String {
    let first = (file * layout.file_chunks + chunk) * layout.chunk_tokens;
    let end = (first + layout.chunk_tokens).min(layout.tokens);
    format!(
        "wrong checksum of inner chunk {chunk}, tokens {first} to {}",
        end - 1
    )
}

/// An error of reading a chunk: an end of file too early is damage.
pub(crate) fn reading_failed(path: &std::path::Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::damaged(path, "ends early"),
        _ => crate::error::named(path, error),
    }
}
