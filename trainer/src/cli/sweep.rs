//! `trainer sweep`: many heads on one pass over the store, each into a run folder of its own, and a table in the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cache::Store;
use shared::exit::ExitStatus;
use shared::files::write_atomic;
use shared::signals::StopFlag;
use shared::tasks::Task;
use shared::terminal::Terminal;
use tch::Device;

use super::data::{self, Splits};
use super::finish::{self, Ending};
use super::options::SweepArgs;
use super::placing::Places;
use super::{CommandError, settings, train};
use crate::batches::{BatchSize, on_one_thread};
use crate::head::AnyHead;
use crate::run::{self, Config, Existing};
use crate::summary::{self, Group, Summary};
use crate::sweep::{self, Crew, Planned};
use crate::training::{self, Job, Order, Outcome, TrainingError};
use crate::{checkpoint, device};

/// A run of the sweep on this store.
struct Run {
    name: String,
    folder: PathBuf,
    config: Config,
    /// Nothing where the run is finished.
    head: Option<Box<AnyHead>>,
}

/// How a run ended, if not well.
enum Failure {
    Stopped,
    Failed(TrainingError),
}

/// Runs by the order of their sentences, with their places in the sweep.
type Shared<'r> = (Order, Vec<(usize, &'r mut Run)>);

/// Trains all runs of a sweep, or goes on with them.
pub(super) fn run(options: &SweepArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let stop = shared::signals::install()?;
    if let Some(job) = shared::resources::slurm_job() {
        terminal.status(job);
    }
    let planned = sweep::read(&options.config)?;
    let crew = Crew::new(data::threads(&options.machine));
    let device = data::device(&options.machine, 1, terminal)?;
    let store = data::store(&options.store, device, terminal)?;
    let sizes = planned
        .iter()
        .map(|run| settings::batch_size(&run.options.training));
    let sizes: Vec<BatchSize> = sizes.collect();
    let places = Places::for_training(&store, &options.store, &sizes, device, terminal)?;
    let tasks = tasks(&planned, &store, &places, terminal)?;
    let folder = folder(options)?;
    let mut runs = prepare(planned, options, &folder, &store, &tasks, device)?;
    let left = runs.iter().filter(|run| run.head.is_some()).count();
    terminal.status(format!(
        "Sweep of {} runs, {left} to be trained on {}, into {}",
        runs.len(),
        device::name(device),
        folder.display()
    ));

    let mut failures: BTreeMap<usize, Failure> = BTreeMap::new();
    for (task, splits) in &tasks {
        let of_task = runs.iter_mut().enumerate();
        let of_task = of_task.filter(|(_, run)| run.config.task == *task && run.head.is_some());
        let groups = by_order(of_task);
        failures.extend(train_groups(groups, splits, &crew, terminal, &stop)?);
    }
    if failures
        .values()
        .any(|failure| matches!(failure, Failure::Stopped))
    {
        terminal.status("Stopped, all state saved: the same command goes on");
        return Ok(ExitStatus::Interrupted);
    }
    tell(&folder, &runs, &failures, options.json, terminal)
}

/// The splits with the labels of every task that is learned.
fn tasks<'s>(
    planned: &[Planned],
    store: &'s Store,
    places: &Places,
    terminal: &Terminal,
) -> Result<BTreeMap<Task, Splits<'s>>, CommandError> {
    let mut tasks = BTreeMap::new();
    for run in planned {
        let task = task(run, store);
        if let Entry::Vacant(place) = tasks.entry(task) {
            let splits =
                Splits::open(store, task, places).map_err(|error| of_run(&run.name, error))?;
            splits.warn_of_unseen(terminal);
            place.insert(splits);
        }
    }
    Ok(tasks)
}

fn task(run: &Planned, store: &Store) -> Task {
    let own = run.options.training.task;
    own.unwrap_or(store.manifest().dataset.task)
}

fn of_run(name: &str, error: CommandError) -> CommandError {
    CommandError::OfRun {
        name: name.to_owned(),
        error: Box::new(error),
    }
}

fn folder(options: &SweepArgs) -> Result<PathBuf, CommandError> {
    let stem = options
        .config
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let name = options.name.as_deref().unwrap_or(&stem);
    train::folder(&options.out, name)
}

/// Checks all runs, then makes or takes up their folders.
fn prepare(
    planned: Vec<Planned>,
    options: &SweepArgs,
    folder: &Path,
    store: &Store,
    tasks: &BTreeMap<Task, Splits<'_>>,
    device: Device,
) -> Result<Vec<Run>, CommandError> {
    let of = |planned: Planned| {
        let splits = &tasks[&task(&planned, store)];
        let config = settings::config(&planned.options, store, &splits.train, device, 1)?;
        let head = Some(train::build(&planned.options, &config, device)?);
        let folder = folder.join(&planned.name);
        let name = planned.name;
        Ok(Run {
            name,
            folder,
            config,
            head,
        })
    };
    let runs = planned.into_iter().map(|planned| {
        let name = planned.name.clone();
        of(planned).map_err(|error| of_run(&name, error))
    });
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    let existing = if options.overwrite {
        Existing::Replace
    } else {
        Existing::Resume
    };
    for run in &mut runs {
        run::prepare(&run.folder, &run.config, existing)?;
        if checkpoint::state(&run.folder)?.is_some_and(|state| state.finished) {
            run.head = None;
        }
    }
    Ok(runs)
}

