//! What can be wrong with weight files.

use std::path::PathBuf;

use shared::exit::{ExitStatus, HasExitStatus};

/// Why weights cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file that the system does not give out.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not a safetensors file, or not a whole one.
    #[error("{} is not a whole safetensors file: {problem}; copy or download it again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A pointer that git left in place of a large file.
    #[error("{} is a pointer of git lfs, not the weights: run `git lfs pull` in the model's folder", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// An index that cannot be read.
    #[error("{} is not an index of safetensors files: {problem}", path.display())]
    BrokenIndex {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An index that names a file that is not there.
    #[error("{} names {file}, which is not in the folder: the download is incomplete", path.display())]
    MissingFile {
        /// The index.
        path: PathBuf,
        /// What it names.
        file: String,
    },
    /// An index that names a file elsewhere.
    #[error("{} names '{file}': only files in the model's own folder are read", path.display())]
    OutsideFolder {
        /// The index.
        path: PathBuf,
        /// What it names.
        file: String,
    },
    /// One name, two tensors.
    #[error("the tensor {tensor} is both in {} and in {}", files[0].display(), files[1].display())]
    Duplicate {
        /// The tensor.
        tensor: String,
        /// Where it is.
        files: Box<[PathBuf; 2]>,
    },
    /// A tensor that the configuration calls for.
    #[error(
        "{files}: there is no tensor {} of shape {expected:?} (nor {}){}; do config.json and the weights belong together?",
        tried[0], tried[1..].join(", "),
        similar.as_ref().map_or_else(String::new, |name| format!(", the nearest name is {name}"))
    )]
    Missing {
        /// Where it was looked for.
        files: String,
        /// The names it was looked for under.
        tried: Vec<String>,
        /// The shape it should have.
        expected: Vec<usize>,
        /// A name that is there.
        similar: Option<String>,
    },
    /// A tensor of another shape than the configuration says.
    #[error(
        "{}: the tensor {tensor} has shape {got:?}, expected {expected:?} by config.json; do the two belong together?",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What config.json implies.
        expected: Vec<usize>,
        /// What the file says.
        got: Vec<usize>,
    },
    /// A tensor whose numbers are not weights as they stand.
    #[error(
        "{}: the tensor {tensor} is of type {got}, expected F64, F32, F16 or BF16; if the weights are quantised, they have to be restored first",
        path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the file says.
        got: String,
    },
}

impl HasExitStatus for CheckpointError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(_) => ExitStatus::Machine,
            Self::Broken { .. }
            | Self::LfsPointer { .. }
            | Self::BrokenIndex { .. }
            | Self::MissingFile { .. }
            | Self::OutsideFolder { .. }
            | Self::Duplicate { .. }
            | Self::Missing { .. }
            | Self::Shape { .. }
            | Self::Type { .. } => ExitStatus::User,
        }
    }
}
