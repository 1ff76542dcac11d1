//! The done-list: a record for each finished part, and `done.json` for the finished store.
//!
//! Nothing counts as done because a file is there; it counts when a record says so, and records are written last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::datasets::SplitName;
use shared::files::write_atomic;

use crate::LayerSummary;
use crate::layout::metadata::pretty;
use crate::layout::part_name;
use crate::{Manifest, SplitLayout, StoreError};

/// A finished file of `hidden_states`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Length in bytes.
    pub(crate) length: u64,
    /// crc32c over the checksums of its inner chunks, see [`crate::layout::shard::file_checksum`].
    pub(crate) crc32c: String,
}

/// A finished part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) files: Vec<FileRecord>,
    /// One entry a layer.
    pub(crate) statistics: Vec<LayerSummary>,
}

/// A finished split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    /// One entry a layer, over all parts.
    pub(crate) statistics: Vec<LayerSummary>,
    pub(crate) parts: Vec<PartRecord>,
}

/// `done.json`: the store is complete, and this is what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) format_version: u32,
    /// Identity of the manifest.
    pub(crate) identity: String,
    pub(crate) splits: BTreeMap<SplitName, SplitRecord>,
}

pub(crate) fn done_path(store: &Path) -> PathBuf {
    store.join("done.json")
}

pub(crate) fn progress_folder(store: &Path) -> PathBuf {
    store.join("progress")
}

/// Path of the record of a part.
pub(crate) fn record_path(store: &Path, split: SplitName, part: u64) -> PathBuf {
    progress_folder(store).join(format!("{}.json", part_name(split, part)))
}

impl PartRecord {
    /// The record of a part, if it is there, fits the layout, and the files are there in their full length.
    pub(crate) fn read(store: &Path, layout: &SplitLayout, part: u64) -> Option<Self> {
        let record = Self::read_any(store, layout, part)?;
        let whole = |(file, expected): (u64, &FileRecord)| {
            fs_err::metadata(store.join(layout.file_path(file)))
                .is_ok_and(|there| there.len() == expected.length)
        };
        layout
            .files_of_part(part)
            .zip(&record.files)
            .all(whole)
            .then_some(record)
    }

    /// The record of a part, if it is there and fits the layout, whatever has become of the files.
    pub(crate) fn read_any(store: &Path, layout: &SplitLayout, part: u64) -> Option<Self> {
        let bytes = fs_err::read(record_path(store, layout.split, part)).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        record.fits(layout, part).then_some(record)
    }

    /// Whether the record is about a part of that shape.
    pub(crate) fn fits(&self, layout: &SplitLayout, part: u64) -> bool {
        let files = layout.files_of_part(part);
        self.statistics.len() == layout.layers
            && self.files.len() as u64 == files.end - files.start
            && files
                .zip(&self.files)
                .all(|(file, record)| layout.fits_file(file, record.length))
    }

    pub(crate) fn write(
        &self,
        store: &Path,
        split: SplitName,
        part: u64,
    ) -> Result<(), StoreError> {
        write_atomic(record_path(store, split, part), &pretty(self)).map_err(StoreError::io)
    }
}

impl SplitRecord {
    pub(crate) fn new(layers: usize, parts: Vec<PartRecord>) -> Self {
        let mut statistics = vec![LayerSummary::default(); layers];
        for part in &parts {
            for (layer, other) in statistics.iter_mut().zip(&part.statistics) {
                layer.merge(other);
            }
        }
        Self { statistics, parts }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.parts.iter().flat_map(|part| &part.files);
        files.map(|file| file.length).sum()
    }
}

impl Done {
    /// Reads `done.json`; none if the store is not complete.
    pub(crate) fn read(store: &Path) -> Result<Option<Self>, StoreError> {
        let path = done_path(store);
        match fs_err::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| StoreError::damaged(&path, format!("cannot be read: {error}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(error)),
        }
    }

    /// Whether the done-list belongs to the manifest.
    pub(crate) fn check(
        &self,
        store: &Path,
        manifest: &Manifest,
        identity: &str,
    ) -> Result<(), StoreError> {
        if self.identity != identity {
            let (expected, found) = (self.identity.clone(), identity.to_owned());
            return Err(StoreError::EditedManifest {
                path: store.to_owned(),
                expected,
                found,
            });
        }
        let fits = manifest.splits.keys().all(|&split| {
            let (Some(layout), Some(record)) =
                (SplitLayout::of(manifest, split), self.splits.get(&split))
            else {
                return false;
            };
            record.parts.len() as u64 == layout.parts()
                && record
                    .parts
                    .iter()
                    .zip(0..)
                    .all(|(part, index)| part.fits(&layout, index))
        });
        if fits {
            Ok(())
        } else {
            Err(StoreError::damaged(
                &done_path(store),
                "does not fit the manifest",
            ))
        }
    }
}

/// Parts that are done, and parts of the store.
pub(crate) fn progress(store: &Path, manifest: &Manifest) -> (u64, u64) {
    let layouts = manifest
        .splits
        .keys()
        .filter_map(|&split| SplitLayout::of(manifest, split));
    layouts.fold((0, 0), |(done, total), layout| {
        let parts =
            (0..layout.parts()).filter(|&part| PartRecord::read(store, &layout, part).is_some());
        (done + parts.count() as u64, total + layout.parts())
    })
}
