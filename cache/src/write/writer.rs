//! Filling a store: which parts are missing, and what makes it complete.
//!
//! Manifest first, then the small arrays, then the hidden states part by part, then `done.json`. Any number of
//! processes may do this at once on one store, and any of them may be killed at any time.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use shared::claim::{Claim, ClaimError};
use shared::datasets::SplitName;
use shared::files::{sync_dir, write_atomic};

use super::target::{Arrays, Target};
use super::temporary::{is_temporary, remove_file, remove_folder};
use crate::layout::metadata;
use crate::layout::record::{Done, PartRecord, SplitRecord, done_path, progress, progress_folder};
use crate::write::opening::{Opening, is_of_opening};
use crate::{
    FORMAT_VERSION, Manifest, Part, PartWriter, SplitLayout, SplitTables, Store, StoreError,
};

/// What to do with a store that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Go on with it, if its manifest is the wanted one.
    Resume,
    /// Delete it and start anew.
    Overwrite,
}

/// A store that is opened for writing.
#[derive(Debug)]
pub enum Opened {
    /// It is complete: nothing is to be done.
    Complete(Summary),
    /// Parts are missing.
    Writer(StoreWriter),
}

/// A complete store in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// The store.
    pub path: PathBuf,
    /// Its identity.
    pub identity: String,
    /// Tokens of all splits.
    pub tokens: u64,
    /// Bytes of hidden states, without compression.
    pub bytes: u64,
    /// Parts.
    pub parts: u64,
}

/// Gives out the parts of a store that are to be written.
#[derive(Debug)]
pub struct StoreWriter {
    target: Arc<Target>,
    offsets: BTreeMap<SplitName, Vec<u64>>,
    /// Says that this process writes the store, until it is complete.
    at_work: Mutex<Option<Claim>>,
}

impl StoreWriter {
    /// Opens a store for writing: makes it, or goes on with it.
    ///
    /// ```
    /// use cache::{OpenMode, Opened, PartStatistics, StoreWriter};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("store");
    /// # let testing::fixture::Fixture { manifest, tables } =
    /// #     testing::fixture::Fixture::usual(cache::StoreDtype::F16);
    /// # let row = vec![0; manifest.row_bytes()];
    /// let opened = StoreWriter::open(&path, &manifest, &tables, OpenMode::Resume)?;
    /// if let Opened::Writer(writer) = opened {
    ///     for part in writer.pending() {
    ///         let mut writing = writer.begin(&part)?;
    ///         for token in part.tokens.clone() {
    ///             writing.write(token, &row)?; // one row or many, [tokens, layers, hidden]
    ///         }
    ///         writing.finish(&PartStatistics::new(manifest.layers.len()))?;
    ///     }
    ///     assert!(writer.complete()?);
    /// }
    /// # cache::Store::open(&path, cache::Io::Auto)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Identity`] with every differing field if the store holds other activations,
    /// [`StoreError::Busy`] if it is to be overwritten while somebody writes it, [`StoreError::Occupied`] if
    /// something else is at `path`, [`StoreError::Tables`] if tables and manifest do not fit, [`StoreError::Io`].
    pub fn open(
        path: &Path,
        manifest: &Manifest,
        tables: &[SplitTables],
        mode: OpenMode,
    ) -> Result<Opened, StoreError> {
        Self::open_with(path, manifest, Arrays::Given(tables), mode)
    }

    /// The same with the small arrays of another store, labels of all tasks and arrays that this program does not know
    /// included, for hidden states that are made of its own.
    ///
    /// # Errors
    /// As [`StoreWriter::open`], and [`StoreError::Damaged`] for an array of `source`.
    pub fn open_copy(
        path: &Path,
        manifest: &Manifest,
        source: &Store,
        mode: OpenMode,
    ) -> Result<Opened, StoreError> {
        Self::open_with(path, manifest, Arrays::Copied(source), mode)
    }

