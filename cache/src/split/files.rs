//! The files of hidden states of a split: each is compared with the done-list when it is touched for the first time.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;

use crate::hidden::Rows;
use crate::record::{FileRecord, SplitRecord};
use crate::storage::{map_file, missing, named};
use crate::{Io, SplitLayout, StoreError, shard};

/// The files of a split and what has been read of them.
#[derive(Debug)]
pub(super) struct HiddenFiles {
    store: PathBuf,
    layout: SplitLayout,
    io: Io,
    files: Vec<(FileRecord, OnceLock<FileData>)>,
}

/// A file of hidden states whose length, index and checksums of chunks have been compared with the done-list.
#[derive(Debug)]
enum FileData {
    Mapped(Mmap),
    Loaded(Vec<u8>),
    /// Read anew each time.
    OnDisk,
}

impl HiddenFiles {
    /// Nothing is opened yet; `io` is not [`Io::Auto`].
    pub(super) fn new(store: &Path, layout: SplitLayout, record: &SplitRecord, io: Io) -> Self {
        let records = record
            .parts
            .iter()
            .flat_map(|part| part.files.iter().cloned());
        let files = records.map(|record| (record, OnceLock::new())).collect();
        Self {
            store: store.to_owned(),
            layout,
            io,
            files,
        }
    }

    /// The rows of consecutive tokens.
    pub(super) fn rows(&self, tokens: Range<u64>) -> Result<Rows<'_>, StoreError> {
        if self.io == Io::Read {
            self.read(tokens)
        } else {
            self.borrow(tokens)
        }
    }

    fn borrow(&self, tokens: Range<u64>) -> Result<Rows<'_>, StoreError> {
        let pieces = self.layout.runs(tokens).map(|run| {
            let bytes: &[u8] = match self.file(run.file)? {
                FileData::Mapped(map) => map,
                FileData::Loaded(bytes) => bytes,
                FileData::OnDisk => &[],
            };
            let start = usize::try_from(run.byte).unwrap_or(usize::MAX);
            let length =
                usize::try_from((run.tokens.end - run.tokens.start) * self.layout.row_bytes);
            let end = start.saturating_add(length.unwrap_or(usize::MAX));
            bytes
                .get(start..end)
                .ok_or_else(|| StoreError::damaged(&self.path(run.file), "ends early"))
        });
        Ok(Rows::Borrowed(pieces.collect::<Result<_, _>>()?))
    }

    fn read(&self, tokens: Range<u64>) -> Result<Rows<'_>, StoreError> {
        let row_bytes = usize::try_from(self.layout.row_bytes).unwrap_or(usize::MAX);
        let count = usize::try_from(tokens.end - tokens.start).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.saturating_mul(row_bytes)];
        let mut rest = bytes.as_mut_slice();
        for run in self.layout.runs(tokens) {
            self.file(run.file)?;
            let path = self.path(run.file);
            let file = fs_err::File::open(&path)
                .map_err(|error| missing(&path, error))?
                .into_file();
            let length = usize::try_from(run.tokens.end - run.tokens.start).unwrap_or(usize::MAX)
                * row_bytes;
            let (now, later) = rest.split_at_mut(length);
            read_exact(&file, &path, now, run.byte)?;
            rest = later;
        }
        Ok(Rows::Owned(bytes))
    }

    fn path(&self, file: u64) -> PathBuf {
        self.store.join(self.layout.file_path(file))
    }

    /// The data of a file, checked when it is touched for the first time.
    fn file(&self, file: u64) -> Result<&FileData, StoreError> {
        let path = self.path(file);
        let unknown = || StoreError::damaged(&path, "is not in the done-list");
        let slot = usize::try_from(file).map_err(|_| unknown())?;
        let (record, cell) = self.files.get(slot).ok_or_else(unknown)?;
        if let Some(data) = cell.get() {
            return Ok(data);
        }
        let data = self.touch(file, &path, record)?;
        Ok(cell.get_or_init(|| data))
    }

    fn touch(&self, number: u64, path: &Path, record: &FileRecord) -> Result<FileData, StoreError> {
        let expected = self.layout.file_bytes(number);
        let file = fs_err::File::open(path)
            .map_err(|error| missing(path, error))?
            .into_file();
        let found = file.metadata().map_err(|error| named(path, error))?.len();
        StoreError::check_length(path, expected, found)?;
        check_file(&self.layout, number, path, &file, record)?;
        Ok(match self.io {
            Io::Read => FileData::OnDisk,
            Io::Ram => {
                let mut bytes =
                    vec![0; usize::try_from(expected).map_err(|_| StoreError::too_large(path))?];
                read_exact(&file, path, &mut bytes, 0)?;
                FileData::Loaded(bytes)
            }
            Io::Auto | Io::Mmap => FileData::Mapped(map_file(path, expected)?),
        })
    }
}

/// Whether index and checksums of the chunks, as the file states them, are those of the done-list. Reads a few bytes
/// of each chunk; whether the chunks are sound as well is for `verify` to say.
fn check_file(
    layout: &SplitLayout,
    number: u64,
    path: &Path,
    file: &File,
    record: &FileRecord,
) -> Result<(), StoreError> {
    let present = layout.chunks_of_file(number);
    let expected = shard::index(layout.file_chunks, present, layout.slot_bytes());
    let mut index = vec![0; expected.len()];
    read_exact(file, path, &mut index, present * layout.slot_bytes())?;
    if index != expected {
        return Err(StoreError::damaged(path, "the index is damaged"));
    }
    let mut checksums = Vec::new();
    for chunk in 0..present {
        let mut checksum = [0; 4];
        read_exact(
            file,
            path,
            &mut checksum,
            chunk * layout.slot_bytes() + layout.chunk_bytes(),
        )?;
        checksums.push(u32::from_le_bytes(checksum));
    }
    let found = shard::checksum_text(shard::file_checksum(checksums));
    if found != record.crc32c {
        let what = format!(
            "is not the file that was written (checksum {found}, expected {})",
            record.crc32c
        );
        return Err(StoreError::damaged(path, what));
    }
    Ok(())
}

fn read_exact(file: &File, path: &Path, bytes: &mut [u8], start: u64) -> Result<(), StoreError> {
    file.read_exact_at(bytes, start)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => StoreError::damaged(path, "ends early"),
            _ => named(path, error),
        })
}
