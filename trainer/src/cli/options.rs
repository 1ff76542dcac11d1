//! The command line. It is compiled into the launcher too, which knows no tensor: help, version and a mistyped
//! option are answered without any native library.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use shared::dataset::{SplitName, Task};
use shared::terminal::TerminalOptions;

const EXAMPLES: &str = "\
Examples:
  trainer --cache cache/ --epochs 20                    train the adapter on the store in cache/
  trainer --cache cache/ --epochs 20 --head last        a linear probe of the last layer, to compare with
  trainer --cache cache/ --epochs 20 --resume           go on with a run that was stopped
  trainer eval --run runs/NAME --cache cache/ --split test

Every option has a twin in the environment: --batch-size is TRAINER_BATCH_SIZE.
Exit status: 0 done, 1 yours to mend, 2 the machine's, 75 stopped by a signal with all state saved.";

const SWEEP: &str = "\
A sweep's file; keys are the options of `trainer train` about head and training:
  [defaults]                  # of every run
  epochs = 20
  [grid]                      # every combination of these
  seed = [0, 1, 2]
  [[run]]                     # each of these, times the grid; goes before defaults and grid
  head = \"adapter\"
  [[run]]
  head = \"last\"
  name = \"probe\"            # a name in place of the head's

Runs that see their sentences in the same order (seed or order-seed, batch size, limit-train) share one pass over the
store each epoch. --threads runs are trained at the same time, each on one thread: its numbers are those of
`trainer train --threads 1` with the same options. Stopped or killed, the same command goes on.
On a GPU heads of one shape are computed as one; --device cuda:0,2 or cuda:all spreads the runs over several GPUs.";

/// Trains small heads on the hidden states that `extractor` stored.
#[derive(Clone, Debug, Parser)]
#[command(name = "trainer", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do; without one, `train`.
    #[command(subcommand)]
    pub command: Option<Job>,
    /// Options of `train`, which go without its name.
    #[command(flatten)]
    pub train: TrainArgs,
    /// What to say.
    #[command(flatten)]
    pub terminal: TerminalOptions,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Job {
    /// Train a head (what happens without a command, too)
    #[command(after_help = EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Train many heads on one pass over the store: seeds, learning rates, heads, sizes, tasks
    #[command(after_help = SWEEP)]
    Sweep(SweepArgs),
    /// Score a trained head on a split of a store
    Eval(EvalArgs),
    /// Write the predictions of a trained head on a split: token, gold and predicted label
    Predict(PredictArgs),
    /// Show runs side by side, and whether their differences are more than luck
    Compare(CompareArgs),
    /// Show which libraries, devices and files will be used, and why
    Doctor(DoctorArgs),
}

/// Which store to read, and how.
#[derive(Clone, Debug, Default, Args)]
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
    /// How to read: mapped, a sentence at a time (for slow network file systems), or all into the memory of the
    /// machine (ram) or of its graphics card (device: what auto does with a card that has the room)
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "mmap", "read", "ram", "device"])]
    pub io: String,
    /// Do not compare stored chunks with their checksums when they are first read
    #[arg(long)]
    pub no_checksums: bool,
}

/// Where to compute.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// auto, cpu, cuda or cuda:N; for a sweep also several, cuda:0,2 or cuda:all; cuda never falls back to the CPU
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads on the CPU [default: what the job may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Graphics card: the same numbers in every run on the same kind of card; the CPU always gives the same
    /// numbers
    #[arg(long)]
    pub deterministic: bool,
}

impl MachineArgs {
    /// What an environment must hold before libtorch starts, for the same numbers in every run: cuBLAS then works in buffers of
    /// fixed size, which is all that its documentation asks for ("Results reproducibility").
    #[must_use]
    pub fn environment(&self) -> Option<(&'static str, &'static str)> {
        self.deterministic
            .then_some(("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
    }
}

/// Options of `train`.
#[derive(Clone, Debug, Default, Args)]
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

/// How to train.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Passes over the training set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Labels to learn, if the store has those of several tasks [default: the data set's own]
    #[arg(long)]
    pub task: Option<Task>,
    /// Learning rate, the highest one of the schedule
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub lr: f64,
    /// How the learning rate goes
    #[arg(long, default_value = "one-cycle", value_parser = ["one-cycle", "linear", "constant"])]
    pub schedule: String,
    /// Share of the steps on which the learning rate rises [default: 0.3 for one-cycle, else 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub warm_up: Option<f64>,
    /// Sentences in a batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = positive)]
    pub batch_size: usize,
    /// Fill batches up to this many sub-words instead
    #[arg(long, value_name = "N", conflicts_with = "batch_size", value_parser = positive)]
    pub batch_tokens: Option<usize>,
    /// Largest norm of the gradients; 0 does not clip
    #[arg(long, value_name = "NORM", default_value_t = 1.0)]
    pub grad_clip: f64,
    /// Weight decay, decoupled from the gradient
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Seed of the start weights, of dropout and of the order of the sentences
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Seed of the order of the sentences alone [default: --seed]
    #[arg(long, value_name = "N")]
    pub order_seed: Option<u64>,
    /// Keep the sentences in the order of the store
    #[arg(long)]
    pub no_shuffle: bool,
    /// Start from these weights (a safetensors file with the head's parameters)
    #[arg(long, value_name = "FILE")]
    pub init_weights: Option<PathBuf>,
    /// Stop when the validation score has not risen for this many epochs
    #[arg(long, value_name = "N", value_parser = positive)]
    pub patience: Option<usize>,
    /// Train on this many sentences only, drawn by the seed: for learning curves
    #[arg(long, value_name = "N", value_parser = positive)]
    pub limit_train: Option<usize>,
}

/// Which head to train.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Head")]
pub struct HeadArgs {
    /// adapter, attention-fusion, scalar-mix, last, layer:N or concat:A,B,C
    #[arg(long, default_value = "adapter")]
    pub head: String,
    /// Leave out the adapter's tailor
    #[arg(long)]
    pub no_tailor: bool,
    /// Leave out the self-attention inside the tailor
    #[arg(long)]
    pub no_tailor_attention: bool,
    /// Width of the attention's queries and keys
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    pub attention_size: usize,
    /// Attention heads
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = positive)]
    pub heads: usize,
    /// Share of activations dropped in training [default: 0.1; 0.15 for attention-fusion]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub dropout: Option<f64>,
    /// Width of the classifier's inner layer; 0 for a single linear layer
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub classifier_size: usize,
}

