//! The store that is being written: its manifest, where its splits lie, and the files that come before hidden states.

use std::path::{Path, PathBuf};

use shared::files::{sync_dir, write_atomic};

use crate::layout::metadata;
use crate::{Manifest, SplitLayout, SplitTables, StoreError};

/// The store that is being written.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) layouts: Vec<SplitLayout>,
}

impl Target {
    /// Manifest: from here on it is a store.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        write_if_other(
            &self.path.join("zarr.json"),
            &metadata::root_group(&self.manifest),
        )
    }

    /// Groups, small arrays and empty `hidden_states`; what is there already and right is left alone.
    pub(super) fn lay_out(&self, tables: &[SplitTables]) -> Result<(), StoreError> {
        for layout in &self.layouts {
            let hidden_states = self.path.join(format!("{}/hidden_states", layout.split));
            fs_err::create_dir_all(&hidden_states).map_err(StoreError::io)?;
            let description = metadata::hidden_states(layout)?;
            write_if_other(&hidden_states.join("zarr.json"), &description)?;
        }
        for table in tables {
            let folder = self.path.join(table.name.to_string());
            write_if_other(&folder.join("zarr.json"), &metadata::plain_group())?;
            table.write(&folder)?;
        }
        sync_dir(&self.path).map_err(StoreError::io)
    }
}

/// Writes a file unless it holds the same bytes.
pub(crate) fn write_if_other(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if fs_err::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write_atomic(path, bytes).map_err(StoreError::io)
}
