//! What can be wrong with a data set, with the place, what was expected and what is there, so that
//! the file can be corrected.

use std::io;
use std::path::PathBuf;

use super::SplitName;
use super::parquet::ParquetError;
use crate::exit::{ExitStatus, HasExitStatus};
use crate::tasks::dependencies::TreeError;

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder cannot be read; the message names it.
    #[error("cannot read the data set: {0}")]
    Io(#[from] io::Error),
    /// A file breaks off or is not what it was.
    #[error("{}: cannot read past line {line}: {source}; if the file is compressed, it may be cut short", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last line that was read.
        line: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A packed or binary file under the name of a text.
    #[error("{}: this is no text but {what}: {remedy}", .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// How to come by the text.
        remedy: &'static str,
    },
    /// There is nothing at the path.
    #[error("{}: there is no such file or folder; give a data set's folder, with train.*, validation.* and test.* in it, or one file", .0.display())]
    NotFound(PathBuf),
    /// A folder holds no file that is named like a split.
    #[error(
        "{}: no file is called train, validation (dev, devel, valid, val) or test with one of the endings {endings}; rename the files, or name each",
        .folder.display()
    )]
    NoSplits {
        /// The folder.
        folder: PathBuf,
        /// The endings that are known.
        endings: String,
    },
    /// Two files claim to be the same split.
    #[error("{} and {} both look like the {split} split; move one out of the folder, or name the files", .first.display(), .second.display())]
    TwoFiles {
        /// The split.
        split: SplitName,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// A split is in several files, of which one is missing.
    #[error("{}: file {missing} of {total} of this split (counted from 0) is not beside it; fetch it, or name the file that is to be read", .path.display())]
    MissingShard {
        /// A file that is there.
        path: PathBuf,
        /// The number of the missing one.
        missing: usize,
        /// How many there are.
        total: usize,
    },
    /// A file is there but holds no sentence.
    #[error("{}: no sentence with labels in it ({what}); put labelled sentences into it, or take the file away", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        what: &'static str,
    },
    /// A line that cannot be right.
    #[error("{}:{line}: {cause}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: LineError,
    },
    /// A column that was asked for is not there.
    #[error(
        "{}:{line}: there is no column {column} for the {what}; columns here: {available}; choose one of them with --{what}-column",
        .path.display()
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The line by which the columns were counted.
        line: usize,
        /// `token` or `label`.
        what: &'static str,
        /// The column wanted.
        column: String,
        /// The columns that are there.
        available: String,
    },
    /// The files of one data set have their words or labels in different columns.
    #[error(
        "{}: token and label are in columns {got}, but in {} in columns {expected}; name them with --token-column and --label-column, or make the files alike",
        .path.display(), .first.display()
    )]
    Disagree {
        /// The file.
        path: PathBuf,
        /// Its columns.
        got: String,
        /// The file before it.
        first: PathBuf,
        /// The columns of that one.
        expected: String,
    },
    /// A parquet file cannot be read.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// A parquet file among files of other formats.
    #[error("{}: a data set is either all parquet or has none; write this file in the format of the others, or those as parquet", .0.display())]
    Mixed(PathBuf),
    /// Tags that cannot be read as spans.
    #[error("{}:{line}: word {word} of the sentence: {cause}", .path.display())]
    Tag {
        /// The file.
        path: PathBuf,
        /// The line on which the sentence begins, from 1.
        line: usize,
        /// The word, from 1.
        word: usize,
        /// What is wrong.
        #[source]
        cause: Box<crate::tasks::schemes::SchemeError>,
    },
    /// No column can be chosen.
    #[error("{}:{line}: {problem}; the columns are {columns}; name one with --{what}-column", .path.display())]
    Choice {
        /// The file.
        path: PathBuf,
        /// The line of the names.
        line: usize,
        /// `token` or `label`.
        what: &'static str,
        /// What is wrong.
        problem: String,
        /// All columns.
        columns: String,
    },
    /// Labels are numbers with a fraction, and are to be classes.
    #[error("{}: the labels are scores such as {example}, no classes: --task regression learns one a text; or name another column with --label-column", .path.display())]
    Scores {
        /// The file.
        path: PathBuf,
        /// One of them.
        example: String,
    },
    /// Labels that hardly repeat.
    #[error("{}: {labels} labels are of {classes} classes, which hardly repeat, so there is nothing to learn; if the labels are in another column, name it with --label-column", .path.display())]
    TooManyClasses {
        /// The file.
        path: PathBuf,
        /// Different labels.
        classes: usize,
        /// Labels.
        labels: usize,
    },
    /// Words without ends of sentences.
    #[error("{}: {words} words, and nothing says where a sentence ends: put an empty line between sentences, or a column `sentence_id` with a header; if each line is a text, name its format with --format", .path.display())]
    NoSentenceEnds {
        /// The file.
        path: PathBuf,
        /// How many.
        words: usize,
    },
    /// Labels that no task has.
    #[error("{}: no task is known for labels of this kind ({found}); name one with --task", .path.display())]
    NoTask {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A task that the labels do not fit.
    #[error("{}: the task {task} needs {needed}, but the file has {found}; choose another --task, or mend the labels", .path.display())]
    Task {
        /// The file.
        path: PathBuf,
        /// The task that was asked for.
        task: crate::tasks::Task,
        /// What the task needs.
        needed: &'static str,
        /// What is there.
        found: &'static str,
    },
}

