//! What the reader of every text format offers, whatever its files look like.

use super::{DatasetError, Sentences};
use crate::tasks::Level;

/// A file of one format, its columns found: what every format has to offer.
pub(super) trait LabelledFile {
    /// The columns or fields of words and labels, equal in all files of a data set.
    fn columns(&self) -> (String, String);
    /// What has a label: each word, or each text.
    fn level(&self) -> Level;
    /// Whether a text has a list of labels, which may be empty.
    fn sets(&self) -> bool {
        false
    }
    /// Reads all sentences, one at least; adds to `notes` what was guessed or left out and may
    /// surprise.
    fn read(&self, notes: &mut Vec<String>) -> Result<Sentences, DatasetError>;
}
