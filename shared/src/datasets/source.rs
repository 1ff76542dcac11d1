//! What the user says about a data set: where it is, and whatever of format, columns and task is
//! not to be found out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Column, Format, Relations, SplitName};
use crate::tasks::Task;
use crate::tasks::schemes::Scheme;

/// Where a data set is and what the user said about it; what was not said is found out.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A folder with `train.*`, `validation.*` and `test.*` in it, or one file.
    pub path: PathBuf,
    /// Files by split, instead of looking for them in `path`.
    pub files: BTreeMap<SplitName, PathBuf>,
    /// The format of all files, instead of telling by the ending.
    pub format: Option<Format>,
    /// The task, instead of guessing it from the labels.
    pub task: Option<Task>,
    /// How spans are tagged, instead of finding it out from the tags.
    pub scheme: Option<Scheme>,
    /// The column or field of the words, or of the text.
    pub token_column: Option<Column>,
    /// The column or field of the second text of a pair.
    pub text_pair_column: Option<Column>,
    /// The column or field of the labels.
    pub label_column: Option<Column>,
    /// Whether relations keep their subtypes.
    pub relations: Relations,
    /// Chooses the sentences that are taken from train where there is no validation split.
    pub seed: u64,
}

impl Source {
    /// A data set at `path`, everything else to be found out.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }
}
