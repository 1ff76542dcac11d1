//! Which token is in which file, at which byte: a pure function of the manifest.
//!
//! Tokens of a split stand one after another in inner chunks, chunks in files (Zarr calls them shards), files in
//! parts. Nothing here depends on who writes or on how often a writer was killed.

pub(crate) mod codec;
pub(crate) mod column;
pub(crate) mod crc;
pub(crate) mod dtype;
pub(crate) mod int4;
pub mod manifest;
pub(crate) mod metadata;
pub(crate) mod record;
pub mod rotation;
pub mod rows;
pub(crate) mod shard;
pub(crate) mod statistics;
pub(crate) mod tables;

use std::ops::Range;
use std::path::PathBuf;

use shared::datasets::SplitName;

use crate::{Codec, Manifest, StoreDtype};

/// How many bytes of hidden states an inner chunk, a file and a part may hold; a chunk holds at least one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteLimits {
    /// Bytes of an inner chunk: what reading a single token through a Zarr reader decodes. Default 16 MB.
    pub chunk: u64,
    /// Bytes of a file. Default 128 MB.
    pub file: u64,
    /// Bytes of a part: what a killed writer loses at most. Default 512 MB.
    pub part: u64,
}

impl Default for ByteLimits {
    fn default() -> Self {
        Self {
            chunk: 16_000_000,
            file: 128_000_000,
            part: 512_000_000,
        }
    }
}

/// [`ByteLimits`] in the units of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// For [`Manifest::chunk_tokens`].
    pub chunk_tokens: u64,
    /// For [`Manifest::file_tokens`].
    pub file_tokens: u64,
    /// For [`Manifest::part_files`].
    pub part_files: u64,
}

impl ByteLimits {
    /// The units for rows of `row_bytes` bytes.
    #[must_use]
    pub fn units(&self, row_bytes: usize) -> Units {
        let row_bytes = (row_bytes as u64).max(1);
        let chunk_tokens = (self.chunk / row_bytes).max(1);
        let file_tokens = (self.file / row_bytes / chunk_tokens).max(1) * chunk_tokens;
        let part_files = (self.part / (file_tokens * row_bytes)).max(1);
        Units {
            chunk_tokens,
            file_tokens,
            part_files,
        }
    }
}

/// The unit of work, of ownership and of resuming: some consecutive files of one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The split.
    pub split: SplitName,
    /// Number of the part in its split.
    pub index: u64,
    /// Tokens (rows of `hidden_states`) that the part holds.
    pub tokens: Range<u64>,
    /// Sequences of which it holds at least one token. The first and the last may reach over its edges: they are
    /// encoded whole, and only the part's own tokens are kept (and counted in its statistics).
    pub sequences: Range<usize>,
}

impl Part {
    /// Name of the part in `progress/`, `train-3`.
    #[must_use]
    pub fn name(&self) -> String {
        part_name(self.split, self.index)
    }
}

pub(crate) fn part_name(split: SplitName, index: u64) -> String {
    format!("{split}-{index}")
}

/// Where the hidden states of one split are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitLayout {
    /// The split.
    pub split: SplitName,
    /// Tokens of the split.
    pub tokens: u64,
    /// Layers kept.
    pub layers: usize,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Number format of the values.
    pub dtype: StoreDtype,
    /// Compression of the inner chunks.
    pub codec: Codec,
    /// Bytes of one row `[layers, hidden]`.
    pub row_bytes: u64,
    /// Tokens of an inner chunk.
    pub chunk_tokens: u64,
    /// Inner chunks of a full file.
    pub file_chunks: u64,
    /// Files of a full part.
    pub part_files: u64,
}

impl SplitLayout {
    /// Layout of a split, none if the manifest has no such split.
    ///
    /// The split is cut into as few chunks as the manifest's limit allows, all of one size, so that the zeros that
    /// Zarr wants at the end of the last one are few.
    #[must_use]
    pub fn of(manifest: &Manifest, split: SplitName) -> Option<Self> {
        let tokens = manifest.splits.get(&split)?.tokens;
        let chunks = tokens.div_ceil(manifest.chunk_tokens.max(1)).max(1);
        let chunk_tokens = tokens.div_ceil(chunks).max(1);
        let chunks = tokens.div_ceil(chunk_tokens).max(1);
        let file_chunks = manifest.file_tokens / manifest.chunk_tokens.max(1);
        Some(Self {
            split,
            tokens,
            layers: manifest.layers.len(),
            hidden: manifest.hidden,
            dtype: manifest.store_dtype,
            codec: manifest.codec,
            row_bytes: manifest.row_bytes() as u64,
            chunk_tokens,
            file_chunks: file_chunks.clamp(1, chunks),
            part_files: manifest.part_files.max(1),
        })
    }