    fn open_with(
        path: &Path,
        manifest: &Manifest,
        arrays: Arrays<'_>,
        mode: OpenMode,
    ) -> Result<Opened, StoreError> {
        arrays.check(manifest)?;
        fs_err::create_dir_all(path).map_err(StoreError::io)?;
        // A complete store may lie where nothing can be written, a claim neither.
        if holds_store(path)? && mode == OpenMode::Resume && is_complete(path, manifest)? {
            return Ok(Opened::Complete(Summary::new(path, manifest)));
        }
        let opening = Opening::take(path)?;
        // Anew: another writer may have been faster.
        if holds_store(path)? {
            if mode == OpenMode::Overwrite {
                opening.check_unused(path)?;
                clear(path)?;
            } else if is_complete(path, manifest)? {
                opening.finish();
                return Ok(Opened::Complete(Summary::new(path, manifest)));
            }
        }
        let layouts = manifest
            .splits
            .keys()
            .filter_map(|&split| SplitLayout::of(manifest, split))
            .collect();
        let target = Arc::new(Target {
            path: path.to_owned(),
            manifest: manifest.clone(),
            layouts,
        });
        target.begin()?;
        let at_work = opening.join(path)?;
        opening.finish();
        match target.lay_out(arrays) {
            // Other writers have completed it in the meantime, and swept what looked left over.
            Err(_) if done_path(path).exists() => {
                return Ok(Opened::Complete(Summary::new(path, manifest)));
            }
            result => result?,
        }
        Ok(Opened::Writer(Self {
            target,
            offsets: arrays.offsets(),
            at_work: Mutex::new(Some(at_work)),
        }))
    }

    /// Removes what writers that were killed at the very end have left in a complete store; nothing, usually.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk fails.
    pub fn tidy(store: &Store) -> Result<(), StoreError> {
        tidy(store.path(), store.manifest())
    }

    /// All parts of the store, done or not, in order.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let layouts = self.target.layouts.iter();
        layouts
            .flat_map(|layout| {
                let offsets = self
                    .offsets
                    .get(&layout.split)
                    .map_or(&[][..], Vec::as_slice);
                (0..layout.parts()).map(|index| layout.part(index, offsets))
            })
            .collect()
    }

    /// The parts that are not done: no record, or a record whose files are not there in full length.
    #[must_use]
    pub fn pending(&self) -> Vec<Part> {
        if done_path(&self.target.path).exists() {
            return Vec::new();
        }
        self.parts()
            .into_iter()
            .filter(|part| !self.is_done(part))
            .collect()
    }

    /// Whether a part is done, by this process or another.
    #[must_use]
    pub fn is_done(&self, part: &Part) -> bool {
        let record = |layout| PartRecord::read(&self.target.path, layout, part.index).is_some();
        self.layout(part.split).is_some_and(record) || done_path(&self.target.path).exists()
    }

    /// Begins a part: claims it. Its files take their space on the disk as rows come.
    ///
    /// # Errors
    /// [`StoreError::Owned`] if another process writes it, [`StoreError::AlreadyDone`] if another process has
    /// finished it, [`StoreError::Io`].
    pub fn begin(&self, part: &Part) -> Result<PartWriter, StoreError> {
        let Some(layout) = self.layout(part.split) else {
            return Err(StoreError::Rows {
                part: part.name(),
                what: "the store has no such split".to_owned(),
            });
        };
        let already_done = || StoreError::AlreadyDone { part: part.name() };
        if self.is_done(part) {
            return Err(already_done());
        }
        PartWriter::begin(Arc::clone(&self.target), *layout, part).map_err(|error| {
            // Completing a store takes away the folder of the claims.
            if done_path(&self.target.path).exists() {
                already_done()
            } else {
                error
            }
        })
    }

    /// Completes the store if all parts are done; whichever process is last does it. Returns whether it is complete:
    /// not while parts are missing, or while another process is just completing it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk fails.
    pub fn complete(&self) -> Result<bool, StoreError> {
        let path = &self.target.path;
        if !done_path(path).exists() {
            let claimed = self
                .records()
                .map(|splits| (splits, Claim::take(&progress_folder(path), "done")));
            let (splits, _claim) = match claimed {
                Some((splits, Ok(claim))) => (splits, claim),
                Some((_, Err(ClaimError::Io(error)))) if !done_path(path).exists() => {
                    return Err(StoreError::Io(error));
                }
                // Parts are missing, or somebody else completes it or has just done so.
                _ => return Ok(done_path(path).exists()),
            };
            let identity = self.target.manifest.identity();
            let done = Done {
                format_version: FORMAT_VERSION,
                identity,
                splits,
            };
            match write_atomic(done_path(path), &metadata::pretty(&done)) {
                // Who was faster has swept our file away with the other temporary ones; theirs says the same.
                Err(_) if done_path(path).exists() => {}
                written => written.map_err(StoreError::io)?,
            }
        }
        // Its file would be in the way of deleting its folder on a network file system.
        drop(
            self.at_work
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        tidy(path, &self.target.manifest)?;
        Ok(true)
    }

    /// Parts that are done, and parts of the store.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        progress(&self.target.path, &self.target.manifest)
    }

    /// The complete store in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::new(&self.target.path, &self.target.manifest)
    }

    /// The records of all parts, none if one is missing.
    fn records(&self) -> Option<BTreeMap<SplitName, SplitRecord>> {
        let splits = self.target.layouts.iter().map(|layout| {
            let parts =
                (0..layout.parts()).map(|part| PartRecord::read(&self.target.path, layout, part));
            Some((
                layout.split,
                SplitRecord::new(layout.layers, parts.collect::<Option<_>>()?),
            ))
        });
        splits.collect()
    }

    fn layout(&self, split: SplitName) -> Option<&SplitLayout> {
        self.target
            .layouts
            .iter()
            .find(|layout| layout.split == split)
    }
}

