//! Writing one part: rows in any order into temporary files, which get their checksums and their
//! names at the end.
//!
//! Files are written, synced and named side by side. Which thread does what makes no difference to
//! the bytes.

mod draft;
mod written;

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rustix::process::{Resource, getrlimit};
use shared::claim::Claim;
use shared::files::sync_dir;

use self::draft::Draft;
use crate::LayerSummary;
use crate::error::named;
use crate::layout::Run;
use crate::layout::record::{FileRecord, PartRecord, progress_folder, record_path};
use crate::write::target::Target;
use crate::write::temporary::is_temporary;
use crate::{Part, PartStatistics, SplitLayout, StoreError};

/// Files that are synced or named at once: a network file system takes its time for each, not for
/// all.
const SYNCED_AT_ONCE: usize = 16;

/// Of the files that the process may have open, one in so many stays open for a part: parts are
/// written while others are sealed, and there is more than a store to be open.
const SHARE_OF_OPEN_FILES: u64 = 4;

/// Writes the rows of one part. Dropped before [`PartWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PartWriter {
    target: Arc<Target>,
    part: Part,
    layout: SplitLayout,
    files: Vec<Draft>,
    /// The last field: the claim goes after the files.
    claim: Option<Claim>,
}

impl PartWriter {
    /// Claims the part and sweeps what dead owners left of it. A file takes its space on the disk
    /// when its first row comes.
    pub(crate) fn begin(
        target: Arc<Target>,
        layout: SplitLayout,
        part: &Part,
    ) -> Result<Self, StoreError> {
        let claim = Claim::take(&progress_folder(&target.path), &part.name())
            .map_err(|error| StoreError::of_part(&part.name(), error))?;
        if PartRecord::read(&target.path, &layout, part.index).is_some() {
            return Err(StoreError::AlreadyDone { part: part.name() });
        }
        let open = files_open();
        let drafts = layout.files_of_part(part.index).zip(0..);
        let drafts = drafts.map(|(number, place)| {
            let stays_open = place < open;
            Draft::new(&target.path, layout, number, claim.token(), stays_open)
        });
        let writer = Self {
            files: drafts.collect(),
            target,
            part: part.clone(),
            layout,
            claim: Some(claim),
        };
        writer.sweep()?;
        writer.forget()?;
        Ok(writer)
    }

