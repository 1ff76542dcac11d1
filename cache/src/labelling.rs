//! Labels in a store: written with it, or added later for another task on the same text.

use std::path::Path;

use shared::dataset::SplitName;
use zarrs::array::data_type;

use crate::column::{ColumnShape, column_file, column_folder, write_column};
use crate::metadata::{self, ColumnMetadata};
use crate::writer::write_if_other;
use crate::{LabelLevel, LabelTable, SplitTables, Store, StoreError};

impl Store {
    /// Adds the labels of another task, one table a split, to a complete store; activations and identity stay as
    /// they are. Labels of a task that the store has already are replaced.
    ///
    /// # Errors
    /// [`StoreError::Tables`] if a table does not fit its split, or the errors of opening and writing a store.
    pub fn add_labels(path: &Path, labels: &[(SplitName, LabelTable)]) -> Result<(), StoreError> {
        let store = Self::open(path, crate::Io::Mmap)?;
        for (split, table) in labels {
            let Some(reader) = store.split(*split) else {
                return Err(StoreError::Tables {
                    split: *split,
                    what: "the store has no such split".to_owned(),
                });
            };
            let tokens = reader.input_ids().len();
            table.check(*split, tokens, reader.sentences())?;
        }
        labels
            .iter()
            .try_for_each(|(split, table)| write_labels(&path.join(split.to_string()), table))
    }
}

/// Writes `labels/<task>` of the split in `folder`.
pub(crate) fn write_labels(folder: &Path, table: &LabelTable) -> Result<(), StoreError> {
    fs_err::create_dir_all(folder.join("labels")).map_err(StoreError::io)?;
    write_if_other(&folder.join("labels/zarr.json"), &metadata::plain_group())?;
    let dimension = match table.level {
        LabelLevel::Token => "tokens",
        LabelLevel::Sentence => "sentences",
    };
    let name = format!("labels/{}", table.task);
    write(
        folder,
        &name,
        dimension,
        &table.ids,
        Some((table.level, &table.classes)),
    )
}

impl SplitTables {
    /// Writes the small arrays, but for the labels, into the folder of the split.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let (bytes, word_offsets, sentence_words) = self.flat_words();
        write(folder, "offsets", "sequence_bounds", &self.offsets, None)?;
        write(folder, "sentence_of", "sequences", &self.sentence_of, None)?;
        write(folder, "input_ids", "tokens", &self.input_ids, None)?;
        write(folder, "word_ids", "tokens", &self.word_ids, None)?;
        write(folder, "word_bytes", "bytes", &bytes, None)?;
        write(folder, "word_offsets", "word_bounds", &word_offsets, None)?;
        write(
            folder,
            "sentence_words",
            "sentence_bounds",
            &sentence_words,
            None,
        )
    }

    /// All words as one run of UTF-8, the bounds of the words in it, and the bounds of the sentences in the words.
    fn flat_words(&self) -> (Vec<u8>, Vec<u64>, Vec<u64>) {
        let (mut bytes, mut word_offsets, mut sentence_words) = (Vec::new(), vec![0], vec![0]);
        for sentence in &self.words {
            for word in sentence {
                bytes.extend_from_slice(word.as_bytes());
                word_offsets.push(bytes.len() as u64);
            }
            sentence_words.push(word_offsets.len() as u64 - 1);
        }
        (bytes, word_offsets, sentence_words)
    }
}

type Labels<'a> = Option<(LabelLevel, &'a [String])>;

fn write<T: Element>(
    folder: &Path,
    name: &str,
    dimension: &str,
    values: &[T],
    labels: Labels<'_>,
) -> Result<(), StoreError> {
    let file = column_file(values);
    let shape = ColumnShape::new(values.len() as u64, size_of::<T>());
    let column = ColumnMetadata {
        name,
        dimension,
        data_type: T::data_type(),
        shape,
        file: &file,
        labels,
    };
    write_column(
        &column_folder(folder, name),
        &file,
        &metadata::column(&column)?,
    )
}

/// A value of a small array.
pub(crate) trait Element: bytemuck::Pod {
    /// Its Zarr data type.
    fn data_type() -> zarrs::array::DataType;
}

macro_rules! element {
    ($($rust:ident $zarr:ident),*) => {$(
        impl Element for $rust {
            fn data_type() -> zarrs::array::DataType {
                data_type::$zarr()
            }
        }
    )*};
}

element!(u8 uint8, i32 int32, u32 uint32, u64 uint64);
