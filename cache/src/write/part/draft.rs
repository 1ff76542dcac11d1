//! A file of a part before it has its name: made when its first row comes, sealed when its last one
//! is there.
//!
//! A file is written by one thread at a time, as the kernel lets only one write to it anyway; files
//! of a part are written side by side. Rows get their checksum while they are at hand. Only chunks
//! that are compressed are read again.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::to_usize;
use super::written::Written;
use crate::error::named;
use crate::layout::record::FileRecord;
use crate::layout::shard;
use crate::layout::{Run, part_name};
use crate::{SplitLayout, StoreError};

/// Bytes that are checked and then written: they are still in the CPU's cache the second time.
const AT_ONCE: usize = 1 << 18;

/// Bytes of chunks that are compressed and checked side by side, and how many chunks: bounds of the
/// memory it takes.
const SEALED_AT_ONCE: u64 = 128_000_000;
const MOST_AT_ONCE: u64 = 64;

/// A file that has no name yet.
#[derive(Debug)]
pub(super) struct Draft {
    layout: SplitLayout,
    number: u64,
    temporary: PathBuf,
    path: PathBuf,
    /// Whether the temporary file has been made.
    made: bool,
    /// Whether the file stays open between writes.
    stays_open: bool,
    file: Option<File>,
    chunks: Vec<Written>,
}

/// A chunk as it is stored, its checksum after it; without the bytes that stand in the file
/// already.
struct Stored {
    bytes: Vec<u8>,
    length: u64,
    checksum: u32,
}

impl Draft {
    /// File `number` of the store at `store`. `token` makes its temporary name one that nobody else
    /// takes.
    pub(super) fn new(
        store: &Path,
        layout: SplitLayout,
        number: u64,
        token: &str,
        stays_open: bool,
    ) -> Self {
        let path = store.join(layout.file_path(number));
        let chunks = (0..layout.chunks_of_file(number)).map(|_| Written::new(layout.row_bytes));
        Self {
            layout,
            number,
            temporary: path.with_file_name(format!(".c.{number}.0.0.{token}.tmp")),
            path,
            made: false,
            stays_open,
            file: None,
            chunks: chunks.collect(),
        }
    }

    /// The first token of the file that has not been written.
    pub(super) fn missing(&self) -> Option<u64> {
        let tokens = self.layout.tokens_of_file(self.number);
        let chunks = self.chunks.iter().zip(0..);
        let mut missing = chunks.filter_map(|(written, chunk)| {
            let first = tokens.start + chunk * self.layout.chunk_tokens;
            let rows = (tokens.end - first).min(self.layout.chunk_tokens);
            written.missing(rows).map(|row| first + row)
        });
        missing.next()
    }

    /// Writes runs of rows of this file.
    pub(super) fn write(&mut self, runs: &[(Run, &[u8])]) -> Result<(), StoreError> {
        if runs.is_empty() {
            return Ok(());
        }
        let file = self.open()?;
        for (run, rows) in runs {
            self.write_run(&file, run, rows)?;
        }
        self.close(file)
    }

    fn write_run(&mut self, file: &File, run: &Run, rows: &[u8]) -> Result<(), StoreError> {
        let layout = self.layout;
        let mut checksum = layout.codec.is_none().then_some(0);
        let mut byte = run.chunk * layout.draft_slot_bytes() + run.bytes.start;
        for bytes in rows.chunks(AT_ONCE) {
            checksum = checksum.map(|checksum| crc32c::crc32c_append(checksum, bytes));
            file.write_all_at(bytes, byte)
                .map_err(|error| named(&self.path, error))?;
            byte += bytes.len() as u64;
        }
        let Range { start, end } = run.bytes;
        let rows = start / layout.row_bytes..end / layout.row_bytes;
        self.chunks[to_usize(run.chunk)].add(rows, checksum);
        Ok(())
    }

    /// The file, which is made if it is not there yet.
    fn open(&mut self) -> Result<File, StoreError> {
        match self.file.take() {
            Some(file) => Ok(file),
            None if self.made => self.reopen(),
            None => self.make(),
        }
    }

    fn reopen(&self) -> Result<File, StoreError> {
        let mut options = fs_err::OpenOptions::new();
        let file = options.read(true).write(true).open(&self.temporary);
        Ok(file.map_err(StoreError::io)?.into_file())
    }

