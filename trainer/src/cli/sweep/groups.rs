//! The groups of a sweep: runs that see their sentences in the same order and are trained on one pass
//! over the store each epoch, on the CPU, on a GPU, or spread over several GPUs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use shared::exit::ExitStatus;
use shared::signals::StopFlag;
use shared::tasks::Task;
use shared::terminal::Terminal;
use tch::Device;

use super::Run;
use crate::batches::on_one_thread;
use crate::cli::CommandError;
use crate::cli::data::Splits;
use crate::cli::finish::{self, Ending};
use crate::cli::train;
use crate::device;
use crate::head::AnyHead;
use crate::sweep::{Health, WorkerPool, divided, spread};
use crate::training::{self, Job, Order, Outcome, TrainingError};

/// Why a run has no result.
pub(super) enum Failure {
    Stopped,
    Failed(TrainingError),
}

/// Failures with the places of their runs in the sweep.
pub(super) type Failures = Vec<(usize, Failure)>;

/// A device, and the splits with the labels of every task and activations for this device.
pub(super) struct Prepared<'s> {
    pub(super) device: Device,
    pub(super) tasks: BTreeMap<Task, Splits<'s>>,
}

/// A run and its place in the sweep.
type Member<'r> = (usize, &'r Run);

/// Runs that share a pass.
struct Group<'r> {
    task: Task,
    order: Order,
    members: Vec<Member<'r>>,
}

impl Group<'_> {
    fn places(&self) -> Vec<usize> {
        self.members.iter().map(|(place, _)| *place).collect()
    }
}

/// Everything that groups have in common.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) terminal: &'a Terminal,
    pub(super) stop: &'a StopFlag,
}

/// Trains all runs that are not finished.
pub(super) fn train_all(
    runs: &[Run],
    devices: &[Prepared<'_>],
    pool: &WorkerPool,
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let groups = groups(runs);
    match devices {
        [] => Ok(Vec::new()),
        [one] => on_one(groups, one, pool, shared),
        several => on_several(groups, several, shared),
    }
}

/// The runs that are not finished, in groups that can share a pass.
fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| !run.finished) {
        let (task, order) = (run.config.task, Order::from_settings(&run.config.training));
        let same = |group: &&mut Group<'_>| (group.task, group.order) == (task, order);
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push((place, run)),
            None => groups.push(Group {
                task,
                order,
                members: vec![(place, run)],
            }),
        }
    }
    groups.sort_by_key(|group| group.task);
    groups
}

