//! Writing one part: rows in any order into temporary files, which get their checksums and their names at the end.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use shared::files::sync_dir;

use crate::LayerSummary;
use crate::owner::Claim;
use crate::record::{FileRecord, PartRecord, record_path};
use crate::storage::named;
use crate::writer::{Target, is_temporary};
use crate::{Part, PartStatistics, SplitLayout, StoreError, shard};

/// Bytes of chunks that are compressed and checked side by side, and how many chunks: bounds of the memory it takes.
const SEALED_AT_ONCE: u64 = 128_000_000;
const MOST_AT_ONCE: u64 = 64;

/// Writes the rows of one part. Dropped before [`PartWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct PartWriter {
    target: Arc<Target>,
    part: Part,
    layout: SplitLayout,
    /// Which tokens of the part have been written.
    written: Vec<bool>,
    files: Vec<Draft>,
    /// The last field: the claim goes after the files.
    claim: Option<Claim>,
}

/// A file that has no name yet.
#[derive(Debug)]
struct Draft {
    number: u64,
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl PartWriter {
    /// Claims the part, sweeps what dead owners left of it, and takes the space on the disk.
    pub(crate) fn begin(
        target: Arc<Target>,
        layout: SplitLayout,
        part: &Part,
    ) -> Result<Self, StoreError> {
        let claim = Claim::take(&target.path, &part.name())?;
        let tokens = usize::try_from(part.tokens.end - part.tokens.start).unwrap_or(usize::MAX);
        if PartRecord::read(&target.path, &layout, part.index).is_some() {
            return Err(StoreError::AlreadyDone { part: part.name() });
        }
        let (written, part) = (vec![false; tokens], part.clone());
        let mut writer = Self {
            target,
            part,
            layout,
            written,
            files: Vec::new(),
            claim: Some(claim),
        };
        writer.sweep()?;
        writer.forget()?;
        for number in layout.files_of_part(writer.part.index) {
            let draft = writer.draft(number)?;
            writer.files.push(draft);
        }
        Ok(writer)
    }

    /// The part that is written.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Removes temporary files of the part's files: whoever wrote them is dead, or this process would not own them.
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

    fn draft(&self, number: u64) -> Result<Draft, StoreError> {
        let path = self.target.path.join(self.layout.file_path(number));
        let token = self.claim.as_ref().map_or("", Claim::token);
        let temporary = path.with_file_name(format!(".c.{number}.0.0.{token}.tmp"));
        let mut options = fs_err::OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(StoreError::io)?;
        let draft = Draft {
            number,
            file: file.into_file(),
            temporary,
            path,
        };
        let length = self.layout.draft_bytes(number);
        let allocated = match rustix::fs::fallocate(&draft.file, FallocateFlags::empty(), 0, length)
        {
            // File systems that cannot reserve space still can write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => draft.file.set_len(length),
            result => result.map_err(Into::into),
        };
        match allocated {
            Ok(()) => Ok(draft),
            Err(error) => {
                let _ = fs_err::remove_file(&draft.temporary);
                Err(named(&draft.path, error))
            }
        }
    }

    /// Writes consecutive rows `[n, layers, hidden]` in the store's number format, the first being token
    /// `first_token` of the split. Rows outside the part are left out: a sequence may reach over its edges.
    ///
    /// # Errors
    /// [`StoreError::Rows`] for a broken row, [`StoreError::Io`] when the disk fails.
    pub fn write(&mut self, first_token: u64, rows: &[u8]) -> Result<(), StoreError> {
        let row_bytes = self.layout.row_bytes;
        let bytes = rows.len() as u64;
        if !bytes.is_multiple_of(row_bytes) {
            return Err(self.rows_error(format!("{bytes} bytes are no whole rows of {row_bytes}")));
        }
        let start = first_token.max(self.part.tokens.start);
        let end = (first_token + bytes / row_bytes).min(self.part.tokens.end);
        for run in self.layout.runs(start..end) {
            let from = to_usize((run.tokens.start - first_token) * row_bytes);
            let to = to_usize((run.tokens.end - first_token) * row_bytes);
            let byte = run.chunk * self.layout.draft_slot_bytes() + run.bytes.start;
            let draft = &self.files[to_usize(run.file - self.files[0].number)];
            draft
                .file
                .write_all_at(&rows[from..to], byte)
                .map_err(|error| named(&draft.path, error))?;
        }
        if start < end {
            let first = self.part.tokens.start;
            self.written[to_usize(start - first)..to_usize(end - first)].fill(true);
        }
        Ok(())
    }

    /// Checksums, index, sync, names and the done record, in this order.
    ///
    /// # Errors
    /// [`StoreError::Rows`] if a token was never written, [`StoreError::OwnerLost`] if somebody took the part over,
    /// [`StoreError::Io`] when the disk fails.
    pub fn finish(mut self, statistics: &PartStatistics) -> Result<(), StoreError> {
        if let Some(missing) = self.written.iter().position(|written| !written) {
            let token = self.part.tokens.start + missing as u64;
            return Err(self.rows_error(format!("token {token} was never written")));
        }
        if statistics.layers.len() != self.layout.layers {
            let (expected, got) = (self.layout.layers, statistics.layers.len());
            return Err(self.rows_error(format!("statistics of {got} layers, expected {expected}")));
        }
        let records: Vec<FileRecord> = self
            .files
            .iter()
            .map(|draft| self.seal(draft))
            .collect::<Result<_, _>>()?;
        if let Some(claim) = &self.claim {
            claim.check()?;
        }
        for draft in &self.files {
            fs_err::rename(&draft.temporary, &draft.path).map_err(StoreError::io)?;
        }
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

    /// Compresses the chunks, each with its checksum after it, puts the index at the end, and syncs the file.
    ///
    /// Chunks become shorter where they lie: the slots of a draft are as long as a chunk can become, so that what
    /// is written never reaches a chunk that is still to be read.
    fn seal(&self, draft: &Draft) -> Result<FileRecord, StoreError> {
        let (layout, failed) = (&self.layout, |error| named(&draft.path, error));
        let present = layout.chunks_of_file(draft.number);
        let at_once = (SEALED_AT_ONCE / layout.chunk_bytes().max(1)).clamp(1, MOST_AT_ONCE);
        let (mut places, mut checksums, mut end) = (Vec::new(), Vec::new(), 0);
        for first in (0..present).step_by(to_usize(at_once)) {
            let numbers = first..present.min(first + at_once);
            let chunks: Vec<_> = numbers
                .into_par_iter()
                .map(|number| self.stored_chunk(draft, number))
                .collect::<Result<_, _>>()?;
            for (chunk, checksum) in chunks {
                // Uncompressed, it stands there already.
                let there = if layout.codec.is_none() {
                    layout.chunk_bytes()
                } else {
                    0
                };
                draft
                    .file
                    .write_all_at(&chunk[to_usize(there)..], end + there)
                    .map_err(failed)?;
                places.push(end..end + chunk.len() as u64);
                checksums.push(checksum);
                end += chunk.len() as u64;
            }
        }
        let index = shard::index(layout.file_chunks, &places);
        draft.file.write_all_at(&index, end).map_err(failed)?;
        let length = end + index.len() as u64;
        draft.file.set_len(length).map_err(failed)?;
        draft.file.sync_all().map_err(failed)?;
        let crc32c = shard::checksum_text(shard::file_checksum(checksums));
        Ok(FileRecord { length, crc32c })
    }

    /// An inner chunk as it is going to be stored, its checksum after it and by itself.
    fn stored_chunk(&self, draft: &Draft, number: u64) -> Result<(Vec<u8>, u32), StoreError> {
        let (layout, failed) = (&self.layout, |error| named(&draft.path, error));
        let mut chunk = vec![0; to_usize(layout.chunk_bytes())];
        draft
            .file
            .read_exact_at(&mut chunk, number * layout.draft_slot_bytes())
            .map_err(failed)?;
        if !layout.codec.is_none() {
            chunk = layout
                .codec
                .compress(layout.dtype, &chunk)
                .map_err(|what| self.rows_error(format!("cannot be compressed: {what}")))?;
        }
        let checksum = crc32c::crc32c(&chunk);
        chunk.extend_from_slice(&checksum.to_le_bytes());
        Ok((chunk, checksum))
    }

    fn rows_error(&self, what: String) -> StoreError {
        StoreError::Rows {
            part: self.part.name(),
            what,
        }
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        for draft in &self.files {
            // What cannot be removed is swept by the next owner of the part.
            let _ = fs_err::remove_file(&draft.temporary);
        }
    }
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
