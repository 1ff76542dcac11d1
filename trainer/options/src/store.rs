//! Which store is read, and how.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which store to read, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// The store, or a folder that holds one
    #[arg(long, value_name = "ROOT|STORE")]
    pub cache: Option<PathBuf>,
    /// Of several stores, the one of this model
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// Of several stores, the one of this data set
    #[arg(long, value_name = "ID")]
    pub dataset: Option<String>,
    /// How to read the activations
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub io: IoChoice,
    /// Do not compare stored chunks with their checksums when they are first read
    #[arg(long)]
    pub no_checksums: bool,
}

/// How activations are read, and where they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IoChoice {
    /// What fits store, file system and memory; device on a GPU that has room for it
    #[default]
    Auto,
    /// Files are mapped, and read when they are first used
    Mmap,
    /// A sentence at a time, for slow network file systems
    Read,
    /// All into the memory of the machine
    Ram,
    /// All into the memory of the GPU
    Device,
}

impl StoreArgs {
    /// The option that is missing, where one is.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.cache.is_none().then_some("--cache <ROOT|STORE>")
    }
}
