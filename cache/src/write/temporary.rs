//! Names of temporary files, removing what may be gone already and writing what may be there already.

use std::io::ErrorKind;
use std::path::Path;

use shared::files::write_atomic;

use crate::StoreError;

/// Temporary files have names that begin with a dot and end with `.tmp`.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.')
        .is_some_and(|name| Path::new(name).extension().is_some_and(|end| end == "tmp"))
}

pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(error)),
        _ => Ok(()),
    }
}

pub(crate) fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(error)),
        _ => Ok(()),
    }
}

/// Writes a file unless it holds the same bytes.
pub(crate) fn write_if_other(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if fs_err::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write_atomic(path, bytes).map_err(StoreError::io)
}
