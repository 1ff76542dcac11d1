//! The files of hidden states of a split: each is compared with the done-list when it is touched for the first time,
//! and each inner chunk with its checksum.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;

use super::decoded::Decoded;
use crate::error::{missing, named};
use crate::layout::Run;
use crate::layout::record::{FileRecord, SplitRecord};
use crate::read::chunks::{self, Chunk, reading_failed};
use crate::read::hidden::Rows;
use crate::read::storage::map_file;
use crate::{Io, Reading, SplitLayout, StoreError};

/// The files of a split and what has been read of them.
#[derive(Debug)]
pub(super) struct HiddenFiles {
    store: PathBuf,
    layout: SplitLayout,
    reading: Reading,
    files: Vec<(FileRecord, OnceLock<FileData>)>,
    decoded: Decoded,
}

/// A file whose length, index and checksums of chunks have been compared with the done-list.
#[derive(Debug)]
struct FileData {
    chunks: Vec<Chunk>,
    /// Chunks whose bytes have been compared with their checksum.
    sound: Vec<AtomicBool>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Mapped(Mmap),
    /// All rows, decoded and without checksums.
    Loaded(Vec<u8>),
    /// Read anew each time.
    OnDisk,
}

impl HiddenFiles {
    /// Nothing is opened yet; `reading.io` is not [`Io::Auto`].
    pub(super) fn new(
        store: &Path,
        layout: SplitLayout,
        record: &SplitRecord,
        reading: Reading,
    ) -> Self {
        let records = record
            .parts
            .iter()
            .flat_map(|part| part.files.iter().cloned());
        let files = records.map(|record| (record, OnceLock::new())).collect();
        Self {
            store: store.to_owned(),
            layout,
            reading,
            files,
            decoded: Decoded::default(),
        }
    }

