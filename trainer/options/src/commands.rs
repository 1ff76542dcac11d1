//! The options of each command, put together from those about store, training, head and machine.

use std::path::PathBuf;

use clap::Args;
use shared::datasets::SplitName;

use crate::machine::MachineArgs;
use crate::store::StoreArgs;
use crate::training::{HeadArgs, TrainingArgs};
use crate::values::positive;

/// Options of `train`.
#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Which head.
    #[command(flatten)]
    pub head: HeadArgs,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Where the run goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where a run goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder of runs; each gets a folder of its own there
    #[arg(long, value_name = "RUNS", default_value = "runs")]
    pub out: PathBuf,
    /// Name of the run's folder [default: MODEL--DATASET--HEAD-SEED]
    #[arg(long)]
    pub name: Option<String>,
    /// Go on where a run of the same settings was stopped, or start it
    #[arg(long)]
    pub resume: bool,
    /// Replace a run of that name
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Print the results as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Options of `sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// TOML file that lists the runs
    #[arg(long, value_name = "FILE", help_heading = "Runs")]
    pub config: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Folder of runs; the sweep gets a folder there, and each of its runs one in that
    #[arg(
        long,
        value_name = "RUNS",
        default_value = "runs",
        help_heading = "Output"
    )]
    pub out: PathBuf,
    /// Name of the sweep's folder [default: that of FILE]
    #[arg(long, help_heading = "Output")]
    pub name: Option<String>,
    /// Start all runs anew; without it, finished runs are kept and unfinished ones go on
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
    /// Print the results as JSON on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// A trained head and the data to run it over.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Folder of the run
    #[arg(long)]
    pub run: PathBuf,
    /// Split to run over
    #[arg(long, default_value = "test")]
    pub split: SplitName,
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `eval`.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Head and data.
    #[command(flatten)]
    pub run: RunArgs,
    /// Print the scores as JSON on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// Options of `predict`.
#[derive(Clone, Debug, Args)]
pub struct PredictArgs {
    /// Head and data.
    #[command(flatten)]
    pub run: RunArgs,
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// Also write the logits of all classes, to combine heads or to calibrate them: a JSON object a
    /// sentence
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub logits: Option<PathBuf>,
}

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Folders of runs on the same data, or of sweeps; the first one's head is tested against the others
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Split whose predictions are tested
    #[arg(long, default_value = "test")]
    pub split: SplitName,
    /// Test sets to draw in the bootstrap
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    pub resamples: usize,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print the results as JSON on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Store or folder of stores to look at
    #[arg(long, value_name = "ROOT|STORE")]
    pub cache: Option<PathBuf>,
    /// Folder of runs to look at
    #[arg(long, value_name = "RUNS", default_value = "runs")]
    pub out: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Print the findings as JSON on stdout
    #[arg(long)]
    pub json: bool,
}

impl TrainArgs {
    /// The options that are missing.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.store
            .missing()
            .into_iter()
            .chain(self.training.epochs.is_none().then_some("--epochs <N>"))
            .collect()
    }
}
