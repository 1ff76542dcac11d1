//! `trainer sweep`: many heads on one pass over the store, each into a run folder of its own, and a table in the end.

mod groups;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use cache::Store;
use groups::{Failure, Prepared, Shared};
use shared::claim::Claim;
use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::files::write_atomic;
use shared::tasks::Task;
use shared::terminal::Terminal;
use tch::Device;
use trainer_options::sweep::PlannedRun;
use trainer_options::{SweepArgs, TrainArgs};

use super::data::{self, Splits};
use super::placing::Places;
use super::{CommandError, settings, train};
use crate::batches::BatchSize;
use crate::run::{self, Config, Existing};
use crate::summary::{self, Group, Summary};
use crate::sweep::WorkerPool;
use crate::{checkpoint, device};

/// A run of the sweep on this store.
struct Run {
    name: String,
    folder: PathBuf,
    config: Config,
    options: TrainArgs,
    finished: bool,
}

/// Trains all runs of a sweep, or resumes them.
pub(super) fn run(options: &SweepArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let stop = shared::signals::install()?;
    if let Some(job) = shared::resources::slurm_job() {
        terminal.status(job);
    }
    let planned = trainer_options::sweep::read(&options.config)?;
    let pool = WorkerPool::new(data::threads(&options.machine));
    let devices = data::devices(&options.machine, 1, terminal)?;
    let store = data::store(&options.store, devices[0], terminal)?;
    let prepared = prepared(&planned, options, &store, &devices, terminal)?;
    let folder = folder(options)?;
    let names = device::names(&devices);
    let mut runs = checked(planned, &folder, &store, &prepared[0].tasks, &names)?;
    let claims = claim(&folder, &runs)?;
    prepare(&mut runs, options)?;
    let left = runs.iter().filter(|run| !run.finished).count();
    terminal.status(format!(
        "Sweep of {} runs, {left} to be trained on {names}, into {}",
        runs.len(),
        folder.display()
    ));

    let shared = Shared {
        terminal,
        stop: &stop,
    };
    let failures = groups::train_all(&runs, &prepared, &pool, shared)?;
    let failures: BTreeMap<usize, Failure> = failures.into_iter().collect();
    if failures
        .values()
        .any(|failure| matches!(failure, Failure::Stopped))
    {
        terminal.status("Stopped, all state saved: the same command goes on");
        return Ok(ExitStatus::Interrupted);
    }
    let status = tell(&folder, &runs, &failures, options.json, terminal)?;
    claims.into_iter().for_each(Claim::finish);
    Ok(status)
}

/// The devices with what they compute on, at least one. Of several GPUs those without room for it are left out.
fn prepared<'s>(
    planned: &[PlannedRun],
    options: &SweepArgs,
    store: &'s Store,
    devices: &[Device],
    terminal: &Terminal,
) -> Result<Vec<Prepared<'s>>, CommandError> {
    let sizes = planned
        .iter()
        .map(|run| settings::batch_size(&run.options.training));
    let sizes: Vec<BatchSize> = sizes.collect();
    let load = |device| Places::for_training(store, &options.store, &sizes, device, terminal);
    let places = std::thread::scope(|scope| {
        let loading = devices
            .iter()
            .map(|&device| scope.spawn(move || load(device)));
        let loading: Vec<_> = loading.collect();
        let loaded = loading.into_iter().map(std::thread::ScopedJoinHandle::join);
        loaded
            .map(|loaded| loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    let (mut prepared, mut last) = (Vec::new(), None);
    for (&device, places) in devices.iter().zip(places) {
        match places {
            Ok(places) => prepared.push(Prepared {
                device,
                tasks: tasks(planned, store, &places)?,
            }),
            Err(error) if error.is_device_failure() && devices.len() > 1 => {
                let name = device::name(device);
                terminal.warn(format!("{name} is not used: {error}"));
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (prepared.first(), last) {
        (None, Some(error)) => return Err(error),
        (Some(first), _) => {
            for splits in first.tasks.values() {
                splits.warn_of_unseen(terminal);
            }
        }
        (None, None) => {}
    }
    Ok(prepared)
}

/// The splits with the labels of every task that is learned.
fn tasks<'s>(
    planned: &[PlannedRun],
    store: &'s Store,
    places: &Places,
) -> Result<BTreeMap<Task, Splits<'s>>, CommandError> {
    let mut tasks = BTreeMap::new();
    for run in planned {
        let task = task(run, store);
        if let Entry::Vacant(place) = tasks.entry(task) {
            let splits = Splits::open(store, task, places);
            place.insert(splits.map_err(|error| in_run(&run.name, error))?);
        }
    }
    Ok(tasks)
}

fn task(run: &PlannedRun, store: &Store) -> Task {
    let own = run.options.training.task;
    own.unwrap_or(store.manifest().dataset.task)
}

fn in_run(name: &str, error: CommandError) -> CommandError {
    CommandError::SweepRun {
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

/// The runs, each of which can be trained.
fn checked(
    planned: Vec<PlannedRun>,
    folder: &Path,
    store: &Store,
    tasks: &BTreeMap<Task, Splits<'_>>,
    devices: &str,
) -> Result<Vec<Run>, CommandError> {
    let checked = |planned: PlannedRun| {
        let splits = &tasks[&task(&planned, store)];
        let config = settings::config(&planned.options, store, &splits.train, devices, 1)?;
        // The head is built again where it is trained; here only to find out whether it can be.
        train::build(&planned.options, &config, Device::Cpu)?;
        Ok(Run {
            folder: folder.join(&planned.name),
            name: planned.name,
            config,
            options: planned.options,
            finished: false,
        })
    };
    let runs = planned.into_iter().map(|planned| {
        let name = planned.name.clone();
        checked(planned).map_err(|error| in_run(&name, error))
    });
    runs.collect()
}

/// Claims the sweep and all its runs, before the first is touched; to be held until they are done.
fn claim(folder: &Path, runs: &[Run]) -> Result<Vec<Claim>, CommandError> {
    let folders = runs.iter().map(|run| run.folder.as_path());
    let claims = [folder].into_iter().chain(folders).map(run::claim);
    Ok(claims.collect::<Result<_, _>>()?)
}

/// Makes the folders of runs, or prepares those that are there to be resumed.
fn prepare(runs: &mut [Run], options: &SweepArgs) -> Result<(), CommandError> {
    let existing = if options.overwrite {
        Existing::Replace
    } else {
        Existing::Resume
    };
    for run in runs {
        run::prepare(&run.folder, &run.config, existing)?;
        let state = checkpoint::state(&run.folder)?;
        run.finished = state.is_some_and(|state| state.finished);
    }
    Ok(())
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
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    let mut status = ExitStatus::Success;
    for (place, run) in runs.iter().enumerate() {
        match failures.get(&place) {
            Some(Failure::Failed(error)) => {
                let why = error.to_string();
                match told.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, names)) => names.push(&run.name),
                    None => told.push((why.clone(), vec![&run.name])),
                }
                failed.insert(run.name.clone(), why);
                status = error.exit_status();
            }
            Some(Failure::Stopped) | None => summaries.push(Summary::read(&run.folder)?),
        }
    }
    for (why, names) in told {
        let runs = if names.len() > 1 { "runs" } else { "run" };
        terminal.error(format!("{runs} {}: {why}", names.join(", ")), &[]);
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