/// Trains groups on one device, at the same time as far as there are workers.
fn on_one(
    groups: Vec<Group<'_>>,
    prepared: &Prepared<'_>,
    pool: &WorkerPool,
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for group in groups {
            // On a device the heads of a group are computed as one, and groups run one after another, so that
            // each has the device's memory for itself.
            let on_device = prepared.device != Device::Cpu;
            let wanted = if on_device {
                usize::MAX
            } else {
                group.members.len()
            };
            let permits = pool.acquire(wanted);
            let results = &results;
            scope.spawn(move || {
                let workers = if on_device { 1 } else { permits.count };
                let trained = on_one_thread(|| train_group(&group, prepared, workers, shared));
                drop(permits);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push(trained);
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures: Vec<Failures> = results.into_iter().collect::<Result<_, _>>()?;
    Ok(failures.into_iter().flatten().collect())
}

/// Trains groups on several GPUs. Groups are divided in two until there is one for each GPU. A GPU that
/// fails ends its group; the others go on.
fn on_several(
    groups: Vec<Group<'_>>,
    devices: &[Prepared<'_>],
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let groups = enough(groups, devices.len());
    let stop = || shared.stop.stopped();
    let spread = spread(devices.len(), groups, stop, |number, group: Group<'_>| {
        let prepared = &devices[number];
        let trained = on_one_thread(|| train_group(&group, prepared, 1, shared));
        let device_failure = |trained: &Result<Failures, CommandError>| match trained {
            Ok(failures) => failures.iter().find_map(|(_, failure)| match failure {
                Failure::Failed(error) if error.is_device_failure() => Some(error.to_string()),
                Failure::Failed(_) | Failure::Stopped => None,
            }),
            Err(error) => error.is_device_failure().then(|| error.to_string()),
        };
        let Some(why) = device_failure(&trained) else {
            // An error of the store or the disk concerns all GPUs.
            let health = if trained.is_ok() {
                Health::Well
            } else {
                Health::Failed
            };
            return (trained, health);
        };
        let name = device::name(prepared.device);
        shared
            .terminal
            .warn(format!("{name} has failed and takes no more runs"));
        let trained =
            trained.or_else(|_| Ok(all(&group.places(), || failed(format!("{name}: {why}")))));
        (trained, Health::Failed)
    });
    let mut failures = Vec::new();
    for trained in spread.results {
        failures.extend(trained?);
    }
    for group in spread.left {
        failures.extend(all(&group.places(), || {
            if shared.stop.stopped() {
                Failure::Stopped
            } else {
                failed("no GPU is left to train it, all have failed with other runs".to_owned())
            }
        }));
    }
    Ok(failures)
}

/// The same runs in at least `wanted` groups, if there are as many runs.
fn enough<'r>(groups: Vec<Group<'r>>, wanted: usize) -> Vec<Group<'r>> {
    let mut members: Vec<Vec<(Task, Order, Member<'r>)>> = Vec::new();
    for Group {
        task,
        order,
        members: own,
    } in groups
    {
        members.push(
            own.into_iter()
                .map(|member| (task, order, member))
                .collect(),
        );
    }
    let divided = divided(members, wanted, |(_, _, (_, one)), (_, _, (_, other))| {
        one.config.head == other.config.head
    });
    let mut groups = Vec::new();
    for members in divided {
        if let Some(&(task, order, _)) = members.first() {
            groups.push(Group {
                task,
                order,
                members: members.into_iter().map(|(_, _, member)| member).collect(),
            });
        }
    }
    groups
}

fn all(places: &[usize], failure: impl Fn() -> Failure) -> Failures {
    places.iter().map(|&place| (place, failure())).collect()
}

fn failed(why: String) -> Failure {
    Failure::Failed(TrainingError::HalfWay {
        why,
        kept: "What is done is kept: the same command goes on".to_owned(),
        status: ExitStatus::Machine,
        device_failure: true,
    })
}

/// Trains runs that share a pass, and finishes those that come to their end.
fn train_group(
    group: &Group<'_>,
    prepared: &Prepared<'_>,
    workers: usize,
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let Some(splits) = prepared.tasks.get(&group.task) else {
        return Ok(Vec::new());
    };
    let build = |(_, run): &Member<'_>| train::build(&run.options, &run.config, prepared.device);
    let heads = group.members.iter().map(build);
    let mut heads: Vec<Box<AnyHead>> = heads.collect::<Result<_, _>>()?;
    let jobs = group.members.iter().zip(&mut heads);
    let jobs = jobs.map(|((_, run), head)| Job {
        folder: &run.folder,
        config: &run.config,
        head: head.as_mut(),
        name: Some(&run.name),
    });
    let (terminal, stop) = (shared.terminal, shared.stop);
    let data = splits.data();
    let trained = training::train(jobs.collect(), group.order, &data, workers, terminal, stop)?;
    let (mut endings, mut ended, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (((place, run), head), trained) in group.members.iter().zip(&mut heads).zip(trained) {
        match trained {
            Err(error) => failures.push((*place, Failure::Failed(error))),
            Ok(trained) if trained.outcome == Outcome::Stopped => {
                failures.push((*place, Failure::Stopped));
            }
            Ok(trained) => {
                ended.push(*place);
                endings.push(Ending {
                    folder: &run.folder,
                    name: &run.name,
                    config: &run.config,
                    head: head.as_mut(),
                    trained,
                });
            }
        }
    }
    if !finish::finish(endings, splits, workers, terminal, stop)? {
        failures.extend(all(&ended, || Failure::Stopped));
    }
    Ok(failures)
}
