//! The store that an extraction writes: whether it is there already, finished or begun, and opening
//! it to go on.

use std::path::Path;

use cache::{FieldDifference, Io, Manifest, OpenMode, Opened, Store, StoreError, StoreWriter};

use super::error::ExtractError;
use super::extraction::Extraction;
use super::identity::{Computed, Identity};
use crate::encoder::{Device, Provider};
use crate::plan::Tokens;

/// The manifest of the store at `path` that was begun, if it is to be finished.
#[must_use]
pub fn begun(path: &Path) -> Option<Manifest> {
    let found = cache::inspect::inspect(path).ok()?;
    // One without a part is begun anew if anything else is wanted; but on a GPU, where sizes are
    // chosen, another process may have begun it just now.
    let on_gpu = found.manifest.provider != Provider::Cpu.to_string();
    let is_kept = found.complete || found.parts_done > 0 || on_gpu;
    is_kept.then_some(found.manifest)
}

/// Whether the store at `path` is complete and of this identity, and, if so, which versions made it
/// that are not those of this program.
///
/// # Errors
/// [`StoreError::Identity`] when a complete store of another identity is there.
pub fn is_finished(
    path: &Path,
    identity: &Identity,
    extraction: &Extraction,
) -> Result<Option<Vec<FieldDifference>>, ExtractError> {
    let store = match Store::open(path, Io::Read) {
        Ok(store) => store,
        // What is not finished is compared when it is opened for writing.
        Err(StoreError::NoStore { .. } | StoreError::Incomplete { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stored = store.manifest();
    let wanted = identity.manifest(as_stored(stored, extraction));
    let is_version = |difference: &FieldDifference| difference.field.starts_with("versions.");
    let (versions, differences): (Vec<_>, Vec<_>) = stored
        .differences(&wanted)
        .into_iter()
        .partition(is_version);
    if differences.is_empty() {
        return Ok(Some(versions));
    }
    let path = path.to_owned();
    Err(StoreError::Identity { path, differences }.into())
}

/// What the extraction would compute, as far as it is known before it is: sizes follow from what is
/// compared anyway, and what was not asked for is taken as it is.
fn as_stored(stored: &Manifest, extraction: &Extraction) -> Computed {
    let provider = match extraction.model.options.device {
        Device::Auto => stored.provider.clone(),
        Device::Cpu => Provider::Cpu.to_string(),
        Device::Cuda(_) => Provider::Cuda.to_string(),
    };
    let part_files = if extraction.format.part_bytes.is_some() {
        let limits = extraction.format.byte_limits();
        limits.units(extraction.row_bytes()).part_files
    } else {
        stored.part_files
    };
    Computed {
        splits: stored.splits.clone(),
        long_sentences: stored.long_sentences,
        provider,
        max_batch_tokens: extraction
            .max_batch_tokens
            .unwrap_or(stored.max_batch_tokens),
        part_files,
    }
}

/// Opens the store to go on with it, or to begin it. One of another identity is an error, but not
/// if nothing of it is done: that is what a run leaves whose options turned out wrong.
///
/// # Errors
/// [`StoreError::Identity`], or what the disk refuses.
pub fn open(
    path: &Path,
    manifest: &Manifest,
    tokens: &Tokens,
    overwrite: bool,
) -> Result<Opened, ExtractError> {
    let open = |mode| StoreWriter::open(path, manifest, &tokens.tables, mode);
    if overwrite {
        return Ok(open(OpenMode::Overwrite)?);
    }
    match open(OpenMode::Resume) {
        Err(error @ StoreError::Identity { .. }) => {
            let found = cache::inspect::inspect(path)?;
            if found.complete || found.parts_done > 0 {
                return Err(error.into());
            }
            Ok(open(OpenMode::Overwrite)?)
        }
        opened => Ok(opened?),
    }
}

/// Moves a store that failed its self-check to a name beside it, so that nobody trains on it, and
/// says so.
#[must_use]
pub fn move_aside(path: &Path) -> String {
    let rejected = path.with_extension("zarr.rejected");
    match rename_over(path, &rejected) {
        Ok(()) => format!(
            "the store was moved to {}: do not train on it",
            rejected.display()
        ),
        Err(error) => format!("do not train on the store; moving it away failed: {error}"),
    }
}

/// Renames a folder, in the place of one that may be there from before.
fn rename_over(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs_err::remove_dir_all(to)?;
    }
    fs_err::rename(from, to)
}
