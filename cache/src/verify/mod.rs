//! Checking every byte of a store against its done-list, and deleting what is damaged, so that the next extraction
//! re-makes just that.

mod arrays;
mod files;
mod repair;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use shared::datasets::SplitName;

use crate::layout::metadata;
use crate::layout::record::{Done, PartRecord, progress_folder};
use crate::write::temporary::is_temporary;
use crate::{Manifest, SplitLayout, StoreError};

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProblemKind {
    /// It is not there.
    Missing,
    /// Length, checksum or content are not those of the done-list.
    Damaged,
    /// The manifest was changed after the store was finished.
    Edited,
    /// Nothing knows it.
    Orphan,
}

/// Something wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the store.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: ProblemKind,
    /// The same in words.
    pub detail: String,
    /// Part of the hidden states that has to be made again.
    #[serde(skip)]
    part: Option<(SplitName, u64)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.detail)
    }
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The store.
    pub path: PathBuf,
    /// Whether it was complete; of an incomplete store the finished parts are checked.
    pub complete: bool,
    /// Parts that were done.
    pub parts_done: u64,
    /// Parts of the store.
    pub parts: u64,
    /// Bytes of hidden states that were read.
    pub bytes: u64,
    /// Everything that is wrong, sorted by path.
    pub problems: Vec<Problem>,
    /// Whether what is damaged was deleted.
    pub repaired: bool,
}

/// A finished part.
struct DonePart {
    layout: SplitLayout,
    index: u64,
    record: PartRecord,
}

/// Bytes checked so far, and in all.
struct Meter<'a> {
    checked: AtomicU64,
    total: u64,
    report: &'a (dyn Fn(u64, u64) + Sync),
}

impl Meter<'_> {
    fn add(&self, bytes: u64) {
        let before = self.checked.fetch_add(bytes, Ordering::Relaxed);
        (self.report)(before + bytes, self.total);
    }
}

/// Reads a whole store and says what is wrong with it: lengths, checksums of every chunk, indices, statistics, small
/// arrays, metadata, files that are missing and files that nobody knows. `progress` is called with the bytes checked
/// so far and in all, from several threads.
///
/// With `repair`, what is damaged and what is unknown is deleted and the store is incomplete until the next
/// extraction. An edited manifest is not repaired.
///
/// # Errors
/// [`StoreError::NoStore`], [`StoreError::NewerVersion`], a manifest that cannot be read, [`StoreError::Io`];
/// [`StoreError::Owned`] if it is to be repaired while somebody writes it.
pub fn verify(
    path: &Path,
    repair: bool,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, StoreError> {
    let (manifest, identity) = metadata::read_manifest(path)?;
    let mut problems = Vec::new();
    let (complete, done) = match Done::read(path).and_then(|done| match done {
        Some(done) => done.check(path, &manifest, &identity).map(|()| Some(done)),
        None => Ok(None),
    }) {
        Ok(done) => (done.is_some(), done),
        Err(error @ StoreError::EditedManifest { .. }) => {
            problems.push(Problem::new(
                "zarr.json",
                ProblemKind::Edited,
                error.to_string(),
            ));
            return Ok(Report::new(path, true, (0, 0), 0, problems));
        }
        Err(StoreError::Damaged { what, .. }) => {
            problems.push(Problem::new("done.json", ProblemKind::Damaged, what));
            (true, None)
        }
        Err(error) => return Err(error),
    };
    let (parts, total) = done_parts(path, &manifest, complete, done.as_ref());
    let (bytes, hidden) = files::check(path, &manifest, &parts, progress)?;
    problems.extend(hidden);
    problems.extend(arrays::check(path, &manifest)?);
    problems.extend(orphans(path, &manifest, complete)?);
    problems.sort_by(|one, other| one.path.cmp(&other.path));
    let mut report = Report::new(path, complete, (parts.len() as u64, total), bytes, problems);
    if repair && !report.problems.is_empty() {
        repair::repair(path, complete, &parts, &report.problems)?;
        report.repaired = true;
    }
    Ok(report)
}

impl Report {
    fn new(
        path: &Path,
        complete: bool,
        done: (u64, u64),
        bytes: u64,
        problems: Vec<Problem>,
    ) -> Self {
        let path = path.to_owned();
        Self {
            path,
            complete,
            parts_done: done.0,
            parts: done.1,
            bytes,
            problems,
            repaired: false,
        }
    }
}

impl Problem {
    fn new(path: impl Into<PathBuf>, kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind,
            detail: detail.into(),
            part: None,
        }
    }
}

/// The finished parts, from `done.json` or from the records; and the number of all parts.
fn done_parts(
    path: &Path,
    manifest: &Manifest,
    complete: bool,
    done: Option<&Done>,
) -> (Vec<DonePart>, u64) {
    let (mut parts, mut total) = (Vec::new(), 0);
    for layout in manifest
        .splits
        .keys()
        .filter_map(|&split| SplitLayout::of(manifest, split))
    {
        total += layout.parts();
        for index in 0..layout.parts() {
            let record = if complete {
                let split = done.and_then(|done| done.splits.get(&layout.split));
                split
                    .and_then(|split| split.parts.get(usize::try_from(index).ok()?))
                    .cloned()
            } else {
                PartRecord::read_any(path, &layout, index)
            };
            parts.extend(record.map(|record| DonePart {
                layout,
                index,
                record,
            }));
        }
    }
    (parts, total)
}

/// Files that nothing knows. While a store is being written, its temporary files and `progress/` belong to it.
fn orphans(path: &Path, manifest: &Manifest, complete: bool) -> Result<Vec<Problem>, StoreError> {
    let mut known: BTreeSet<PathBuf> = ["zarr.json", "done.json"].map(PathBuf::from).into();
    for layout in manifest
        .splits
        .keys()
        .filter_map(|&split| SplitLayout::of(manifest, split))
    {
        known.extend((0..layout.files()).map(|file| layout.file_path(file)));
        known.extend(arrays::known_files(path, &layout)?);
    }
    let mut problems = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).map_err(StoreError::io)? {
            let entry = entry.map_err(StoreError::io)?;
            let (full, name) = (entry.path(), entry.file_name());
            let ours = !complete
                && (is_temporary(&name.to_string_lossy()) || full == progress_folder(path));
            let relative = full.strip_prefix(path).unwrap_or(&full).to_owned();
            if entry.file_type().map_err(StoreError::io)?.is_dir() {
                if !ours {
                    folders.push(full);
                }
            } else if !ours && !known.contains(&relative) {
                problems.push(Problem::new(
                    relative,
                    ProblemKind::Orphan,
                    "no file of this store",
                ));
            }
        }
    }
    Ok(problems)
}
