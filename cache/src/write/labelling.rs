//! Labels in a store: written with it, or added later for another task on the same text.

use std::path::Path;

use shared::datasets::SplitName;
use shared::tasks::Level;
use zarrs::array::data_type;

use super::column::write_column;
use crate::layout::column::{
    COLUMN_FILE, ColumnShape, ROWS_FILE, SECOND_TEXT, column_file, column_folder,
};
use crate::layout::metadata::{self, ColumnMetadata};
use crate::layout::tables::TokenWords;
use crate::write::temporary::write_if_other;
use crate::{Labels, SplitTables, Store, StoreError, TextLabels};

impl Store {
    /// Adds the labels of another task, one entry a split, to a complete store; activations and identity stay as
    /// they are. Labels of a task that the store has already are replaced.
    ///
    /// # Errors
    /// [`StoreError::Tables`] if labels do not fit their split, or the errors of opening and writing a store.
    pub fn add_labels(path: &Path, labels: &[(SplitName, Labels)]) -> Result<(), StoreError> {
        // Read and not mapped: the files may be replaced below.
        let store = Self::open(path, crate::Io::Read)?;
        let mut splits = Vec::with_capacity(labels.len());
        for (split, labels) in labels {
            let Some(reader) = store.split(*split) else {
                return Err(StoreError::Tables {
                    split: *split,
                    what: "the store has no such split".to_owned(),
                });
            };
            let tokens = reader.token_words();
            labels.check(*split, reader.size(), tokens.sentence_words)?;
            splits.push((path.join(split.to_string()), tokens, labels));
        }
        splits
            .iter()
            .try_for_each(|(folder, tokens, labels)| write_labels(folder, labels, *tokens))
    }
}

/// Writes `labels/<task>` of the split in `folder`, `word_labels/<task>` if words are labelled, and
/// `heads/<task>` if they have heads.
fn write_labels(folder: &Path, labels: &Labels, tokens: TokenWords<'_>) -> Result<(), StoreError> {
    let Labels {
        task,
        classes,
        level,
        ids,
        heads,
        texts,
    } = labels;
    let attributes = Some((*level, classes.as_slice()));
    let group = |name: &str| {
        fs_err::create_dir_all(folder.join(name)).map_err(StoreError::io)?;
        write_if_other(
            &folder.join(name).join("zarr.json"),
            &metadata::plain_group(),
        )
    };
    let name = format!("labels/{task}");
    if *level == Level::Sentence {
        group("labels")?;
        return match texts {
            None => write(folder, &name, "sentences", ids, attributes),
            Some(TextLabels::Numbers(numbers)) => {
                write(folder, &name, "sentences", numbers, attributes)
            }
            Some(TextLabels::Sets(sets)) => {
                let rows = sets.len() / classes.len().max(1);
                let shape = ColumnShape::of_rows(rows as u64, classes.len() as u64, 1);
                let dimensions = ("sentences", Some("classes"));
                write_shaped(folder, &name, dimensions, (sets, shape), attributes)
            }
        };
    }
    // Labels of the tokens last: a task exists when they do.
    if let Some(heads) = heads {
        group("heads")?;
        write(folder, &format!("heads/{task}"), "words", heads, None)?;
    }
    group("word_labels")?;
    write(
        folder,
        &format!("word_labels/{task}"),
        "words",
        ids,
        attributes,
    )?;
    group("labels")?;
    write(
        folder,
        &name,
        "tokens",
        &tokens.first_tokens(ids),
        attributes,
    )
}

impl SplitTables {
    /// Writes the small arrays into the folder of the split.
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
        )?;
        let tokens = TokenWords {
            offsets: &self.offsets,
            sentence_of: &self.sentence_of,
            word_ids: &self.word_ids,
            sentence_words: &sentence_words,
        };
        if !self.second_text.is_empty() {
            write(folder, SECOND_TEXT, "sentences", &self.second_text, None)?;
        }
        self.labels
            .iter()
            .try_for_each(|labels| write_labels(folder, labels, tokens))
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

type Attributes<'a> = Option<(Level, &'a [String])>;

fn write<T: Element>(
    folder: &Path,
    name: &str,
    dimension: &str,
    values: &[T],
    labels: Attributes<'_>,
) -> Result<(), StoreError> {
    let shape = ColumnShape::new(values.len() as u64, size_of::<T>());
    write_shaped(folder, name, (dimension, None), (values, shape), labels)
}

fn write_shaped<T: Element>(
    folder: &Path,
    name: &str,
    (dimension, columns): (&str, Option<&str>),
    (values, shape): (&[T], ColumnShape),
    labels: Attributes<'_>,
) -> Result<(), StoreError> {
    let file = column_file(values, &shape);
    let column = ColumnMetadata {
        name,
        dimension,
        columns,
        data_type: T::data_type(),
        shape,
        file: &file,
        labels,
    };
    let data = columns.map_or(COLUMN_FILE, |_| ROWS_FILE);
    write_column(
        &column_folder(folder, name),
        (data, &file),
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

element!(u8 uint8, i32 int32, u32 uint32, u64 uint64, f32 float32);