    /// The rows of consecutive tokens.
    pub(super) fn rows(&self, tokens: Range<u64>) -> Result<Rows<'_>, StoreError> {
        let runs = self.layout.runs(tokens);
        Ok(match (self.reading.io, self.layout.codec.is_none()) {
            (Io::Ram, _) | (Io::Mmap | Io::Auto, true) => Rows::Borrowed(
                runs.map(|run| self.borrow(&run))
                    .collect::<Result<_, _>>()?,
            ),
            (Io::Read, true) => Rows::Owned(self.read(runs)?),
            (_, false) => Rows::Decoded(
                runs.map(|run| self.decode(&run))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// Tells the kernel which bytes of which files are going to be read.
    pub(super) fn will_need(&self, tokens: Range<u64>) {
        for run in self.layout.runs(tokens) {
            let Ok(data) = self.file(run.file) else {
                return;
            };
            let chunk = &data.chunks[index(run.chunk)];
            let bytes = if self.layout.codec.is_none() {
                chunk.bytes.start + run.bytes.start..chunk.bytes.start + run.bytes.end
            } else {
                chunk.bytes.clone()
            };
            let length = bytes.end - bytes.start;
            match &data.source {
                Source::Mapped(map) => advise(map, &bytes),
                Source::OnDisk => {
                    let advice = rustix::fs::Advice::WillNeed;
                    if let Ok((_, file)) = self.open(run.file) {
                        let length = NonZeroU64::new(length);
                        let _ = rustix::fs::fadvise(&file, bytes.start, length, advice);
                    }
                }
                Source::Loaded(_) => {}
            }
        }
    }

    /// Rows that lie in memory.
    fn borrow(&self, run: &Run) -> Result<&[u8], StoreError> {
        let data = self.file(run.file)?;
        let (bytes, chunk) = match &data.source {
            Source::Mapped(map) => {
                self.check_map(run.file, map)?;
                let chunk = &data.chunks[index(run.chunk)].bytes;
                if self.is_unchecked(run, data) {
                    advise(map, chunk);
                }
                let bytes: &[u8] = map;
                (bytes, chunk.clone())
            }
            Source::Loaded(rows) => {
                let start = run.chunk * self.layout.chunk_bytes();
                (rows.as_slice(), start..start + self.layout.chunk_bytes())
            }
            Source::OnDisk => (&[][..], 0..0),
        };
        let ends_early = || StoreError::damaged(&self.path(run.file), "ends early");
        let chunk = bytes
            .get(index(chunk.start)..index(chunk.end))
            .ok_or_else(ends_early)?;
        self.check(run, data, chunk)?;
        chunk
            .get(index(run.bytes.start)..index(run.bytes.end))
            .ok_or_else(ends_early)
    }

    /// Rows that are read from uncompressed files.
    fn read(&self, runs: impl Iterator<Item = Run>) -> Result<Vec<u8>, StoreError> {
        let mut rows = Vec::new();
        for run in runs {
            let data = self.file(run.file)?;
            let (path, file) = self.open(run.file)?;
            let chunk = &data.chunks[index(run.chunk)];
            if self.is_unchecked(&run, data) {
                let mut stored = vec![0; chunk.length()];
                read_exact(&file, &path, &mut stored, chunk.bytes.start)?;
                self.check(&run, data, &stored)?;
            }
            let before = rows.len();
            rows.resize(before + index(run.bytes.end - run.bytes.start), 0);
            let start = chunk.bytes.start + run.bytes.start;
            read_exact(&file, &path, &mut rows[before..], start)?;
        }
        Ok(rows)
    }

    /// Rows of a compressed chunk, which is decoded whole and kept for a while.
    fn decode(&self, run: &Run) -> Result<(Arc<Vec<u8>>, Range<usize>), StoreError> {
        let number = run.file * self.layout.file_chunks + run.chunk;
        let chunk = self.decoded.get_or_try_insert(number, || {
            let data = self.file(run.file)?;
            let chunk = &data.chunks[index(run.chunk)];
            if let Source::Mapped(map) = &data.source {
                self.check_map(run.file, map)?;
                let stored = map.get(index(chunk.bytes.start)..index(chunk.bytes.end));
                return self.decompress(run, data, stored.unwrap_or_default());
            }
            let (path, file) = self.open(run.file)?;
            let mut stored = vec![0; chunk.length()];
            read_exact(&file, &path, &mut stored, chunk.bytes.start)?;
            self.decompress(run, data, &stored)
        })?;
        Ok((chunk, index(run.bytes.start)..index(run.bytes.end)))
    }

    fn decompress(&self, run: &Run, data: &FileData, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.check(run, data, stored)?;
        chunks::decode(&self.layout, stored)
            .map_err(|what| StoreError::damaged(&self.path(run.file), what))
    }

    /// Compares a chunk with its checksum, if nobody has done so yet.
    fn check(&self, run: &Run, data: &FileData, stored: &[u8]) -> Result<(), StoreError> {
        if !self.is_unchecked(run, data) {
            return Ok(());
        }
        if !data.chunks[index(run.chunk)].is_sound(stored) {
            let what = chunks::damaged_chunk(&self.layout, run.file, run.chunk);
            return Err(StoreError::damaged(&self.path(run.file), what));
        }
        data.sound[index(run.chunk)].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a chunk is still to be compared. Compressed ones always are: a decoder must not meet a flipped bit.
    fn is_unchecked(&self, run: &Run, data: &FileData) -> bool {
        let wanted = self.reading.checksums || !self.layout.codec.is_none();
        wanted && !data.sound[index(run.chunk)].load(Ordering::Relaxed)
    }

    /// A file that becomes shorter under its map would end the process where it is touched (SIGBUS). Asking for its
    /// length before each sequence makes that an error, but for the moment between here and the computation.
    fn check_map(&self, file: u64, map: &Mmap) -> Result<(), StoreError> {
        let path = self.path(file);
        match fs_err::metadata(&path) {
            Ok(there) if there.len() < map.len() as u64 => {
                let (found, expected) = (there.len(), map.len());
                let what = format!(
                    "has {found} bytes, expected {expected}: it became shorter while it was in use"
                );
                Err(StoreError::damaged(&path, what))
            }
            // A file without a name stays as long as it is mapped.
            _ => Ok(()),
        }
    }

    fn path(&self, file: u64) -> PathBuf {
        self.store.join(self.layout.file_path(file))
    }

    fn open(&self, file: u64) -> Result<(PathBuf, File), StoreError> {
        let path = self.path(file);
        let file = fs_err::File::open(&path).map_err(|error| missing(&path, error))?;
        Ok((path, file.into_file()))
    }

    /// The data of a file, checked when it is touched for the first time.
    fn file(&self, file: u64) -> Result<&FileData, StoreError> {
        let unknown = || StoreError::damaged(&self.path(file), "is not in the done-list");
        let slot = usize::try_from(file).map_err(|_| unknown())?;
        let (record, cell) = self.files.get(slot).ok_or_else(unknown)?;
        if let Some(data) = cell.get() {
            return Ok(data);
        }
        let data = self.touch(file, record)?;
        Ok(cell.get_or_init(|| data))
    }

    /// Whether length, index and checksums of the chunks, as the file states them, are those of the done-list.
    fn touch(&self, number: u64, record: &FileRecord) -> Result<FileData, StoreError> {
        let (path, file) = self.open(number)?;
        let found = file.metadata().map_err(|error| named(&path, error))?.len();
        StoreError::check_length(&path, record.length, found)?;
        let chunks = chunks::read_chunks(&self.layout, number, &file, found)
            .map_err(|error| reading_failed(&path, error))?
            .ok_or_else(|| StoreError::damaged(&path, "the index is damaged"))?;
        let found = chunks::file_checksum(&chunks);
        if found != record.crc32c {
            let what = chunks::other_file(&found, &record.crc32c);
            return Err(StoreError::damaged(&path, what));
        }
        let mut data = FileData {
            sound: chunks.iter().map(|_| AtomicBool::new(false)).collect(),
            chunks,
            source: Source::OnDisk,
        };
        match self.reading.io {
            Io::Read => {}
            Io::Ram => data.source = Source::Loaded(self.load(number, &path, &file, &data)?),
            Io::Auto | Io::Mmap => data.source = Source::Mapped(map_file(&path, record.length)?),
        }
        Ok(data)
    }

    /// All rows of a file, checked and decoded.
    fn load(
        &self,
        number: u64,
        path: &Path,
        file: &File,
        data: &FileData,
    ) -> Result<Vec<u8>, StoreError> {
        let mut rows = Vec::new();
        let size = index(self.layout.chunk_bytes()).saturating_mul(data.chunks.len());
        rows.try_reserve_exact(size)
            .map_err(|_| StoreError::too_large(path))?;
        for (place, chunk) in (0..).zip(&data.chunks) {
            let run = Run {
                file: number,
                chunk: place,
                bytes: 0..0,
                tokens: 0..0,
            };
            if self.layout.codec.is_none() {
                let before = rows.len();
                rows.resize(before + chunk.length(), 0);
                read_exact(file, path, &mut rows[before..], chunk.bytes.start)?;
                self.check(&run, data, &rows[before..])?;
            } else {
                let mut stored = vec![0; chunk.length()];
                read_exact(file, path, &mut stored, chunk.bytes.start)?;
                rows.extend_from_slice(&self.decompress(&run, data, &stored)?);
            }
            // What was decoded is another thing than what the checksum is of: it is never compared again.
            data.sound[index(place)].store(true, Ordering::Relaxed);
        }
        Ok(rows)
    }
}

fn read_exact(file: &File, path: &Path, bytes: &mut [u8], start: u64) -> Result<(), StoreError> {
    file.read_exact_at(bytes, start)
        .map_err(|error| reading_failed(path, error))
}

/// Has the kernel read a part of a map ahead, in large pieces; only a hint.
fn advise(map: &Mmap, bytes: &Range<u64>) {
    let length = index(bytes.end - bytes.start);
    let _ = map.advise_range(memmap2::Advice::WillNeed, index(bytes.start), length);
}

/// Offsets inside a file fit the address space, or mapping and reading it have failed before.
fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