    /// Makes the file and takes its space on the disk.
    fn make(&mut self) -> Result<File, StoreError> {
        let mut options = fs_err::OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&self.temporary)
            .map_err(StoreError::io)?
            .into_file();
        self.made = true;
        let length = self.layout.draft_bytes(self.number);
        let allocated = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, length) {
            // File systems that cannot reserve space still can write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(length),
            result => result.map_err(Into::into),
        };
        allocated.map_err(|error| named(&self.path, error))?;
        Ok(file)
    }

    /// Keeps the file for the next time, or closes it. What a disk fails to keep is told to those
    /// only who have the file open: before it is closed, it is synced.
    fn close(&mut self, file: File) -> Result<(), StoreError> {
        if self.stays_open {
            self.file = Some(file);
            return Ok(());
        }
        file.sync_data().map_err(|error| named(&self.path, error))
    }

    /// Compresses the chunks, puts the checksum after each of them and the index at the end.
    ///
    /// Chunks become shorter where they lie: the slots of a draft are as long as a chunk can
    /// become, so that what is written never reaches a chunk that is still to be read.
    pub(super) fn seal(&mut self) -> Result<FileRecord, StoreError> {
        let file = self.open()?;
        let (layout, failed) = (self.layout, |error| named(&self.path, error));
        let present = layout.chunks_of_file(self.number);
        let at_once = (SEALED_AT_ONCE / layout.chunk_bytes().max(1)).clamp(1, MOST_AT_ONCE);
        let (mut places, mut checksums, mut end) = (Vec::new(), Vec::new(), 0);
        for first in (0..present).step_by(to_usize(at_once)) {
            let numbers = first..present.min(first + at_once);
            let chunks: Vec<_> = numbers
                .into_par_iter()
                .map(|number| self.stored(&file, number))
                .collect::<Result<_, _>>()?;
            for chunk in chunks {
                let next = end + chunk.length;
                let byte = next - chunk.bytes.len() as u64;
                file.write_all_at(&chunk.bytes, byte).map_err(failed)?;
                places.push(end..next);
                checksums.push(chunk.checksum);
                end = next;
            }
        }
        let index = shard::index(layout.file_chunks, &places);
        file.write_all_at(&index, end).map_err(failed)?;
        let length = end + index.len() as u64;
        if length != layout.draft_bytes(self.number) {
            file.set_len(length).map_err(failed)?;
        }
        self.close(file)?;
        let crc32c = shard::checksum_text(shard::file_checksum(checksums));
        Ok(FileRecord { length, crc32c })
    }

    /// Inner chunk `number` as it is going to be stored.
    fn stored(&self, file: &File, number: u64) -> Result<Stored, StoreError> {
        let layout = self.layout;
        let chunk_bytes = layout.chunk_bytes();
        let checksum = self.chunks[to_usize(number)].checksum(chunk_bytes);
        let (mut bytes, length, checksum) = match (checksum, layout.codec.is_none()) {
            (Some(checksum), true) => (Vec::new(), chunk_bytes, checksum),
            (None, true) => {
                let checksum = crc32c::crc32c(&self.read(file, number)?);
                (Vec::new(), chunk_bytes, checksum)
            }
            (_, false) => {
                let chunk = layout
                    .codec
                    .compress(layout.dtype, &self.read(file, number)?)
                    .map_err(|what| self.incompressible(&what))?;
                let (length, checksum) = (chunk.len() as u64, crc32c::crc32c(&chunk));
                (chunk, length, checksum)
            }
        };
        bytes.extend_from_slice(&checksum.to_le_bytes());
        let length = length + shard::CHECKSUM_BYTES;
        Ok(Stored {
            bytes,
            length,
            checksum,
        })
    }

    fn incompressible(&self, what: &str) -> StoreError {
        StoreError::Rows {
            part: part_name(self.layout.split, self.number / self.layout.part_files),
            what: format!("cannot be compressed: {what}"),
        }
    }

    fn read(&self, file: &File, number: u64) -> Result<Vec<u8>, StoreError> {
        let mut chunk = vec![0; to_usize(self.layout.chunk_bytes())];
        file.read_exact_at(&mut chunk, number * self.layout.draft_slot_bytes())
            .map_err(|error| named(&self.path, error))?;
        Ok(chunk)
    }

    /// Brings the file to the disk.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        let file = self.open()?;
        file.sync_all().map_err(|error| named(&self.path, error))
    }

    /// Gives the file its name.
    pub(super) fn name(&mut self) -> Result<(), StoreError> {
        fs_err::rename(&self.temporary, &self.path).map_err(StoreError::io)?;
        self.made = false;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.made {
            // What cannot be removed is swept by the next owner of the part.
            let _ = fs_err::remove_file(&self.temporary);
        }
    }
}
