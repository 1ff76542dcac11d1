//! The command line of the trainer: options, their checks and the file of a sweep, whose keys are
//! options. A crate of its own because the launcher `trainer` reads it too: help, the version and a
//! mistyped option are answered without libtorch.

mod commands;
mod machine;
mod store;
pub mod sweep;
mod training;
mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use shared::terminal::TerminalOptions;

pub use commands::{
    CompareArgs, DoctorArgs, EvalArgs, OutputArgs, PredictArgs, RunArgs, SweepArgs, TrainArgs,
};
pub use machine::MachineArgs;
pub use store::{IoChoice, StoreArgs};
pub use training::{HeadArgs, ScheduleKind, TrainingArgs};

const EXAMPLES: &str = "\
Examples:
  trainer --cache cache/ --epochs 20                    train the adapter on the store in cache/
  trainer --cache cache/ --epochs 20 --head last        a linear probe of the last layer, to compare with
  trainer --cache cache/ --epochs 20 --resume           go on with a run that was stopped
  trainer eval --run runs/NAME --cache cache/ --split test

Every option can be given by an environment variable of its name: --batch-size is TRAINER_BATCH_SIZE.
Exit status: 0 done; 1 an option or the input is wrong; 2 the machine failed (disk, memory, GPU); 75 stopped by a signal
with all state saved, run the same command again with --resume.";

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
`trainer train --threads 1` with the same options. Stopped or killed, the same command goes on.";

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
    /// Show runs side by side, and whether their differences are significant
    Compare(CompareArgs),
    /// Show which libraries, devices and files will be used, and why
    Doctor(DoctorArgs),
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

/// The command line with the environment variables of its options.
#[must_use]
pub fn command() -> Command {
    shared::environment::with_variables(Options::command(), "TRAINER")
}

impl Options {
    /// Refuses a command without the options that it needs. clap cannot mark them as required,
    /// since `train` may be written with and without its name.
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
