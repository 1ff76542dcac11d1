//! The small arrays of a store as they are in another one: a conversion changes hidden states only, and keeps
//! also what this program does not know.

use std::path::Path;

use serde_json::Value;

use super::column::write_column;
use super::temporary::write_if_other;
use crate::StoreError;
use crate::layout::column::{COLUMN_FILE, ROWS_FILE};
use crate::layout::metadata::read_attribute;
use crate::read::column;

/// The array that is not copied.
const HIDDEN_STATES: &str = "hidden_states";

/// Copies group, small arrays and labels of a split, each array compared with its checksum.
///
/// # Errors
/// [`StoreError::Damaged`] for an array that is not what it should be, [`StoreError::Io`].
pub(super) fn copy_arrays(from: &Path, to: &Path) -> Result<(), StoreError> {
    for entry in fs_err::read_dir(from).map_err(StoreError::io)? {
        let name = entry.map_err(StoreError::io)?.file_name();
        let from = from.join(&name);
        if from.is_dir() && name != HIDDEN_STATES {
            copy_folder(&from, &to.join(&name))?;
        }
    }
    copy_description(from, to)
}

/// A group with all that is in it, or an array.
fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    let checksum = read_attribute(&from.join("zarr.json"))?;
    if checksum.is_some_and(|attribute| attribute.get("crc32c").is_some_and(Value::is_string)) {
        column::check(from)?;
        // The data file is named by the number of dimensions.
        let is_of_rows = from.join(ROWS_FILE).exists();
        let name = if is_of_rows { ROWS_FILE } else { COLUMN_FILE };
        let data = match fs_err::read(from.join(name)) {
            // An array without elements has no data.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            data => data.map_err(StoreError::io)?,
        };
        let description = fs_err::read(from.join("zarr.json")).map_err(StoreError::io)?;
        return write_column(to, (name, &data), &description);
    }
    copy_arrays(from, to)
}

/// The `zarr.json` of a group.
fn copy_description(from: &Path, to: &Path) -> Result<(), StoreError> {
    let description = fs_err::read(from.join("zarr.json")).map_err(StoreError::io)?;
    fs_err::create_dir_all(to).map_err(StoreError::io)?;
    write_if_other(&to.join("zarr.json"), &description)
}
