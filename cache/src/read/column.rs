//! Reading the small arrays of a store: mapped, or into memory.

use std::io::Read as _;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use super::storage::map_file;
use crate::StoreError;
use crate::error::missing;
use crate::layout::column::{COLUMN_FILE, ColumnShape, ROWS_FILE};
use crate::layout::metadata::read_attribute;
use crate::layout::shard;

/// Bytes that are in memory while a file is checked.
const READ_AT_ONCE: usize = 1 << 20;

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
        Self::open_file(&folder.join(COLUMN_FILE), (length, 1), mapped)
    }

    /// Opens the array in `folder`, `[rows, width]`, its values row by row.
    pub(crate) fn open_rows(
        folder: &Path,
        shape: (u64, u64),
        mapped: bool,
    ) -> Result<Self, StoreError> {
        Self::open_file(&folder.join(ROWS_FILE), shape, mapped)
    }

    fn open_file(path: &Path, (rows, width): (u64, u64), mapped: bool) -> Result<Self, StoreError> {
        let shape = ColumnShape::of_rows(rows, width, size_of::<T>());
        let length = rows.saturating_mul(width);
        if length == 0 {
            return Ok(Vec::new().into());
        }
        let expected = shape.file_bytes();
        let length = usize::try_from(length).map_err(|_| StoreError::too_large(path))?;
        if mapped {
            let map = map_file(path, expected)?;
            return Ok(Self {
                values: Values::Mapped {
                    map: Arc::new(map),
                    length,
                },
            });
        }
        let bytes = fs_err::read(path).map_err(StoreError::io)?;
        StoreError::check_length(path, expected, bytes.len() as u64)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes[..length * size_of::<T>()]).into())
    }
}

/// Compares the data file of the array in `folder` with the length and the checksum that its metadata state.
pub(crate) fn check(folder: &Path) -> Result<(), StoreError> {
    let zarr_json = folder.join("zarr.json");
    let stated = read_attribute(&zarr_json)?
        .ok_or_else(|| StoreError::damaged(&zarr_json, "is missing or has no checksum"))?;
    if stated["bytes"] == 0 {
        return Ok(());
    }
    let rows = folder.join(ROWS_FILE);
    let path = if rows.is_file() {
        rows
    } else {
        folder.join(COLUMN_FILE)
    };
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
