//! What can be wrong with a data set in parquet: told with the file, and the row group and column
//! where there is one.

use std::path::PathBuf;

use crate::exit::{ExitStatus, HasExitStatus};

/// Why a parquet file cannot be read as labelled text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetError {
    /// No parquet, or a broken footer.
    #[error("{}: not a readable parquet file: {reason}; fetch or write it anew", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A part that cannot be read.
    #[error("{}: row group {group}, column `{column}`: {reason}; fetch or write the file anew", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// The row group, from 0.
        group: usize,
        /// The column.
        column: String,
        /// What the reader says.
        reason: String,
    },
    /// Packed in a way that is not read.
    #[error("{}: row group {group}, column `{column}`: packed with {codec}, which is not supported; write it with another codec, in Python `pq.write_table(pq.read_table('FILE'), 'NEW', compression='zstd')` (pq is pyarrow.parquet)", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// The row group, from 0.
        group: usize,
        /// The column.
        column: String,
        /// The codec.
        codec: String,
    },
    /// A row that makes no sentence.
    #[error("{}: row {row}, column `{column}`: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 0, as Python's libraries count.
        row: usize,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// More than fits.
    #[error("{}: row group {group}, column `{column}` needs {needed} bytes of memory, {limit} may be used: write it in smaller row groups", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The row group, from 0.
        group: usize,
        /// The column.
        column: String,
        /// Bytes it says it has.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// No column of a fitting type, or several.
    #[error("{}: {problem}; its columns are {columns}; name one with --{what}-column", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// `token` or `label`.
        what: &'static str,
        /// What is wrong.
        problem: String,
        /// All columns with their types.
        columns: String,
    },
    /// The labels do not fit the task.
    #[error("{}: {problem}", path.display())]
    Task {
        /// The file.
        path: PathBuf,
        /// What does not fit, and the remedy.
        problem: String,
    },
    /// No files of splits.
    #[error("{}: no parquet file is called train, validation (dev, valid) or test", folder.display())]
    NoSplits {
        /// The folder.
        folder: PathBuf,
    },
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl HasExitStatus for ParquetError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => ExitStatus::of_io(error),
            _ => ExitStatus::User,
        }
    }
}