    /// Tokens of a full file, the shape of a Zarr shard.
    #[must_use]
    pub fn file_tokens(&self) -> u64 {
        self.chunk_tokens * self.file_chunks
    }

    /// Tokens of a full part.
    #[must_use]
    pub fn part_tokens(&self) -> u64 {
        self.file_tokens() * self.part_files
    }

    /// Files of the split.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.tokens.div_ceil(self.file_tokens())
    }

    /// Parts of the split.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.tokens.div_ceil(self.part_tokens())
    }

    /// Bytes that the hidden states of the split take on disk without compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (0..self.files()).map(|file| self.file_bytes(file)).sum()
    }

    /// Tokens in a file.
    #[must_use]
    pub fn tokens_of_file(&self, file: u64) -> Range<u64> {
        (file * self.file_tokens()).min(self.tokens)
            ..((file + 1) * self.file_tokens()).min(self.tokens)
    }

    /// Inner chunks that a file holds: the last file has only those with tokens in them.
    #[must_use]
    pub fn chunks_of_file(&self, file: u64) -> u64 {
        let tokens = self.tokens_of_file(file);
        (tokens.end - tokens.start).div_ceil(self.chunk_tokens)
    }

    /// Length of a file in bytes without compression: chunks with their checksums, then the shard index.
    #[must_use]
    pub fn file_bytes(&self, file: u64) -> u64 {
        self.chunks_of_file(file) * self.slot_bytes() + self.index_bytes()
    }

    /// Whether a file may have that length: exactly one is right for it, but with compression.
    #[must_use]
    pub fn fits_file(&self, file: u64, length: u64) -> bool {
        let shortest = self.chunks_of_file(file) * (shard::CHECKSUM_BYTES + 1);
        match self.codec {
            Codec::None => length == self.file_bytes(file),
            _ => (shortest + self.index_bytes()..=self.draft_bytes(file)).contains(&length),
        }
    }

    /// Bytes of the index at the end of a file.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        shard::index_bytes(self.file_chunks)
    }

    /// Bytes that a file takes at most while it is written.
    #[must_use]
    pub fn draft_bytes(&self, file: u64) -> u64 {
        self.chunks_of_file(file) * self.draft_slot_bytes() + self.index_bytes()
    }

    /// Bytes from the start of an inner chunk to the start of the next in a file that is being written: as many as
    /// the compressed chunk and its crc32c may take.
    #[must_use]
    pub fn draft_slot_bytes(&self) -> u64 {
        self.codec.bound(self.chunk_bytes()) + shard::CHECKSUM_BYTES
    }

    /// Bytes of an inner chunk without its checksum.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_tokens * self.row_bytes
    }

    /// Bytes from the start of an inner chunk to the start of the next without compression: the chunk and its crc32c.
    #[must_use]
    pub fn slot_bytes(&self) -> u64 {
        self.chunk_bytes() + shard::CHECKSUM_BYTES
    }

    /// Files of a part.
    #[must_use]
    pub fn files_of_part(&self, part: u64) -> Range<u64> {
        (part * self.part_files).min(self.files())..((part + 1) * self.part_files).min(self.files())
    }

    /// Tokens of a part.
    #[must_use]
    pub fn tokens_of_part(&self, part: u64) -> Range<u64> {
        (part * self.part_tokens()).min(self.tokens)
            ..((part + 1) * self.part_tokens()).min(self.tokens)
    }

    /// A part, with the sequences that reach into it; `offsets` as in the store, `[sequences + 1]`.
    #[must_use]
    pub fn part(&self, index: u64, offsets: &[u64]) -> Part {
        let tokens = self.tokens_of_part(index);
        let first = offsets
            .partition_point(|&offset| offset <= tokens.start)
            .saturating_sub(1);
        let last = offsets.partition_point(|&offset| offset < tokens.end);
        Part {
            split: self.split,
            index,
            tokens,
            sequences: first..last,
        }
    }

    /// Where tokens lie: one run for each inner chunk they touch.
    pub fn runs(&self, tokens: Range<u64>) -> impl Iterator<Item = Run> + use<> {
        let layout = *self;
        let mut next = tokens.start;
        std::iter::from_fn(move || {
            if next >= tokens.end {
                return None;
            }
            let chunk = next / layout.chunk_tokens;
            let end = ((chunk + 1) * layout.chunk_tokens).min(tokens.end);
            let first = chunk * layout.chunk_tokens;
            let run = Run {
                file: chunk / layout.file_chunks,
                chunk: chunk % layout.file_chunks,
                bytes: (next - first) * layout.row_bytes..(end - first) * layout.row_bytes,
                tokens: next..end,
            };
            next = end;
            Some(run)
        })
    }

    /// Path of a file inside the store, `train/hidden_states/c.3.0.0`.
    #[must_use]
    pub fn file_path(&self, file: u64) -> PathBuf {
        PathBuf::from(format!("{}/hidden_states/c.{file}.0.0", self.split))
    }
}