/// Where a run goes.
#[derive(Clone, Debug, Default, Args)]
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

impl Options {
    /// Where to compute, if anything is computed.
    #[must_use]
    pub fn machine(&self) -> Option<&MachineArgs> {
        match &self.command {
            None => Some(&self.train.machine),
            Some(Job::Train(train)) => Some(&train.machine),
            Some(Job::Sweep(sweep)) => Some(&sweep.machine),
            Some(Job::Eval(EvalArgs { run, .. }) | Job::Predict(PredictArgs { run, .. })) => {
                Some(&run.machine)
            }
            Some(Job::Doctor(doctor)) => Some(&doctor.machine),
            Some(Job::Compare(_)) => None,
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// A message to print, among them that of `--help`; [`clap::Error::use_stderr`] tells them apart.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let options =
        Options::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    options
        .check()
        .map_err(|message| command.error(ErrorKind::MissingRequiredArgument, message))?;
    Ok(options)
}

/// The command line with its twins in the environment.
#[must_use]
pub fn command() -> Command {
    with_twins(Options::command())
}

fn with_twins(command: Command) -> Command {
    let twin = |argument: clap::Arg| {
        let Some(name) = argument
            .get_long()
            .map(|long| format!("TRAINER_{}", long.replace('-', "_").to_uppercase()))
        else {
            return argument;
        };
        // TRAINER_RESUME=1 must work as TRAINER_RESUME=true does.
        let flag = matches!(argument.get_action(), ArgAction::SetTrue);
        let argument = argument.env(name).hide_env(true);
        if flag {
            argument.value_parser(FalseyValueParser::new())
        } else {
            argument
        }
    };
    command.mut_args(twin).mut_subcommands(with_twins)
}

impl Options {
    /// What must be there for a job, beyond what its options say for themselves: `train` may be written with
    /// and without its name, so nothing in it can be marked as required.
    fn check(&self) -> Result<(), String> {
        let missing = match &self.command {
            None => self.train.missing(),
            Some(Job::Train(train)) => train.missing(),
            Some(Job::Sweep(sweep)) => sweep.store.missing().into_iter().collect(),
            Some(Job::Eval(EvalArgs { run, .. }) | Job::Predict(PredictArgs { run, .. })) => {
                run.store.missing().into_iter().collect()
            }
            Some(Job::Compare(_) | Job::Doctor(_)) => Vec::new(),
        };
        if missing.is_empty() {
            return Ok(());
        }
        let list = missing.join("\n  ");
        Err(format!(
            "the following required arguments were not provided:\n  {list}"
        ))
    }
}

impl TrainArgs {
    fn missing(&self) -> Vec<&'static str> {
        self.store
            .missing()
            .into_iter()
            .chain(self.training.epochs.is_none().then_some("--epochs <N>"))
            .collect()
    }
}

impl StoreArgs {
    fn missing(&self) -> Option<&'static str> {
        self.cache.is_none().then_some("--cache <ROOT|STORE>")
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "expected a whole number above 0".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to below 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn train_goes_without_its_name() {
        let bare = parsed("trainer --cache store --epochs 3 --seed 5").unwrap();
        assert!(bare.command.is_none());
        assert_eq!(
            (bare.train.training.epochs, bare.train.training.seed),
            (Some(3), 5)
        );
        let Some(Job::Train(named)) = parsed("trainer train --cache store --epochs 3 --seed 5")
            .unwrap()
            .command
        else {
            panic!("no train");
        };
        assert_eq!((named.training.epochs, named.training.seed), (Some(3), 5));
    }

    #[test]
    fn only_deterministic_runs_ask_for_an_environment() {
        let asked = |line: &str| {
            parsed(line)
                .unwrap()
                .machine()
                .map(MachineArgs::environment)
        };
        let variable = Some(("CUBLAS_WORKSPACE_CONFIG", ":4096:8"));
        let train = "trainer --cache store --epochs 3";
        assert_eq!(asked(train), Some(None));
        assert_eq!(asked(&format!("{train} --deterministic")), Some(variable));
        for job in [
            "train --epochs 3",
            "sweep --config file",
            "eval --run r",
            "predict --run r",
        ] {
            let line = format!("trainer {job} --cache store --deterministic");
            assert_eq!(asked(&line), Some(variable), "{line}");
        }
        assert_eq!(asked("trainer compare one"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        for line in ["trainer --lr 0.1", "trainer train"] {
            let message = parsed(line).unwrap_err().to_string();
            assert!(
                message.contains("--cache") && message.contains("--epochs"),
                "{message}"
            );
        }
        assert!(
            parsed("trainer eval --run r")
                .unwrap_err()
                .to_string()
                .contains("--cache")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            "--batch-size 0",
            "--dropout 1",
            "--dropout -0.1",
            "--epochs 0",
            "--task x",
            "--threads 0",
            "--batch-size 3 --batch-tokens 9",
        ] {
            assert!(
                parsed(&format!("trainer --cache store {wrong}")).is_err(),
                "{wrong}"
            );
        }
    }
}
