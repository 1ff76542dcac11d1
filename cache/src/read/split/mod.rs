//! Reading one split: its small arrays, and hidden states straight out of the files.

mod decoded;
mod files;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::datasets::SplitName;
use shared::tasks::{Level, Output, Task};

use self::files::HiddenFiles;
use crate::layout::column::{LABEL_GROUPS, SECOND_TEXT, TABLES, column_folder};
use crate::layout::metadata::read_attribute;
use crate::layout::record::SplitRecord;
use crate::layout::tables::{TokenWords, check_heads};
use crate::read::column;
use crate::{
    Column, Hidden, Io, LabelTable, Manifest, Reading, SplitLayout, SplitSize, StoreError,
};

/// One split of a complete store.
#[derive(Debug)]
pub struct SplitReader {
    store: PathBuf,
    layout: SplitLayout,
    size: SplitSize,
    offsets: Column<u64>,
    sentence_of: Column<u32>,
    input_ids: Column<u32>,
    word_ids: Column<i32>,
    word_bytes: Column<u8>,
    word_offsets: Column<u64>,
    sentence_words: Column<u64>,
    /// Empty where no sentence is a pair of texts.
    second_text: Column<u32>,
    labels: Vec<LabelTable>,
    files: HiddenFiles,
    checksums: bool,
}

impl SplitReader {
    /// Opens a split; `reading.io` is not [`Io::Auto`]. Costs a few small files, however large the split is.
    pub(crate) fn open(
        store: &Path,
        manifest: &Manifest,
        layout: SplitLayout,
        record: &SplitRecord,
        reading: Reading,
    ) -> Result<Self, StoreError> {
        let size = manifest
            .splits
            .get(&layout.split)
            .copied()
            .unwrap_or_default();
        let folder = store.join(layout.split.to_string());
        let mapped = reading.io == Io::Mmap;
        let sub = |name: &str| column_folder(&folder, name);
        let word_offsets: Column<u64> = Column::open(&sub("word_offsets"), size.words + 1, mapped)?;
        let word_bytes = word_offsets.last().copied().unwrap_or_default();
        let reader = Self {
            store: store.to_owned(),
            layout,
            size,
            offsets: Column::open(&sub("offsets"), size.sequences + 1, mapped)?,
            sentence_of: Column::open(&sub("sentence_of"), size.sequences, mapped)?,
            input_ids: Column::open(&sub("input_ids"), size.tokens, mapped)?,
            word_ids: Column::open(&sub("word_ids"), size.tokens, mapped)?,
            word_bytes: Column::open(&sub("word_bytes"), word_bytes, mapped)?,
            word_offsets,
            sentence_words: Column::open(&sub("sentence_words"), size.sentences + 1, mapped)?,
            second_text: open_second_text(&folder, size, mapped)?,
            labels: open_labels(&folder, size, mapped)?,
            files: HiddenFiles::new(store, layout, record, reading),
            checksums: reading.checksums,
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
        self.sentence_words.len() - 1
    }

    /// Sizes, as the manifest has them.
    #[must_use]
    pub fn size(&self) -> SplitSize {
        self.size
    }

    /// Words of the sentences before `sentence`: where its own begin in the labels of all words.
    #[must_use]
    pub fn first_word(&self, sentence: usize) -> usize {
        usize::try_from(self.sentence_words[sentence]).unwrap_or(usize::MAX)
    }

    pub(crate) fn token_words(&self) -> TokenWords<'_> {
        TokenWords {
            offsets: &self.offsets,
            sentence_of: &self.sentence_of,
            word_ids: &self.word_ids,
            sentence_words: &self.sentence_words,
        }
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

    /// Whether sentences are pairs of texts, or some are.
    #[must_use]
    pub fn has_pairs(&self) -> bool {
        !self.second_text.is_empty()
    }

    /// Index in a sentence of the first word of its second text; none for a single text.
    #[must_use]
    pub fn second_text(&self, sentence: usize) -> Option<usize> {
        let second = self.second_text.get(sentence).copied();
        second
            .filter(|&second| second > 0)
            .map(|second| second as usize)
    }

    /// Labels of a task, if the store has them.
    #[must_use]
    pub fn labels(&self, task: Task) -> Option<&LabelTable> {
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

    /// Hidden states of a sequence, `[tokens, layers, hidden]`: borrowed from the map, read with [`Io::Read`], decoded
    /// where they are compressed. A file is compared with the done-list when it is touched for the first time, and
    /// an inner chunk with its checksum.
    ///
    /// # Errors
    /// [`StoreError::NoSequence`]; [`StoreError::Damaged`] for a file that is missing, too short, another one or has
    /// a flipped bit; [`StoreError::Io`].
    pub fn hidden_states(&self, sequence: usize) -> Result<Hidden<'_>, StoreError> {
        let tokens = self.tokens_of(sequence)?;
        self.rows(tokens).map_err(|error| {
            let sentence = self.sentence_of[sequence];
            let split = self.name();
            error.needed_for(format_args!("sentence {} of {split}", sentence + 1))
        })
    }

    /// Hidden states of consecutive tokens, across sequences, `[tokens, layers, hidden]`.
    ///
    /// # Errors
    /// Those of [`SplitReader::hidden_states`].
    ///
    /// # Panics
    /// If the split has no such tokens.
    pub fn rows(&self, tokens: Range<u64>) -> Result<Hidden<'_>, StoreError> {
        let layout = &self.layout;
        assert!(
            tokens.start <= tokens.end && tokens.end <= layout.tokens,
            "tokens {tokens:?} of {}",
            layout.tokens
        );
        let count = usize::try_from(tokens.end - tokens.start)
            .map_err(|_| StoreError::too_large(&self.store))?;
        Ok(Hidden {
            rows: self.files.rows(tokens)?,
            tokens: count,
            layers: layout.layers,
            width: layout.hidden,
            dtype: layout.dtype,
        })
    }