/// Consecutive tokens inside one inner chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// File they are in.
    pub file: u64,
    /// Number of the inner chunk in the file.
    pub chunk: u64,
    /// Where they are in the inner chunk.
    pub bytes: Range<u64>,
    /// The tokens.
    pub tokens: Range<u64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(tokens: u64, chunk_tokens: u64, file_chunks: u64, part_files: u64) -> SplitLayout {
        SplitLayout {
            split: SplitName::Train,
            tokens,
            layers: 2,
            hidden: 3,
            dtype: StoreDtype::F16,
            codec: Codec::None,
            row_bytes: 12,
            chunk_tokens,
            file_chunks,
            part_files,
        }
    }

    #[test]
    fn the_usual_sizes_of_a_base_and_a_large_model() {
        let units = ByteLimits::default().units(13 * 768 * 2);
        assert_eq!(
            (units.chunk_tokens, units.file_tokens, units.part_files),
            (801, 801 * 8, 4)
        );
        let units = ByteLimits::default().units(25 * 1024 * 2);
        assert_eq!(
            (units.chunk_tokens, units.file_tokens, units.part_files),
            (312, 312 * 8, 4)
        );
        let units = ByteLimits::default().units(20_000_000);
        assert_eq!(
            (units.chunk_tokens, units.file_tokens, units.part_files),
            (1, 6, 4)
        );
    }

    /// 20 tokens of 12 bytes in chunks of 3, files of 2 chunks: the last file has one chunk, with 2 tokens.
    #[test]
    fn sizes_count_chunks_checksums_and_indexes() {
        let plain = layout(20, 3, 2, 2);
        let index = 2 * 16 + 4;
        let (whole, last) = (2 * (36 + 4) + index, 40 + index);
        assert_eq!((plain.file_bytes(0), plain.file_bytes(3)), (whole, last));
        assert_eq!(plain.bytes(), 3 * whole + last);
        assert_eq!(plain.draft_bytes(3), last);
        assert_eq!(
            [last - 1, last, last + 1].map(|length| plain.fits_file(3, length)),
            [false, true, false]
        );

        // A compressed chunk has one byte at least, and no more than its bound.
        let packed = SplitLayout {
            codec: Codec::Zstd,
            ..plain
        };
        let (shortest, longest) = (2 * (4 + 1) + index, packed.draft_bytes(0));
        assert!(longest >= whole, "{longest}");
        let fits = [shortest - 1, shortest, longest, longest + 1]
            .map(|length| packed.fits_file(0, length));
        assert_eq!(fits, [false, true, true, false]);
    }

    #[test]
    fn a_sequence_over_an_edge_is_in_both_parts() {
        let layout = layout(20, 2, 2, 2);
        let offsets = [0, 5, 8, 11, 20];
        assert_eq!(layout.part(0, &offsets).sequences, 0..2);
        assert_eq!(layout.part(1, &offsets).sequences, 2..4);
        assert_eq!(layout.part(2, &offsets).sequences, 3..4);
    }

    proptest! {
        #[test]
        fn every_token_is_in_one_place(
            tokens in 0_u64..500,
            (chunk, files, parts) in (1_u64..40, 1_u64..5, 1_u64..4),
        ) {
            let layout = layout(tokens, chunk, files, parts);
            let in_files: u64 = (0..layout.files()).map(|file| layout.tokens_of_file(file)).map(|tokens| tokens.end - tokens.start).sum();
            let in_parts: u64 = (0..layout.parts()).map(|part| layout.tokens_of_part(part)).map(|tokens| tokens.end - tokens.start).sum();
            prop_assert_eq!((in_files, in_parts), (tokens, tokens));
            let (mut next, mut last) = (0, (0, 0, 0));
            for run in layout.runs(0..tokens) {
                prop_assert_eq!(run.tokens.start, next);
                prop_assert!(layout.tokens_of_file(run.file).contains(&run.tokens.start));
                prop_assert_eq!(run.bytes.end - run.bytes.start, (run.tokens.end - run.tokens.start) * layout.row_bytes);
                prop_assert!(run.chunk < layout.chunks_of_file(run.file));
                prop_assert!((run.file, run.chunk, run.bytes.start) >= last);
                (next, last) = (run.tokens.end, (run.file, run.chunk + 1, 0));
            }
            prop_assert_eq!(next, tokens);
        }
    }
}
