//! The small arrays on disk: one file each, whose values stand in one run, so that mapping it is reading it.
//!
//! To Zarr such an array is a single shard whose uncompressed inner chunks follow one another without a gap, then
//! padding and the shard index: a Zarr reader fetches one inner chunk for one value, and this crate maps the whole.
//! Length and crc32c of the file stand in the attributes of the array, which are written after the file: an array
//! with metadata is complete.

use std::path::{Path, PathBuf};

use bytemuck::Pod;

use super::shard;

/// Values of an inner chunk at most: 8 MB of the widest type.
const INNER_VALUES: u64 = 1 << 20;

/// Name of the only data file of a one-dimensional array.
pub(crate) const COLUMN_FILE: &str = "c.0";

/// Name of the only data file of an array of two dimensions.
pub(crate) const ROWS_FILE: &str = "c.0.0";

/// The small array of splits that hold pairs of texts.
pub(crate) const SECOND_TEXT: &str = "second_text";

/// The small arrays of every split, beside its labels.
pub(crate) const TABLES: [&str; 7] = [
    "offsets",
    "sentence_of",
    "input_ids",
    "word_ids",
    "word_bytes",
    "word_offsets",
    "sentence_words",
];

/// The groups in which labels of a task are, by the task's name.
pub(crate) const LABEL_GROUPS: [&str; 3] = ["labels", "word_labels", "heads"];

/// Shape of a small array on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnShape {
    /// Values of the array, or rows of values.
    pub(crate) length: u64,
    /// Values of a row; 1 for an array of one dimension.
    pub(crate) width: u64,
    /// Values, or rows, of an inner chunk.
    pub(crate) inner: u64,
    /// Values, or rows, of the only shard, padding included.
    pub(crate) shard: u64,
    /// Bytes of a value, or of a row.
    value_bytes: u64,
}

impl ColumnShape {
    pub(crate) fn new(length: u64, value_bytes: usize) -> Self {
        Self::of_rows(length, 1, value_bytes)
    }

    /// Of an array `[length, width]`, whose elements are counted by rows.
    pub(crate) fn of_rows(length: u64, width: u64, value_bytes: usize) -> Self {
        let inner = length.clamp(1, (INNER_VALUES / width.max(1)).max(1));
        Self {
            length,
            width,
            inner,
            shard: length.div_ceil(inner).max(1) * inner,
            value_bytes: value_bytes as u64 * width,
        }
    }

    /// Length of the data file; an array without values has none.
    pub(crate) fn file_bytes(&self) -> u64 {
        if self.length == 0 || self.width == 0 {
            return 0;
        }
        self.shard * self.value_bytes + shard::index_bytes(self.shard / self.inner)
    }
}

/// The data file of a small array of that shape, none for an array without values.
pub(crate) fn column_file<T: Pod>(values: &[T], shape: &ColumnShape) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !values.is_empty() {
        bytes.reserve(usize::try_from(shape.file_bytes()).unwrap_or_default());
        bytes.extend_from_slice(bytemuck::cast_slice(values));
        bytes.resize(
            usize::try_from(shape.shard * shape.value_bytes).unwrap_or_default(),
            0,
        );
        let chunks = shape.shard / shape.inner;
        let inner = shape.inner * shape.value_bytes;
        bytes.extend_from_slice(&shard::index(chunks, &shard::evenly(chunks, inner)));
    }
    bytes
}

/// Folder of a small array, `train/offsets`.
pub(crate) fn column_folder(store: &Path, name: &str) -> PathBuf {
    store.join(name)
}
