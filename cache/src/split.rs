//! Reading one split: its small arrays, and hidden states straight out of the files.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use serde_json::Value;
use shared::dataset::{SplitName, Task};

use crate::column::column_folder;
use crate::hidden::Rows;
use crate::metadata::read_attribute;
use crate::record::{FileRecord, SplitRecord};
use crate::storage::{map_file, missing, named};
use crate::{
    Column, Hidden, Io, LabelLevel, LabelTable, Manifest, SplitLayout, StoreDtype, StoreError,
    shard,
};

/// One split of a complete store.
#[derive(Debug)]
pub struct SplitReader {
    store: PathBuf,
    layout: SplitLayout,
    dtype: StoreDtype,
    sentences: usize,
    io: Io,
    offsets: Column<u64>,
    sentence_of: Column<u32>,
    input_ids: Column<u32>,
    word_ids: Column<i32>,
    word_bytes: Column<u8>,
    word_offsets: Column<u64>,
    sentence_words: Column<u64>,
    labels: Vec<LabelTable<Column<i32>>>,
    records: Vec<FileRecord>,
    files: Vec<OnceLock<FileData>>,
}

/// A file of hidden states whose length, index and checksums of chunks have been compared with the done-list.
#[derive(Debug)]
enum FileData {
    Mapped(Mmap),
    Loaded(Vec<u8>),
    /// Read anew each time.
    OnDisk,
}

impl SplitReader {
    /// Opens a split; `io` is not [`Io::Auto`]. Costs a few small files, however large the split is.
    pub(crate) fn open(
        store: &Path,
        manifest: &Manifest,
        layout: SplitLayout,
        record: &SplitRecord,
        io: Io,
    ) -> Result<Self, StoreError> {
        let size = manifest
            .splits
            .get(&layout.split)
            .copied()
            .unwrap_or_default();
        let folder = store.join(layout.split.to_string());
        let mapped = io == Io::Mmap;
        let sub = |name: &str| column_folder(&folder, name);
        let word_offsets: Column<u64> = Column::open(&sub("word_offsets"), size.words + 1, mapped)?;
        let word_bytes = word_offsets.last().copied().unwrap_or_default();
        let files = usize::try_from(layout.files()).map_err(|_| StoreError::too_large(&folder))?;
        let reader = Self {
            store: store.to_owned(),
            layout,
            dtype: manifest.store_dtype,
            sentences: usize::try_from(size.sentences)
                .map_err(|_| StoreError::too_large(&folder))?,
            io,
            offsets: Column::open(&sub("offsets"), size.sequences + 1, mapped)?,
            sentence_of: Column::open(&sub("sentence_of"), size.sequences, mapped)?,
            input_ids: Column::open(&sub("input_ids"), size.tokens, mapped)?,
            word_ids: Column::open(&sub("word_ids"), size.tokens, mapped)?,
            word_bytes: Column::open(&sub("word_bytes"), word_bytes, mapped)?,
            word_offsets,
            sentence_words: Column::open(&sub("sentence_words"), size.sentences + 1, mapped)?,
            labels: open_labels(&folder, size.tokens, size.sentences, mapped)?,
            records: record
                .parts
                .iter()
                .flat_map(|part| part.files.iter().cloned())
                .collect(),
            files: std::iter::repeat_with(OnceLock::new).take(files).collect(),
        };
        if reader.offsets.last() != Some(&size.tokens) {
            return Err(StoreError::damaged(
                &sub("offsets"),
                format!("does not end at the {} tokens", size.tokens),
            ));
        }
        Ok(reader)
    }

    /// Name of the split.
    #[must_use]
    pub fn name(&self) -> SplitName {
        self.layout.split
    }

