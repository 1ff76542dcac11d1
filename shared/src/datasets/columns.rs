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
use super::trees::{Relations, Tree};
use super::{Column, DatasetError, Format, LineError, Sentences, Source};
use crate::tasks::dependencies::universal;
use crate::tasks::{Level, Task, UNLABELLED};

/// Words above which a file has more than one sentence.
const ONE_SENTENCE: usize = 2_000;

/// A column file whose columns are known.
#[derive(Debug)]
pub(super) struct ColumnFile {
    path: PathBuf,
    layout: Layout,
    /// The attribute of MISC that holds the labels, in CoNLL-U.
    attribute: Option<Attribute>,
    /// Whether `_` says that a word has no label, as in CoNLL-U.
    underscore_is_none: bool,
    relations: Relations,
}

/// What a line says of a word.
struct Word<'a> {
    form: &'a str,
    label: &'a str,
    /// Its number in the sentence and that of its head, where heads are read.
    arc: Option<(&'a str, &'a str)>,
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
            relations: source.relations,
        })
    }

    /// What a line says; none for a line that holds no word.
    fn word<'a>(&'a self, line: &Line<'a>) -> Result<Option<Word<'a>>, DatasetError> {
        let layout = &self.layout;
        let (mut id, mut word, mut label, mut head, mut count) = ("", "", "", "", 0);
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
            if Some(index) == layout.head {
                head = field;
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
        let arc = layout.head.is_some().then_some((id, head));
        let label = match self.relations {
            Relations::Universal if arc.is_some() => universal(label),
            Relations::Universal | Relations::Full => label,
        };
        Ok(Some(Word {
            form: word,
            label,
            arc,
        }))
    }

    /// Ends the sentence that began on a line.
    fn close(
        &self,
        sentences: &mut Sentences,
        tree: &mut Tree,
        begin: usize,
    ) -> Result<(), DatasetError> {
        let heads = tree.close().map_err(|(line, cause)| DatasetError::Line {
            path: self.path.clone(),
            line,
            cause,
        })?;
        sentences.add_heads(&heads);
        sentences.close(begin);
        Ok(())
    }

    /// Says which columns are read, where others could be.
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
        let head = self.layout.head;
        let heads = head.map_or_else(String::new, |head| format!(", heads from column {head}"));
        (token != 0 || columns > 2).then(|| {
            format!(
                "words are read from column {token}{heads} and labels from column {label} of {columns}, counted \
                 from 0 (--token-column and --label-column choose others)"
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
        let mut tree = Tree::default();
        while let Some(line) = lines.next()? {
            if is_blank(line.text) || is_boundary(line.text) {
                self.close(
                    &mut sentences,
                    &mut tree,
                    begin.take().unwrap_or(line.number),
                )?;
                continue;
            }
            if self.layout.header == Some(line.number) {
                continue;
            }
            if let Some(Word { form, label, arc }) = self.word(&line)? {
                begin.get_or_insert(line.number);
                sentences.add_word(form);
                match label {
                    "" => sentences.add_empty_label(line.number, self.layout.label),
                    "_" if self.underscore_is_none => sentences.add_label(UNLABELLED),
                    _ => sentences.add_label(label),
                }
                if let Some(arc) = arc {
                    let added = tree.add(&line, arc, label != "_");
                    added.map_err(|cause| line.error(cause))?;
                }
            }
        }
        self.close(&mut sentences, &mut tree, begin.unwrap_or_default())?;
        notes.extend(self.columns_note());
        if sentences.len() == 1 && sentences.word_count() > ONE_SENTENCE {
            return Err(DatasetError::NoSentenceEnds {
                path: self.path.clone(),
                words: sentences.word_count(),
            });
        }
        lines.filled(sentences)
    }
}