    /// The part that is written.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Removes temporary files of the part's files: whoever wrote them is dead, or this process
    /// would not own them.
    fn sweep(&self) -> Result<(), StoreError> {
        let folder = self
            .target
            .path
            .join(format!("{}/hidden_states", self.part.split));
        let files = self.layout.files_of_part(self.part.index);
        for entry in fs_err::read_dir(&folder).map_err(StoreError::io)? {
            let entry = entry.map_err(StoreError::io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if temporary_of(&name).is_some_and(|file| files.contains(&file)) {
                fs_err::remove_file(entry.path()).map_err(StoreError::io)?;
            }
        }
        Ok(())
    }

    /// Removes a record that does not hold any more: its files are gone or have another length.
    fn forget(&self) -> Result<(), StoreError> {
        match fs_err::remove_file(record_path(
            &self.target.path,
            self.part.split,
            self.part.index,
        )) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes consecutive rows `[n, layers, hidden]` in the store's number format, the first being
    /// token `first_token` of the split. Rows outside the part are left out: a sequence may reach
    /// over its edges.
    ///
    /// # Errors
    /// [`StoreError::Rows`] for a broken row, [`StoreError::Io`] when the disk fails: a full one does
    /// with the first row of a file, which takes the space of all.
    pub fn write(&mut self, first_token: u64, rows: &[u8]) -> Result<(), StoreError> {
        let row_bytes = self.layout.row_bytes;
        let bytes = rows.len() as u64;
        if !bytes.is_multiple_of(row_bytes) {
            return Err(self.rows_error(format!("{bytes} bytes are no whole rows of {row_bytes}")));
        }
        for (file, run) in self.runs(first_token, rows) {
            self.files[file].write(&[run])?;
        }
        Ok(())
    }

    /// Writes pieces of consecutive rows, each given by its first token and the number of its
    /// tokens; `rows` are those of all pieces in that order, `[tokens, layers, hidden]`. Files are
    /// written side by side, by the threads of the pool that this is called in ([`rayon`]'s global
    /// one outside of any).
    ///
    /// # Errors
    /// As [`Self::write`]; [`StoreError::Rows`] too if the pieces have more or fewer rows than
    /// there are.
    pub fn write_pieces(&mut self, pieces: &[(u64, usize)], rows: &[u8]) -> Result<(), StoreError> {
        let row_bytes = to_usize(self.layout.row_bytes);
        let bytes = pieces.iter().try_fold(0_usize, |bytes, &(_, tokens)| {
            bytes.checked_add(tokens.checked_mul(row_bytes)?)
        });
        if bytes != Some(rows.len()) {
            let bytes = rows.len();
            let what = format!("{bytes} bytes are not the pieces' rows of {row_bytes}");
            return Err(self.rows_error(what));
        }
        let mut runs: Vec<Vec<(Run, &[u8])>> = vec![Vec::new(); self.files.len()];
        let mut rest = rows;
        for &(first_token, tokens) in pieces {
            let (rows, others) = rest.split_at(tokens * row_bytes);
            rest = others;
            for (file, run) in self.runs(first_token, rows) {
                runs[file].push(run);
            }
        }
        let files = self.files.par_iter_mut().zip(&runs).with_max_len(1);
        files.try_for_each(|(file, runs)| file.write(runs))
    }

    /// Whole rows cut where chunks end, each with the place of its file in the part.
    fn runs<'a>(
        &self,
        first_token: u64,
        rows: &'a [u8],
    ) -> impl Iterator<Item = (usize, (Run, &'a [u8]))> + use<'a> {
        let row_bytes = self.layout.row_bytes;
        let first_file = self.layout.files_of_part(self.part.index).start;
        let start = first_token.max(self.part.tokens.start);
        let end = (first_token + rows.len() as u64 / row_bytes).min(self.part.tokens.end);
        self.layout.runs(start..end).map(move |run| {
            let from = to_usize((run.tokens.start - first_token) * row_bytes);
            let to = to_usize((run.tokens.end - first_token) * row_bytes);
            (to_usize(run.file - first_file), (run, &rows[from..to]))
        })
    }

    /// Checksums, index, sync, names and the done record, in this order.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if a token was never written, [`StoreError::OwnerLost`] if somebody
    /// took the part over, [`StoreError::Io`] when the disk fails.
    pub fn finish(mut self, statistics: &PartStatistics) -> Result<(), StoreError> {
        if let Some(token) = self.files.iter().find_map(Draft::missing) {
            return Err(self.rows_error(format!("token {token} was never written")));
        }
        if statistics.layers.len() != self.layout.layers {
            let (expected, got) = (self.layout.layers, statistics.layers.len());
            return Err(self.rows_error(format!("statistics of {got} layers, expected {expected}")));
        }
        let records: Vec<FileRecord> = self
            .files
            .iter_mut()
            .map(Draft::seal)
            .collect::<Result<_, _>>()?;
        side_by_side(&mut self.files, Draft::sync)?;
        if let Some(claim) = &self.claim {
            self.check(claim)?;
        }
        side_by_side(&mut self.files, Draft::name)?;
        sync_dir(
            self.target
                .path
                .join(format!("{}/hidden_states", self.part.split)),
        )
        .map_err(StoreError::io)?;
        self.files.clear();
        let statistics = statistics.layers.iter().map(LayerSummary::from).collect();
        PartRecord {
            files: records,
            statistics,
        }
        .write(&self.target.path, self.part.split, self.part.index)?;
        if let Some(claim) = self.claim.take() {
            claim.finish();
        }
        Ok(())
    }

    /// An error if somebody else has taken the part over, or the store is not there any more.
    fn check(&self, claim: &Claim) -> Result<(), StoreError> {
        if claim.is_held() {
            return Ok(());
        }
        let store = &self.target.path;
        if !store.join("zarr.json").exists() {
            let what = "is not there any more: was it moved or deleted, or its disk unmounted, while it was written?";
            return Err(named(store, Error::new(ErrorKind::NotFound, what)));
        }
        Err(StoreError::OwnerLost {
            part: self.part.name(),
        })
    }

    fn rows_error(&self, what: String) -> StoreError {
        StoreError::Rows {
            part: self.part.name(),
            what,
        }
    }
}

/// How many files of a part may stay open.
fn files_open() -> u64 {
    let open = getrlimit(Resource::Nofile).current;
    open.map_or(u64::MAX, |open| (open / SHARE_OF_OPEN_FILES).max(1))
}

/// Does something that waits for the disk to all files, several at once, on threads of their own:
/// those that compute have better to do. Where there are no threads to be had, the thread that
/// calls does it all.
fn side_by_side(
    files: &mut [Draft],
    work: impl Fn(&mut Draft) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    let helpers = files.len().min(SYNCED_AT_ONCE).saturating_sub(1);
    let files = Mutex::new(files.iter_mut());
    let next = || files.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(file) = next() {
            work(file)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers)
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut result = work();
        for helper in helpers {
            match helper.join() {
                Ok(theirs) => result = result.and(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

/// The number of the file that a temporary name is for: `.c.3.0.0.<token>.tmp`.
fn temporary_of(name: &str) -> Option<u64> {
    let (number, _) = name.strip_prefix(".c.")?.split_once('.')?;
    is_temporary(name).then(|| number.parse().ok())?
}

/// Offsets inside a part fit the address space: its rows came through it.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
