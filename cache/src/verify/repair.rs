//! Deleting what is damaged, in an order in which a kill leaves at worst an incomplete store.

use std::collections::BTreeSet;
use std::path::Path;

use shared::files::sync_dir;

use super::{DonePart, Problem, ProblemKind};
use crate::StoreError;
use crate::layout::column::{COLUMN_FILE, ROWS_FILE};
use crate::layout::record::{done_path, progress_folder, record_path};
use crate::write::opening::Opening;
use crate::write::temporary::remove_file;

/// Turns the store into an incomplete one in which the sound parts are done, then deletes the files with problems.
pub(super) fn repair(
    store: &Path,
    complete: bool,
    parts: &[DonePart],
    problems: &[Problem],
) -> Result<(), StoreError> {
    let opening = Opening::take(store)?;
    opening.check_unused(store)?;
    let damaged: BTreeSet<_> = problems.iter().filter_map(|problem| problem.part).collect();
    // Should an earlier run have left a record of a damaged part behind, it must not count once `done.json` is gone.
    for &(split, part) in &damaged {
        remove_file(&record_path(store, split, part))?;
    }
    let only_orphans = problems
        .iter()
        .all(|problem| problem.kind == ProblemKind::Orphan);
    if complete && !only_orphans {
        fs_err::create_dir_all(progress_folder(store)).map_err(StoreError::io)?;
        for part in parts {
            if !damaged.contains(&(part.layout.split, part.index)) {
                part.record.write(store, part.layout.split, part.index)?;
            }
        }
        remove_file(&done_path(store))?;
        sync_dir(store).map_err(StoreError::io)?;
    }
    for problem in problems
        .iter()
        .filter(|problem| problem.kind != ProblemKind::Edited)
    {
        let path = store.join(&problem.path);
        remove_file(&path)?;
        // Data and metadata of a small array go together: one vouches for the other.
        if path
            .file_name()
            .is_some_and(|name| name == COLUMN_FILE || name == ROWS_FILE)
        {
            remove_file(&path.with_file_name("zarr.json"))?;
        }
    }
    sync_dir(store).map_err(StoreError::io)?;
    opening.finish();
    Ok(())
}
