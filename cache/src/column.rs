//! The small arrays on disk: one file each, whose values stand in one run, so that mapping it is reading it.
//!
//! To Zarr such an array is a single shard whose uncompressed inner chunks follow one another without a gap, then
//! padding and the shard index: a Zarr reader fetches one inner chunk for one value, and this crate maps the whole.
//! Length and crc32c of the file stand in the attributes of the array, which are written after the file: an array
//! with metadata is complete.

use std::io::Read as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;
use shared::files::write_atomic;

use crate::metadata::read_attribute;
use crate::storage::{map_file, missing};
use crate::{StoreError, shard};

/// Bytes that are in memory while a file is checked.
const READ_AT_ONCE: usize = 1 << 20;

/// Values of an inner chunk at most: 8 MB of the widest type.
const INNER_VALUES: u64 = 1 << 20;

/// Name of the only data file of a one-dimensional array.
pub(crate) const COLUMN_FILE: &str = "c.0";

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

/// A small array of a store, mapped or in memory.
#[derive(Debug, Clone)]
pub struct Column<T> {
    values: Values<T>,
}

#[derive(Debug, Clone)]
enum Values<T> {
    Mapped { map: Arc<Mmap>, length: usize },
    Owned(Vec<T>),
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.values {
            // A map begins on a page, and `open` checked that it is long enough.
            Values::Mapped { map, length } => bytemuck::cast_slice(&map[..length * size_of::<T>()]),
            Values::Owned(values) => values,
        }
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self {
            values: Values::Owned(values),
        }
    }
}

impl<T: Pod> Column<T> {
    /// Opens the array in `folder`, `[length]`.
    pub(crate) fn open(folder: &Path, length: u64, mapped: bool) -> Result<Self, StoreError> {
        let shape = ColumnShape::new(length, size_of::<T>());
        if length == 0 {
            return Ok(Vec::new().into());
        }
        let path = folder.join(COLUMN_FILE);
        let expected = shape.file_bytes();
        let length = usize::try_from(length).map_err(|_| StoreError::too_large(&path))?;
        if mapped {
            let map = map_file(&path, expected)?;
            return Ok(Self {
                values: Values::Mapped {
                    map: Arc::new(map),
                    length,
                },
            });
        }
        let bytes = fs_err::read(&path).map_err(StoreError::io)?;
        StoreError::check_length(&path, expected, bytes.len() as u64)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes[..length * size_of::<T>()]).into())
    }
}

/// Shape of a small array on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnShape {
    /// Values of the array.
    pub(crate) length: u64,
    /// Values of an inner chunk.
    pub(crate) inner: u64,
    /// Values of the only shard, padding included.
    pub(crate) shard: u64,
    value_bytes: u64,
}

impl ColumnShape {
    pub(crate) fn new(length: u64, value_bytes: usize) -> Self {
        let inner = length.clamp(1, INNER_VALUES);
        Self {
            length,
            inner,
            shard: length.div_ceil(inner).max(1) * inner,
            value_bytes: value_bytes as u64,
        }
    }

    /// Length of the data file; an array without values has none.
    pub(crate) fn file_bytes(&self) -> u64 {
        if self.length == 0 {
            return 0;
        }
        self.shard * self.value_bytes + shard::index_bytes(self.shard / self.inner)
    }
}

/// The data file of a small array, none for an array without values.
pub(crate) fn column_file<T: Pod>(values: &[T]) -> Vec<u8> {
    let shape = ColumnShape::new(values.len() as u64, size_of::<T>());
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

/// Writes an array: its data file, then its metadata, which make it exist. Files that are there already are kept
/// when they are the same (length and metadata, which hold the checksum).
pub(crate) fn write_column(folder: &Path, file: &[u8], metadata: &[u8]) -> Result<(), StoreError> {
    let data = folder.join(COLUMN_FILE);
    let description = folder.join("zarr.json");
    let length = fs_err::metadata(&data).map_or(0, |data| data.len());
    if length == file.len() as u64
        && fs_err::read(&description).is_ok_and(|there| there == metadata)
    {
        return Ok(());
    }
    fs_err::create_dir_all(folder).map_err(StoreError::io)?;
    if !file.is_empty() {
        write_atomic(&data, file).map_err(StoreError::io)?;
    }
    write_atomic(&description, metadata).map_err(StoreError::io)
}

/// Compares the data file of the array in `folder` with the length and the checksum that its metadata state.
pub(crate) fn check(folder: &Path) -> Result<(), StoreError> {
    let zarr_json = folder.join("zarr.json");
    let stated = read_attribute(&zarr_json)?
        .ok_or_else(|| StoreError::damaged(&zarr_json, "is missing or has no checksum"))?;
    if stated["bytes"] == 0 {
        return Ok(());
    }
    let path = folder.join(COLUMN_FILE);
    let mut file = fs_err::File::open(&path).map_err(|error| missing(&path, error))?;
    let (mut bytes, mut checksum) = (vec![0; READ_AT_ONCE], 0);
    loop {
        match file.read(&mut bytes).map_err(StoreError::io)? {
            0 => break,
            count => checksum = crc32c::crc32c_append(checksum, &bytes[..count]),
        }
    }
    let found = shard::checksum_text(checksum);
    if stated["crc32c"] == found.as_str() {
        return Ok(());
    }
    let what = format!("has checksum {found}, expected {}", stated["crc32c"]);
    Err(StoreError::damaged(&path, what))
}

/// Folder of a small array, `train/offsets`.
pub(crate) fn column_folder(store: &Path, name: &str) -> PathBuf {
    store.join(name)
}