impl HasExitStatus for DatasetError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => ExitStatus::of_io(error),
            Self::Parquet(error) => error.exit_status(),
            // Bytes that do not unpack are bad data, not a bad disk.
            Self::Read { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::InvalidInput
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::UnexpectedEof
                ) =>
            {
                ExitStatus::User
            }
            Self::Read { source, .. } => ExitStatus::of_io(source),
            _ => ExitStatus::User,
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Too few or too many columns.
    #[error(
        "expected {expected} columns separated by {separator}, got {got}: {}",
        if got < expected {
            "add what is missing, or end the sentence with an empty line"
        } else {
            "take out what is too much, such as a separator inside a word or text"
        }
    )]
    Columns {
        /// Columns of the rest of the file.
        expected: usize,
        /// Columns of this line.
        got: usize,
        /// `tabs` or `spaces`.
        separator: &'static str,
    },
    /// A label is an empty text.
    #[error("the {what} in column {column} is empty: fill it in, or delete the line")]
    EmptyField {
        /// What should be there.
        what: &'static str,
        /// The column, from 0.
        column: usize,
    },
    /// Bytes that are no UTF-8.
    #[error("not UTF-8 text: convert the file, for example with `iconv -f latin1 -t utf-8`")]
    NotUtf8,
    /// A line that no text has.
    #[error(
        "the line is longer than {limit} bytes: this is no text file, or its line ends are missing"
    )]
    TooLong {
        /// The longest line allowed.
        limit: usize,
    },
    /// A line that is no JSON object.
    #[error("not a JSON object on one line: {0}")]
    Json(String),
    /// A JSON object or table without what is needed.
    #[error(
        "expected {expected}, got {got}: rename the fields, or name them with --token-column and --label-column"
    )]
    Fields {
        /// Fields needed.
        expected: String,
        /// Fields there.
        got: String,
    },
    /// As many labels as words are needed.
    #[error("{words} words but {labels} labels: every word needs one label")]
    Lengths {
        /// Number of words.
        words: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A span of characters that the words of its text cannot hold.
    #[error("the span from {start} to {end} ({label}) {problem}")]
    Span {
        /// Its first character, from 0, as the file has it.
        start: usize,
        /// One past its last.
        end: usize,
        /// Its type.
        label: String,
        /// What is wrong.
        problem: String,
    },
    /// A word of a text that is not where it is said to be.
    #[error(
        "the token from {start} to {end} is past the text's end, or not behind the one before it"
    )]
    Token {
        /// Its first character, from 0.
        start: usize,
        /// One past its last.
        end: usize,
    },
    /// A span that cannot be understood.
    #[error(
        "expected a span as [start, end, type] or as an object with start, end and one label, offsets being numbers of characters, got {0}"
    )]
    SpanRecord(String),
    /// Annotations of one text that disagree.
    #[error("{0} annotations of one text that differ: keep one of them")]
    Annotations(usize),
    /// A head that is no number.
    #[error(
        "the head `{0}` is no number: expected the ID of a word of the sentence, 0 for its root, or `_` for a word without a label"
    )]
    Head(String),
    /// Words whose numbers do not count up.
    #[error(
        "the ID `{got}` stands where word {expected} of the sentence is expected: number the words from 1, with an empty line after each sentence"
    )]
    WordNumber {
        /// The number of the word.
        expected: usize,
        /// What is there.
        got: String,
    },
    /// A head without a relation, or the other way round.
    #[error(
        "the word has {}: give both, or `_` for both where the word has no label",
        if *has_relation { "a relation but no head" } else { "a head but no relation" }
    )]
    HalfAnArc {
        /// Whether the relation is there.
        has_relation: bool,
    },
    /// Heads that make no tree.
    #[error("{0}: correct the column HEAD, or take the sentence out of the file")]
    Tree(TreeError),
    /// A score that cannot be learned.
    #[error(
        "the score {0:?} is no finite number: write one, such as 3.5, or delete the line; --label-column names another column"
    )]
    NoNumber(String),
    /// A cell of a label's own column that is neither 1 nor 0.
    #[error(
        "the column {name} has {got:?}: 1 for a text that has the label and 0 for one that has not are needed; name the columns of labels with --label-column A,B,C"
    )]
    NoFlag {
        /// The column.
        name: String,
        /// What is there.
        got: String,
    },
    /// A text without a word.
    #[error("the text has no word in it: fill it in, or delete the line")]
    NoWord,
    /// More than one label before a text.
    #[error(
        "several labels before one text: --task multilabel reads them all; else keep one a line"
    )]
    SeveralLabels,
    /// Texts where words are expected.
    #[error(
        "the file has no header, and which column is the text and which its label cannot be told: put a header such as `text` and `label` above it, or name both by their numbers, counted from 0, with --token-column and --label-column"
    )]
    Texts,
    /// A quote that never ends.
    #[error(
        "the quotation mark that opens on this line is never closed: close it, or write it twice where it is part of the text"
    )]
    OpenQuote,
}
