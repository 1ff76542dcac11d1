//! A read-only Zarr storage that hands out memory-mapped bytes: `zarrs` decodes a store through it without a copy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use zarrs::storage::byte_range::ByteRangeIterator;
use zarrs::storage::{
    Bytes, MaybeBytesIterator, ReadableStorageTraits, StorageError as ZarrError, StoreKey,
};

use crate::StoreError;
use crate::error::{missing, named};

/// A folder whose files `zarrs` reads by mapping them.
#[derive(Debug, Clone)]
pub struct MappedStorage {
    root: PathBuf,
}

impl MappedStorage {
    /// The storage of a folder.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl ReadableStorageTraits for MappedStorage {
    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, ZarrError> {
        let path = self.root.join(key.as_str());
        let Some(length) = self.size_key(key)? else {
            return Ok(None);
        };
        let bytes = if length == 0 {
            Bytes::new()
        } else {
            let map =
                map_file(&path, length).map_err(|error| ZarrError::from(error.to_string()))?;
            Bytes::from_owner(SharedMap(Arc::new(map)))
        };
        Ok(Some(Box::new(byte_ranges.map(move |range| {
            if range.end(length) > length || range.start(length) > range.end(length) {
                return Err(ZarrError::from(format!(
                    "{range} of {length} bytes of {}",
                    path.display()
                )));
            }
            Ok(bytes.slice(range.to_range_usize(length)))
        }))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, ZarrError> {
        match fs_err::metadata(self.root.join(key.as_str())) {
            Ok(file) => Ok(Some(file.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

struct SharedMap(Arc<Mmap>);

impl AsRef<[u8]> for SharedMap {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a whole file that must have `expected` bytes: a shorter one would be a SIGBUS later.
pub(crate) fn map_file(path: &Path, expected: u64) -> Result<Mmap, StoreError> {
    let file: File = fs_err::File::open(path)
        .map_err(|error| missing(path, error))?
        .into();
    let found = file.metadata().map_err(|error| named(path, error))?.len();
    StoreError::check_length(path, expected, found)?;
    map(&file).map_err(|error| named(path, error))
}

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe because others may change it meanwhile"
)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: files of a store never change once they have their name (they are written under another one and
    // renamed), and the caller has checked the length. Whoever truncates one under a running reader ends it with a
    // SIGBUS; `Io::Read` is there for disks where that has to be expected.
    unsafe { Mmap::map(file) }
}
