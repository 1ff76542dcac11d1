//! Texts with spans of characters, as annotation tools write them: doccano, Label Studio, Prodigy,
//! spaCy. Here they become words with IOB2 tags. A span that the words cannot hold is an error: one
//! that is off by a character would be learned as it stands.

mod align;
mod annotation;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json_records::JsonRecords;
use super::labelled_file::LabelledFile;
use super::{DatasetError, LineError, Sentences, Source};
use crate::tasks::Level;
use align::Counting;
use annotation::{Fields, Reading, Shape};

/// So many records tell what a file holds.
const SAMPLE: usize = 1_000;

/// A file of texts with spans.
#[derive(Debug)]
pub(super) struct SpanFile {
    path: PathBuf,
    fields: Fields,
}

impl SpanFile {
    /// The file, if its first records are texts with spans.
    pub(super) fn recognise(path: &Path, source: &Source) -> Result<Option<Self>, DatasetError> {
        let fields = Fields::new(source);
        let mut records = JsonRecords::open(path)?;
        let mut seen = false;
        for _ in 0..SAMPLE {
            // What is no JSON is an error of the reader that comes next.
            let Ok(Some((_, text))) = records.next() else {
                break;
            };
            let Ok(value) = serde_json::from_str::<Value>(text) else {
                return Ok(None);
            };
            match fields.shape(&value) {
                Shape::Other => return Ok(None),
                Shape::NoSpan => seen = true,
                Shape::Spans => {
                    seen = true;
                    break;
                }
            }
        }
        let path = path.to_path_buf();
        Ok(seen.then_some(Self { path, fields }))
    }

    /// What the offsets of the file count.
    fn counting(&self) -> Result<Counting, DatasetError> {
        let mut records = JsonRecords::open(&self.path)?;
        while let Some((_, text)) = records.next()? {
            // What is wrong with a record is said when it is read.
            let value = serde_json::from_str(text).unwrap_or_default();
            if let Ok(Reading::Text(text)) = self.fields.read(&value)
                && align::counts_units(&text)
            {
                return Ok(Counting::Units);
            }
        }
        Ok(Counting::Characters)
    }
}

impl LabelledFile for SpanFile {
    fn columns(&self) -> (String, String) {
        ("text".to_owned(), "spans".to_owned())
    }

    fn level(&self) -> Level {
        Level::Token
    }

    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError> {
        let counting = self.counting()?;
        if counting == Counting::Units {
            notes.push("offsets of spans are read as UTF-16 units".to_owned());
        }
        let mut records = JsonRecords::open(&self.path)?;
        let mut sentences = Sentences::default();
        let (mut unlabelled, mut cuts) = (0_usize, 0_usize);
        while let Some((line, text)) = records.next()? {
            let error = |cause| DatasetError::Line {
                path: self.path.clone(),
                line,
                cause,
            };
            let value = serde_json::from_str(text)
                .map_err(|cause| error(LineError::Json(cause.to_string())))?;
            match self.fields.read(&value).map_err(error)? {
                Reading::Unlabelled => unlabelled += 1,
                Reading::Text(text) => {
                    cuts += align::add(&text, counting, &mut sentences, line).map_err(error)?;
                }
            }
        }
        let path = self.path.display();
        notes.push("spans of characters are read as IOB2 tags of words".to_owned());
        if unlabelled > 0 {
            notes.push(format!(
                "{path}: {unlabelled} texts that nobody has labelled are left out"
            ));
        }
        if cuts > 0 {
            notes.push(format!(
                "{path}: {cuts} words are cut in two where a span begins or ends"
            ));
        }
        records.filled(sentences)
    }
}
