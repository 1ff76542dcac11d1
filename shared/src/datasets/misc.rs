//! Labels in the last column of CoNLL-U, MISC, which holds attributes (`name=B-LOC|SpaceAfter=No`):
//! one of them is the label, the rest of the column is not.

use std::collections::BTreeMap;
use std::path::Path;

use super::layout::{CONLLU, is_boundary};
use super::lines::{Lines, is_blank};
use super::{Column, DatasetError, Source};
use crate::tasks::Task;

/// The column, from 0.
pub(super) const MISC: usize = 9;
/// So many lines of words are looked at.
const SAMPLE: usize = 20_000;
/// What attributes with tags of spans are called, in small letters without `_`.
const NAMES: [&str; 16] = [
    "name",
    "ner",
    "nertag",
    "ne",
    "netag",
    "entity",
    "entitytag",
    "entitytype",
    "namedentity",
    "bio",
    "iob",
    "iob2",
    "tag",
    "label",
    "chunk",
    "chunktag",
];

/// The attribute that holds the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    /// What stands for words that lack it: what the file writes for words in no span, if it does.
    without: String,
}

impl Attribute {
    /// The attribute in which the user, or what is in the file, says the labels are; none when they
    /// are in a column.
    pub(super) fn find(path: &Path, source: &Source) -> Result<Option<Self>, DatasetError> {
        let is_column = |name: &str| CONLLU.iter().any(|known| known.eq_ignore_ascii_case(name));
        let wanted = match &source.label_column {
            Some(Column::Index(MISC)) => None,
            Some(Column::Name(name)) if name.eq_ignore_ascii_case("misc") => None,
            Some(Column::Name(name)) if is_column(name) => return Ok(None),
            Some(Column::Name(name)) => Some(name.as_str()),
            None if source.task.is_some_and(Task::has_spans) => None,
            Some(Column::Index(_)) | None => return Ok(None),
        };
        let seen = Seen::of(path)?;
        let found: Vec<&String> = match wanted {
            Some(name) => {
                let name = name.rsplit([':', '.']).next().unwrap_or(name);
                seen.attributes
                    .keys()
                    .filter(|known| known.eq_ignore_ascii_case(name))
                    .collect()
            }
            None => seen
                .attributes
                .keys()
                .filter(|name| is_usual(name))
                .collect(),
        };
        match (found.as_slice(), &source.label_column) {
            ([name], _) => Ok(Some(Self {
                name: (*name).clone(),
                without: seen
                    .attributes
                    .get(*name)
                    .cloned()
                    .flatten()
                    .unwrap_or("_".to_owned()),
            })),
            (_, None) => Ok(None),
            // Tags by themselves.
            ([], Some(_)) if wanted.is_none() && seen.attributes.is_empty() => Ok(None),
            (_, Some(column)) => Err(DatasetError::NoColumn {
                path: path.to_path_buf(),
                line: seen.line,
                what: "label",
                column: column.to_string(),
                available: format!(
                    "{}; attributes in misc: {}",
                    CONLLU.join(", "),
                    seen.attributes
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }),
        }
    }

    /// The label in the column of one word.
    pub(super) fn value<'a>(&'a self, misc: &'a str) -> &'a str {
        attributes(misc)
            .find(|(name, _)| *name == self.name)
            .map_or(self.without.as_str(), |(_, value)| value)
    }
}

fn is_usual(name: &str) -> bool {
    let name = name.to_lowercase().replace('_', "");
    NAMES.contains(&name.as_str())
}

fn attributes(misc: &str) -> impl Iterator<Item = (&str, &str)> {
    misc.split('|')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// The attributes at the beginning of a file.
#[derive(Default)]
struct Seen {
    /// The first line of a word.
    line: usize,
    /// Each with the value that says a word is in no span.
    attributes: BTreeMap<String, Option<String>>,
}

impl Seen {
    fn of(path: &Path) -> Result<Self, DatasetError> {
        let mut lines = Lines::open(path)?;
        let mut seen = Self::default();
        let mut count = 0;
        while count < SAMPLE
            && let Some(line) = lines.next()?
        {
            if is_blank(line.text) || is_boundary(line.text) || line.text.starts_with('#') {
                continue;
            }
            if count == 0 {
                seen.line = line.number;
            }
            count += 1;
            for (name, value) in attributes(line.text.split('\t').nth(MISC).unwrap_or_default()) {
                let outside = seen.attributes.entry(name.to_owned()).or_default();
                if outside.is_none() && ["O", "o", "0", "*", "-"].contains(&value) {
                    *outside = Some(value.to_owned());
                }
            }
        }
        Ok(seen)
    }
}