    /// Tells the kernel that a sequence is going to be read soon, so that the disk works meanwhile. Never fails:
    /// what is wrong will be said by the reading.
    pub fn will_need(&self, sequence: usize) {
        if let Ok(tokens) = self.tokens_of(sequence) {
            self.files.will_need(tokens);
        }
    }

    /// Compares all small arrays with their checksums: what can be done once before labels are trusted. Does nothing
    /// if the store was opened without checksums.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the file, [`StoreError::Io`].
    pub fn check_tables(&self) -> Result<(), StoreError> {
        if !self.checksums {
            return Ok(());
        }
        let folder = self.store.join(self.name().to_string());
        let labels = LABEL_GROUPS
            .into_iter()
            .flat_map(|group| self.labels.iter().map(move |table| (group, table)))
            .filter(|(group, table)| match *group {
                "word_labels" => table.words.is_some(),
                "heads" => table.heads.is_some(),
                _ => true,
            })
            .map(|(group, table)| format!("{group}/{}", table.task));
        let tables = TABLES.into_iter().map(str::to_owned);
        let second = self.has_pairs().then(|| SECOND_TEXT.to_owned());
        tables
            .chain(second)
            .chain(labels)
            .try_for_each(|name| column::check(&folder.join(name)))?;
        let heads = self
            .labels
            .iter()
            .filter_map(|table| Some((table.task, table.heads.as_ref()?)));
        for (task, heads) in heads {
            if let Some(what) = check_heads(heads, &self.sentence_words) {
                return Err(StoreError::damaged(
                    &folder.join(format!("heads/{task}")),
                    what,
                ));
            }
        }
        Ok(())
    }
}

/// Every task in `labels/` with its level and classes, sorted by task.
pub(crate) fn read_label_attributes(
    folder: &Path,
) -> Result<Vec<(Task, Level, Vec<String>)>, StoreError> {
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

/// Where the second texts of pairs begin; nothing where the split has no such array.
fn open_second_text(
    folder: &Path,
    size: SplitSize,
    mapped: bool,
) -> Result<Column<u32>, StoreError> {
    let folder = column_folder(folder, SECOND_TEXT);
    if read_attribute(&folder.join("zarr.json"))?.is_none() {
        return Ok(Vec::new().into());
    }
    Column::open(&folder, size.sentences, mapped)
}

fn open_labels(
    folder: &Path,
    size: SplitSize,
    mapped: bool,
) -> Result<Vec<LabelTable>, StoreError> {
    let open = |(task, level, classes): (Task, Level, Vec<String>)| {
        let column = |group: &str, length| {
            Column::open(&folder.join(format!("{group}/{task}")), length, mapped)
        };
        let none = || Column::from(Vec::new());
        let (ids, words) = match (level, task.output()) {
            (Level::Token, _) => (
                column("labels", size.tokens)?,
                Some(column("word_labels", size.words)?),
            ),
            (Level::Sentence, Output::Class) => (column("labels", size.sentences)?, None),
            (Level::Sentence, Output::Number | Output::Set) => (none(), None),
        };
        let heads = task.has_heads().then(|| column("heads", size.words));
        let path = folder.join(format!("labels/{task}"));
        let (mut numbers, mut sets) = (Vec::new().into(), Vec::new().into());
        match task.output() {
            Output::Class => {}
            Output::Number => numbers = Column::open(&path, size.sentences, mapped)?,
            Output::Set => {
                let shape = (size.sentences, classes.len() as u64);
                sets = Column::open_rows(&path, shape, mapped)?;
            }
        }
        Ok(LabelTable {
            task,
            classes,
            level,
            ids,
            numbers,
            sets,
            words,
            heads: heads.transpose()?,
        })
    };
    read_label_attributes(folder)?
        .into_iter()
        .map(open)
        .collect()
}