impl Summary {
    fn new(path: &Path, manifest: &Manifest) -> Self {
        let layouts: Vec<_> = manifest
            .splits
            .keys()
            .filter_map(|&split| SplitLayout::of(manifest, split))
            .collect();
        Self {
            path: path.to_owned(),
            identity: manifest.identity(),
            tokens: layouts.iter().map(|layout| layout.tokens).sum(),
            bytes: layouts.iter().map(SplitLayout::bytes).sum(),
            parts: layouts.iter().map(SplitLayout::parts).sum(),
        }
    }
}

/// Whether there is a store, or could be one.
///
/// # Errors
/// [`StoreError::Occupied`] where something else is.
fn holds_store(path: &Path) -> Result<bool, StoreError> {
    // In this order: between the two, another writer may put its manifest there.
    let vacant = is_vacant(path)?;
    let is_store = metadata::read_attribute(&path.join("zarr.json"))?.is_some();
    if !is_store && !vacant {
        return Err(StoreError::Occupied {
            path: path.to_owned(),
        });
    }
    Ok(is_store)
}

/// Whether the store is complete, and tidied up.
///
/// # Errors
/// [`StoreError::Identity`] where it is another one than `manifest` says.
fn is_complete(path: &Path, manifest: &Manifest) -> Result<bool, StoreError> {
    let (stored, identity) = metadata::read_manifest(path)?;
    let differences = stored.differences(manifest);
    if !differences.is_empty() {
        return Err(StoreError::Identity {
            path: path.to_owned(),
            differences,
        });
    }
    let Some(done) = Done::read(path)? else {
        return Ok(false);
    };
    done.check(path, &stored, &identity)?;
    tidy(path, &stored)?;
    Ok(true)
}

/// Whether a folder holds nothing, or only what a killed writer left of its first file.
fn is_vacant(path: &Path) -> Result<bool, StoreError> {
    for entry in fs_err::read_dir(path).map_err(StoreError::io)? {
        let name = entry.map_err(StoreError::io)?.file_name();
        let name = name.to_string_lossy();
        if !is_temporary(&name) && !is_of_opening(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes a store: `done.json` first, so that a kill cannot leave a mixture that looks complete, and the manifest
/// last, so that what is left can still be told for a store.
fn clear(path: &Path) -> Result<(), StoreError> {
    remove_file(&done_path(path))?;
    sync_dir(path).map_err(StoreError::io)?;
    remove_folder(&progress_folder(path))?;
    for split in SplitName::ALL {
        remove_folder(&path.join(split.to_string()))?;
    }
    remove_file(&path.join("zarr.json"))?;
    sync_dir(path).map_err(StoreError::io)
}

/// Removes what killed writers have left in a complete store: temporary files, then `progress/`, whose absence says
/// that there is nothing to do.
fn tidy(path: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let progress = progress_folder(path);
    if !progress.exists() {
        return Ok(());
    }
    let mut folders = vec![path.to_owned()];
    folders.extend(
        manifest
            .splits
            .keys()
            .map(|split| path.join(split.to_string())),
    );
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).map_err(StoreError::io)? {
            let entry = entry.map_err(StoreError::io)?;
            let is_folder = entry.file_type().map_err(StoreError::io)?.is_dir();
            if is_folder && folder != path {
                folders.push(entry.path());
            } else if !is_folder && is_temporary(&entry.file_name().to_string_lossy()) {
                remove_file(&entry.path())?;
            }
        }
    }
    // Should another process put a claim there at this moment, it will tidy up itself.
    match remove_folder(&progress) {
        Err(StoreError::Io(error)) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result,
    }?;
    sync_dir(path).map_err(StoreError::io)
}
