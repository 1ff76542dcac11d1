//! `trainer train`: from options to a folder with a trained head and its report.

use std::path::{Path, PathBuf};

use shared::exit::ExitStatus;
use shared::terminal::Terminal;
use trainer_options::TrainArgs;

use super::data::{self, Splits};
use super::finish::{self, Ending};
use super::placing::Places;
use super::{CommandError, settings};
use crate::head::{self, AnyHead};
use crate::metrics::{self, Event, Final};
use crate::run::{self, Config, Existing};
use crate::training::{self, Job, Order, Outcome};
use crate::{checkpoint, device, weights};

/// Trains a head, or resumes its training.
pub(super) fn run(options: &TrainArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let stop = shared::signals::install()?;
    if let Some(job) = shared::resources::slurm_job() {
        terminal.status(job);
    }
    let threads = data::threads(&options.machine);
    let device = data::device(&options.machine, threads, terminal)?;
    let store = data::store(&options.store, device, terminal)?;
    let task = options
        .training
        .task
        .unwrap_or(store.manifest().dataset.task);
    let batch_size = settings::batch_size(&options.training);
    let places = Places::for_training(&store, &options.store, &[batch_size], device, terminal)?;
    let splits = Splits::open(&store, task, &places)?;
    let config = settings::config(
        options,
        &store,
        &splits.train,
        &device::name(device),
        threads,
    )?;
    let mut head = build(options, &config, device)?;
    splits.warn_of_unseen(terminal);

    let name = options
        .output
        .name
        .clone()
        .unwrap_or_else(|| run::default_name(&config));
    let folder = folder(&options.output.out, &name)?;
    let claim = run::claim(&folder)?;
    run::prepare(&folder, &config, existing(options))?;
    let parameters: usize = head
        .parameters()
        .iter()
        .map(|(_, tensor)| tensor.numel())
        .sum();
    terminal.status(format!(
        "Training {} ({parameters} parameters, {task}) on {} into {}",
        config.head.kind,
        device::name(device),
        folder.display()
    ));
    if !checkpoint::state(&folder)?.is_some_and(|state| state.finished) {
        let job = Job {
            folder: &folder,
            config: &config,
            head: head.as_mut(),
            name: None,
        };
        let order = Order::from_settings(&config.training);
        let trained = training::train(vec![job], order, &splits.data(), 1, terminal, &stop)?;
        for trained in trained {
            let trained = trained?;
            let reached = trained.state.step;
            let stopped = || {
                terminal.status(format!(
                    "Stopped after step {reached}, all state saved: the same command with --resume goes on"
                ));
                Ok(ExitStatus::Interrupted)
            };
            if trained.outcome == Outcome::Stopped {
                return stopped();
            }
            let ending = Ending {
                folder: &folder,
                name: &name,
                config: &config,
                head: head.as_mut(),
                trained,
            };
            if !finish::finish(vec![ending], &splits, 1, terminal, &stop)? {
                return stopped();
            }
        }
    }
    claim.finish();
    tell(&folder, &config, options.output.json, terminal)?;
    Ok(ExitStatus::Success)
}

/// The head of a run with its start weights.
pub(super) fn build(
    options: &TrainArgs,
    config: &Config,
    device: tch::Device,
) -> Result<Box<AnyHead>, CommandError> {
    let head = head::build(&config.head, device, config.training.seed)?;
    if let Some(path) = &options.training.init_weights {
        weights::load(path, head.parameters())?;
    }
    Ok(head)
}

fn existing(options: &TrainArgs) -> Existing {
    match (options.output.resume, options.output.overwrite) {
        (true, _) => Existing::Resume,
        (false, true) => Existing::Replace,
        (false, false) => Existing::Refuse,
    }
}

/// A run is one folder below the folder of runs.
pub(super) fn folder(runs: &Path, name: &str) -> Result<PathBuf, CommandError> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(CommandError::Option(format!(
            "--name {name:?} is no name of a folder; --out says where the runs go"
        )));
    }
    Ok(runs.join(name))
}

/// Scores for people on stderr, for programs on stdout.
fn tell(
    folder: &Path,
    config: &Config,
    json: bool,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let finals: Vec<Final> = metrics::read(folder)?
        .into_iter()
        .filter_map(|event| {
            if let Event::Final(last) = event {
                Some(*last)
            } else {
                None
            }
        })
        .collect();
    for last in &finals {
        terminal.status(format!(
            "\n{} (epoch {}): {} {:.4}",
            last.split, last.epoch, last.scores.metric, last.scores.value
        ));
        last.scores
            .table()
            .iter()
            .for_each(|line| terminal.status(line));
    }
    terminal.status(format!(
        "\nRun    {}\nReport {}",
        folder.display(),
        folder.join("report.html").display()
    ));
    if json {
        let scores: serde_json::Map<_, _> = finals
            .iter()
            .map(|last| Ok((last.split.clone(), serde_json::to_value(&last.scores)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        let epoch = finals.first().map(|last| last.epoch);
        terminal.result(serde_json::json!({ "run": folder, "task": config.task, "best_epoch": epoch, "scores": scores }).to_string());
    }
    Ok(())
}
