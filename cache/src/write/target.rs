//! The store that is being written: its manifest, where its splits lie, and the files that come before hidden states.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shared::datasets::SplitName;
use shared::files::sync_dir;

use super::copying::copy_arrays;
use super::temporary::write_if_other;
use crate::layout::{metadata, tables};
use crate::{Manifest, SplitLayout, SplitTables, Store, StoreError};

/// Where the small arrays of a store come from.
#[derive(Clone, Copy)]
pub(super) enum Arrays<'a> {
    /// From memory.
    Given(&'a [SplitTables]),
    /// From a store with the same splits.
    Copied(&'a Store),
}

impl Arrays<'_> {
    /// Whether they are those of the splits of `manifest`.
    pub(super) fn check(self, manifest: &Manifest) -> Result<(), StoreError> {
        match self {
            Self::Given(tables) => tables::check(manifest, tables),
            Self::Copied(source) => {
                let theirs = &source.manifest().splits;
                let other = manifest
                    .splits
                    .iter()
                    .find(|(name, size)| theirs.get(name) != Some(size));
                other.map_or(Ok(()), |(&split, size)| {
                    let what = format!("expected the sizes {size:?}, got {:?}", theirs.get(&split));
                    Err(StoreError::Tables { split, what })
                })
            }
        }
    }

    /// Where sequences begin, by split; `[sequences + 1]`.
    pub(super) fn offsets(self) -> BTreeMap<SplitName, Vec<u64>> {
        match self {
            Self::Given(tables) => tables
                .iter()
                .map(|table| (table.name, table.offsets.clone()))
                .collect(),
            Self::Copied(source) => source
                .splits()
                .map(|split| (split.name(), split.offsets().to_vec()))
                .collect(),
        }
    }
}

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
    pub(super) fn lay_out(&self, arrays: Arrays<'_>) -> Result<(), StoreError> {
        for layout in &self.layouts {
            let hidden_states = self.path.join(format!("{}/hidden_states", layout.split));
            fs_err::create_dir_all(&hidden_states).map_err(StoreError::io)?;
            let description = metadata::hidden_states(layout)?;
            write_if_other(&hidden_states.join("zarr.json"), &description)?;
        }
        match arrays {
            Arrays::Given(tables) => {
                for table in tables {
                    let folder = self.path.join(table.name.to_string());
                    write_if_other(&folder.join("zarr.json"), &metadata::plain_group())?;
                    table.write(&folder)?;
                }
            }
            Arrays::Copied(source) => {
                for layout in &self.layouts {
                    let split = layout.split.to_string();
                    copy_arrays(&source.path().join(&split), &self.path.join(&split))?;
                }
            }
        }
        sync_dir(&self.path).map_err(StoreError::io)
    }
}
