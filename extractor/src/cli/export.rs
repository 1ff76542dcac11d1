//! `extractor export`: encoder and head of a run as one ONNX file, for use elsewhere.

use std::path::PathBuf;

use clap::Args;
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::predict::{RunOptions, encoder};
use crate::export::export;
use crate::head::Run;

/// Options of `extractor export`.
#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    head: RunOptions,
    /// The file to write; labels.json and tokenizer.json go beside it.
    #[arg(
        long,
        value_name = "FILE.onnx",
        env = "EXTRACTOR_EXPORT_OUT",
        help_heading = "Output"
    )]
    out: PathBuf,
    /// Put the weights into FILE.onnx.data; always done where they have 2 GB or more, which an ONNX
    /// file cannot hold.
    #[arg(long, help_heading = "Output")]
    external_data: bool,
    /// Replace files that are there.
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
}

pub(super) fn run(options: &ExportOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let stop = shared::signals::install()?;
    let run = Run::open(&options.head.run)?;
    let files = encoder(&options.head, &run, terminal, &stop)?;
    let written = export(
        &files,
        &run,
        &options.out,
        options.external_data,
        options.overwrite,
    )?;
    for path in written {
        terminal.status(format!("wrote      {}", path.display()));
    }
    Ok(ExitStatus::Success)
}
