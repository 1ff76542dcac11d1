//! The command line: what was typed, turned into what the library does, and errors into exit codes.
//!
//! Bare `extractor --model ... --out ...` extracts; sub-commands are for the rest. Results that a
//! program would read go to stdout, everything else to stderr.

mod convert;
mod error;
mod export;
mod extract;
mod inspect;
mod label;
mod options;
mod plan;
mod predict;
mod prepare;
mod source;
mod verify;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use shared::exit::ExitStatus;
use shared::terminal::{Terminal, TerminalOptions};

use self::error::CliError;
use self::options::{ExtractOptions, LabelOptions, PlanOptions, StoreOptions, VerifyOptions};

/// Runs a frozen transformer encoder over a labelled text data set once and keeps every layer's
/// hidden states.
#[derive(Debug, Parser)]
#[command(
    name = "extractor",
    version,
    after_help = "Exit codes: 0 done; 1 an option or the input is wrong (options, data, a store of something else); 2 the \
                  machine failed (disk, memory, GPU); 75 stopped by a signal, run the same command again to go on.\n\
                  Every option has an environment variable of its name, for example EXTRACTOR_MODEL.\n\
                  The hub and its cache are those of Python's huggingface_hub: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, \
                  HF_TOKEN, HF_HUB_OFFLINE."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    extract: ExtractOptions,
    #[command(flatten)]
    output: TerminalOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Encode a data set into a store (what happens without a sub-command).
    Run(Box<ExtractOptions>),
    /// Tell tokens, bytes, files, free space and time; no weights are loaded and nothing is
    /// written.
    Plan(Box<PlanOptions>),
    /// Tell what is in a store.
    Inspect(StoreOptions),
    /// Add the labels of another task to a store of the same text, without encoding it again.
    Label(Box<LabelOptions>),
    /// Read every byte of a store and compare it with its checksums.
    Verify(VerifyOptions),
    /// Make a store in another number format, of fewer layers or with another compression, without an
    /// encoder.
    Convert(Box<convert::ConvertOptions>),
    /// Label new text with the head of a run, encoder and head in one graph.
    Predict(Box<predict::PredictOptions>),
    /// Write encoder and head of a run as one ONNX file, with labels and tokenizer.
    Export(Box<export::ExportOptions>),
    /// Tell which libraries, devices, threads and file systems will be used, and why.
    Doctor(options::DoctorOptions),
}

/// Runs the program with its command line and tells how it should exit.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(refused) => {
            // Help and version are printed as such; anything else is a wrong option.
            let status = if refused.use_stderr() {
                ExitStatus::User
            } else {
                ExitStatus::Success
            };
            let _ = refused.print();
            return status;
        }
    };
    let terminal = cli.output.terminal();
    match dispatch(cli, &terminal) {
        Ok(status) => status,
        Err(error) => {
            terminal.error(&error.message, &error.hints);
            error.status
        }
    }
}

/// Options of an extraction before the name of another command would be ignored: they are refused.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = shared::environment::with_variables(Cli::command(), "EXTRACTOR");
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name, _)) = matches.subcommand() {
        let everywhere = ["quiet", "verbose", "no_progress"];
        let typed = |option: &&clap::Arg| {
            let id = option.get_id().as_str();
            matches.try_contains_id(id).is_ok()
                && matches.value_source(id) == Some(ValueSource::CommandLine)
                && !everywhere.contains(&id)
        };
        let stray = command.get_arguments().find(typed).map(ToString::to_string);
        if let Some(stray) = stray {
            let message = format!(
                "{stray} stands before {name}, where it would mean nothing: write it after {name}"
            );
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
    }
    Cli::from_arg_matches(&matches)
}

fn dispatch(cli: Cli, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    match cli.command {
        None => extract::run(&cli.extract, terminal),
        Some(Command::Run(options)) => extract::run(&options, terminal),
        Some(Command::Plan(options)) => plan::run(&options, terminal),
        Some(Command::Inspect(options)) => inspect::run(&options, terminal),
        Some(Command::Label(options)) => label::run(&options, terminal),
        Some(Command::Verify(options)) => verify::run(&options, terminal),
        Some(Command::Convert(options)) => convert::run(&options, terminal),
        Some(Command::Predict(options)) => predict::run(&options, terminal),
        Some(Command::Export(options)) => export::run(&options, terminal),
        Some(Command::Doctor(options)) => Ok(crate::doctor::run(options.out.as_deref(), terminal)),
    }
}