/// Puts together what can share a pass.
fn by_order<'r>(runs: impl Iterator<Item = (usize, &'r mut Run)>) -> Vec<Shared<'r>> {
    let mut groups: Vec<Shared<'r>> = Vec::new();
    for (place, run) in runs {
        let order = Order::of(&run.config.training);
        match groups.iter_mut().find(|(known, _)| *known == order) {
            Some((_, members)) => members.push((place, run)),
            None => groups.push((order, vec![(place, run)])),
        }
    }
    groups
}

/// Trains groups of runs, side by side where workers would have nothing to do otherwise.
fn train_groups(
    groups: Vec<Shared<'_>>,
    splits: &Splits<'_>,
    crew: &Crew,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<Vec<(usize, Failure)>, CommandError> {
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (order, members) in groups {
            // On a device the heads of a group are computed as one, and a group has the card's memory for itself.
            let on_device = splits.train.is_on_device();
            let hired = crew.hire(if on_device { usize::MAX } else { members.len() });
            let results = &results;
            scope.spawn(move || {
                let workers = if on_device { 1 } else { hired.count };
                let trained =
                    on_one_thread(|| train_group(order, members, splits, workers, terminal, stop));
                drop(hired);
                let mut results = results
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                results.push(trained);
            });
        }
    });
    let results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let failures: Vec<Vec<_>> = results.into_iter().collect::<Result<_, _>>()?;
    Ok(failures.into_iter().flatten().collect())
}

/// Trains runs that share a pass, and finishes those that come to their end.
fn train_group(
    order: Order,
    mut members: Vec<(usize, &mut Run)>,
    splits: &Splits<'_>,
    workers: usize,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<Vec<(usize, Failure)>, CommandError> {
    let mut jobs = Vec::new();
    for (_, run) in &mut members {
        let Run {
            name,
            folder,
            config,
            head,
        } = &mut **run;
        if let Some(head) = head {
            jobs.push(Job {
                folder,
                config,
                head: head.as_mut(),
                name: Some(name),
            });
        }
    }
    let trained = training::train(jobs, order, &splits.data(), workers, terminal, stop)?;
    let (mut endings, mut ended, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for ((place, run), trained) in members.into_iter().zip(trained) {
        let Run {
            name,
            folder,
            config,
            head,
        } = run;
        match trained {
            Err(error) => failures.push((place, Failure::Failed(error))),
            Ok(trained) if trained.outcome == Outcome::Stopped => {
                failures.push((place, Failure::Stopped));
            }
            Ok(trained) => {
                if let Some(head) = head {
                    ended.push(place);
                    endings.push(Ending {
                        folder,
                        name,
                        config,
                        head: head.as_mut(),
                        trained,
                    });
                }
            }
        }
    }
    if !finish::finish(endings, splits, workers, terminal, stop)? {
        failures.extend(ended.into_iter().map(|place| (place, Failure::Stopped)));
    }
    Ok(failures)
}

/// The table for people on stderr and in the sweep's folder, for programs on stdout.
fn tell(
    folder: &Path,
    runs: &[Run],
    failures: &BTreeMap<usize, Failure>,
    json: bool,
    terminal: &Terminal,
) -> Result<ExitStatus, CommandError> {
    let mut summaries = Vec::new();
    let mut failed = BTreeMap::new();
    let mut status = ExitStatus::Success;
    for (place, run) in runs.iter().enumerate() {
        match failures.get(&place) {
            Some(Failure::Failed(error)) => {
                terminal.error(format!("run {}: {error}", run.name), &[]);
                failed.insert(run.name.clone(), error.to_string());
                status = error.exit_status();
            }
            _ => summaries.push(Summary::read(&run.folder)?),
        }
    }
    let groups = summary::groups(&summaries);
    let table = summary::table(&groups);
    terminal.status("\nMean and standard deviation over the seeds, in per cent:");
    for line in &table {
        terminal.status(line);
    }
    terminal.status(format!("\nRuns {}", folder.display()));
    let results = serde_json::json!({
        "sweep": folder,
        "groups": groups.iter().map(|group| entry(group, &summaries)).collect::<Vec<_>>(),
        "failed": failed,
    });
    let text = serde_json::to_string_pretty(&results)?;
    write_atomic(folder.join("sweep.json"), text.as_bytes())?;
    if json {
        terminal.result(results.to_string());
    }
    Ok(status)
}

/// A group with its runs.
fn entry(group: &Group, summaries: &[Summary]) -> serde_json::Value {
    let run = |&place: &usize| {
        let run: &Summary = &summaries[place];
        serde_json::json!({
            "name": run.name(), "folder": run.folder, "seed": run.config.training.seed,
            "best_epoch": run.best_epoch, "scores": run.scores,
        })
    };
    let runs: Vec<_> = group.members.iter().map(run).collect();
    serde_json::json!({ "head": group.label, "metric": group.metric, "scores": group.scores, "runs": runs })
}
