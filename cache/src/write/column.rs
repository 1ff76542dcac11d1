//! Writing the small arrays of a store: the data file first, then the metadata that make the array exist.

use std::path::Path;

use shared::files::write_atomic;

use crate::StoreError;

/// Writes an array: its data file of that name, then its metadata, which make it exist. Files that are there already are kept
/// when they are the same (length and metadata, which hold the checksum).
pub(crate) fn write_column(
    folder: &Path,
    (name, file): (&str, &[u8]),
    metadata: &[u8],
) -> Result<(), StoreError> {
    let data = folder.join(name);
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