    /// Sequences: what the encoder saw at once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sentence_of.len()
    }

    /// Whether there are no sequences.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sub-words of all sequences.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// `[sequences + 1]`: sequence i is tokens `offsets[i]..offsets[i + 1]`.
    #[must_use]
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// `[sequences]`: the sentence that a sequence is from.
    #[must_use]
    pub fn sentence_of(&self) -> &[u32] {
        &self.sentence_of
    }

    /// `[tokens]`: as fed to the encoder.
    #[must_use]
    pub fn input_ids(&self) -> &[u32] {
        &self.input_ids
    }

    /// `[tokens]`: index of the word in its sentence, -1 for special tokens.
    #[must_use]
    pub fn word_ids(&self) -> &[i32] {
        &self.word_ids
    }

    /// Sentences of the data set.
    #[must_use]
    pub fn sentences(&self) -> usize {
        self.sentences
    }

    /// Words of a sentence; none for a sentence that is not there.
    #[must_use]
    pub fn words(&self, sentence: usize) -> Vec<&str> {
        let bounds = |values: &[u64], at: usize| -> Option<Range<usize>> {
            let (start, end) = (*values.get(at)?, *values.get(at + 1)?);
            Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
        };
        let words = bounds(&self.sentence_words, sentence).unwrap_or_default();
        words
            .map(|word| {
                let bytes =
                    bounds(&self.word_offsets, word).and_then(|bytes| self.word_bytes.get(bytes));
                bytes
                    .and_then(|bytes| std::str::from_utf8(bytes).ok())
                    .unwrap_or("\u{fffd}")
            })
            .collect()
    }

    /// Labels of a task, if the store has them.
    #[must_use]
    pub fn labels(&self, task: Task) -> Option<&LabelTable<Column<i32>>> {
        self.labels.iter().find(|table| table.task == task)
    }

    /// The tasks that the store has labels for.
    pub fn tasks(&self) -> impl Iterator<Item = Task> {
        self.labels.iter().map(|table| table.task)
    }

    /// Where the hidden states are.
    #[must_use]
    pub fn layout(&self) -> &SplitLayout {
        &self.layout
    }

    /// Tokens of a sequence.
    ///
    /// # Errors
    /// [`StoreError::NoSequence`], [`StoreError::Damaged`].
    pub fn tokens_of(&self, sequence: usize) -> Result<Range<u64>, StoreError> {
        if sequence >= self.len() {
            let (split, sequences) = (self.name(), self.len());
            return Err(StoreError::NoSequence {
                split,
                sequence,
                sequences,
            });
        }
        let tokens = self.offsets[sequence]..self.offsets[sequence + 1];
        if tokens.start > tokens.end || tokens.end > self.layout.tokens {
            let path = self.store.join(format!("{}/offsets", self.name()));
            return Err(StoreError::damaged(
                &path,
                format!("sequence {sequence} is tokens {tokens:?}"),
            ));
        }
        Ok(tokens)
    }

    /// Hidden states of a sequence, `[tokens, layers, hidden]`: borrowed from the map or, with [`Io::Read`], read.
    /// A file is compared with the done-list when it is touched for the first time.
    ///
    /// # Errors
    /// [`StoreError::NoSequence`]; [`StoreError::Damaged`] for a file that is missing, too short or another one;
    /// [`StoreError::Io`].
    pub fn hidden_states(&self, sequence: usize) -> Result<Hidden<'_>, StoreError> {
        let tokens = self.tokens_of(sequence)?;
        let (layout, path) = (&self.layout, &self.store);
        let count =
            usize::try_from(tokens.end - tokens.start).map_err(|_| StoreError::too_large(path))?;
        let rows = if self.io == Io::Read {
            self.read(tokens, count)?
        } else {
            self.borrow(tokens)?
        };
        Ok(Hidden {
            rows,
            tokens: count,
            layers: layout.layers,
            width: layout.hidden,
            dtype: self.dtype,
        })
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

    fn read(&self, tokens: Range<u64>, count: usize) -> Result<Rows<'_>, StoreError> {
        let row_bytes = usize::try_from(self.layout.row_bytes).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count * row_bytes];
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
        let (cell, record) = (
            self.files.get(slot).ok_or_else(unknown)?,
            self.records.get(slot).ok_or_else(unknown)?,
        );
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

/// Every task in `labels/` with its level and classes, sorted by task.
pub(crate) fn read_label_attributes(
    folder: &Path,
) -> Result<Vec<(Task, LabelLevel, Vec<String>)>, StoreError> {
    let folder = folder.join("labels");
    let mut labels = Vec::new();
    let entries = match fs_err::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(labels),
        entries => entries.map_err(StoreError::io)?,
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(task) = serde_json::from_value::<Task>(Value::String(name)) else {
            continue;
        };
        let zarr_json = entry.path().join("zarr.json");
        // Without metadata the array does not exist yet.
        let Some(attribute) = read_attribute(&zarr_json)? else {
            continue;
        };
        let field = |name: &str| attribute.get(name).cloned().unwrap_or_default();
        let unreadable =
            |error: serde_json::Error| StoreError::damaged(&zarr_json, error.to_string());
        let level = serde_json::from_value(field("level")).map_err(unreadable)?;
        labels.push((
            task,
            level,
            serde_json::from_value(field("classes")).map_err(unreadable)?,
        ));
    }
    labels.sort_by_key(|(task, ..)| *task);
    Ok(labels)
}

fn open_labels(
    folder: &Path,
    tokens: u64,
    sentences: u64,
    mapped: bool,
) -> Result<Vec<LabelTable<Column<i32>>>, StoreError> {
    let open = |(task, level, classes): (Task, LabelLevel, Vec<String>)| {
        let length = if level == LabelLevel::Token {
            tokens
        } else {
            sentences
        };
        let ids = Column::open(&folder.join(format!("labels/{task}")), length, mapped)?;
        Ok(LabelTable {
            task,
            classes,
            level,
            ids,
        })
    };
    read_label_attributes(folder)?
        .into_iter()
        .map(open)
        .collect()
}
