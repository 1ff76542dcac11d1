//! Column files: a word a line with its labels beside it, sentences apart by empty lines, as the
//! shared tasks of CoNLL have had them since 2000, and CoNLL-U, which adds lines for contracted and
//! for unspoken words.
//!
//! A line that begins with `#` is a comment, unless it has exactly the columns of the file: then
//! `#` begins a word (`#photo TAB O`). In files separated by spaces, where a comment may have as
//! many words as there are columns, its label must also be one that fits the others. Where words
//! are numbered, every such line is a comment.

use std::path::{Path, PathBuf};

use super::labelled_file::LabelledFile;
use super::layout::{Layout, is_boundary};
use super::lines::{Line, Lines, is_blank};
use super::misc::{Attribute, MISC};
use super::{Column, DatasetError, Format, LineError, Sentences, Source};
use crate::tasks::{Level, Task, UNLABELLED};

/// A column file whose columns are known.
#[derive(Debug)]
pub(super) struct ColumnFile {
    path: PathBuf,
    layout: Layout,
    /// The attribute of MISC that holds the labels, in CoNLL-U.
    attribute: Option<Attribute>,
    /// Whether `_` says that a word has no label, as in CoNLL-U.
    underscore_is_none: bool,
}

impl ColumnFile {
    pub(super) fn open(path: &Path, format: Format, source: &Source) -> Result<Self, DatasetError> {
        let is_conllu = format == Format::Conllu;
        let attribute = is_conllu
            .then(|| Attribute::find(path, source))
            .transpose()?
            .flatten();
        let layout = if attribute.is_some() {
            let label_column = Some(Column::Index(MISC));
            Layout::find(
                path,
                format,
                &Source {
                    label_column,
                    ..source.clone()
                },
            )?
        } else {
            Layout::find(path, format, source)?
        };
        let spans = source.task.is_some_and(Task::has_spans);
        Ok(Self {
            path: path.to_path_buf(),
            underscore_is_none: is_conllu && !spans && layout.label != MISC,
            layout,
            attribute,
        })
    }

    /// The word and the label of a line; none for a line that holds no word.
    fn word<'a>(&'a self, line: &Line<'a>) -> Result<Option<(&'a str, &'a str)>, DatasetError> {
        let layout = &self.layout;
        let (mut id, mut word, mut label, mut count) = ("", "", "", 0);
        for (index, field) in layout.fields(line.text).enumerate() {
            count = index + 1;
            if Some(index) == layout.id {
                id = field;
            }
            if index == layout.token {
                word = field;
            }
            if index == layout.label {
                label = field;
            }
        }
        if line.text.starts_with('#') && layout.is_comment(count, label) {
            return Ok(None);
        }
        if count != layout.columns {
            let separator = if layout.tabs { "tabs" } else { "spaces" };
            return Err(line.error(LineError::Columns {
                expected: layout.columns,
                got: count,
                separator,
            }));
        }
        // `8-9` is a contraction whose parts follow, `8.1` a word that is not in the text.
        if layout.id.is_some() && id.contains(['-', '.']) {
            return Ok(None);
        }
        let label = match &self.attribute {
            Some(attribute) => attribute.value(label),
            None => label,
        };
        Ok(Some((word, label)))
    }

    /// Says which columns are read, where they are not the first and the last.
    fn columns_note(&self) -> Option<String> {
        if let Some(Attribute { name, .. }) = &self.attribute {
            return Some(format!("labels are read from `{name}` in column misc"));
        }
        let Layout {
            token,
            label,
            columns,
            ..
        } = self.layout;
        (token != 0 || label + 1 != columns).then(|| {
            format!(
                "words are read from column {token} and labels from column {label}, counted from 0"
            )
        })
    }
}

impl LabelledFile for ColumnFile {
    fn columns(&self) -> (String, String) {
        let attribute = self.attribute.as_ref();
        let attribute =
            attribute.map_or_else(String::new, |attribute| format!(":{}", attribute.name));
        let Layout { token, label, .. } = self.layout;
        (token.to_string(), format!("{label}{attribute}"))
    }

    fn level(&self) -> Level {
        Level::Token
    }

    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let mut lines = Lines::open(&self.path)?;
        let mut sentences = Sentences::default();
        let mut begin = None;
        while let Some(line) = lines.next()? {
            if is_blank(line.text) || is_boundary(line.text) {
                sentences.close(begin.take().unwrap_or(line.number));
                continue;
            }
            if self.layout.header == Some(line.number) {
                continue;
            }
            if let Some((word, label)) = self.word(&line)? {
                begin.get_or_insert(line.number);
                sentences.add_word(word);
                match label {
                    "" => sentences.add_empty_label(line.number, self.layout.label),
                    "_" if self.underscore_is_none => sentences.add_label(UNLABELLED),
                    _ => sentences.add_label(label),
                }
            }
        }
        sentences.close(begin.unwrap_or_default());
        notes.extend(self.columns_note());
        lines.filled(sentences)
    }
}
