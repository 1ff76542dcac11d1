//! The groups of a sweep: runs that see their sentences in the same order and are trained on one pass over the store each
//! epoch, on the CPU or a GPU, or spread over several.

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
use crate::sweep::{Crew, Health, divided, spread};
use crate::training::{self, Job, Order, Outcome, TrainingError};

/// How a run ended, if not well.
pub(super) enum Failure {
    Stopped,
    Failed(TrainingError),
}

/// By the places of the runs in the sweep.
pub(super) type Failures = Vec<(usize, Failure)>;

/// A device, and the splits with the labels of every task where it finds them.
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
    crew: &Crew,
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let groups = groups(runs);
    match devices {
        [] => Ok(Vec::new()),
        [one] => on_one(groups, one, crew, shared),
        several => on_several(groups, several, shared),
    }
}

/// Puts together what can share a pass.
fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| !run.finished) {
        let (task, order) = (run.config.task, Order::of(&run.config.training));
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

/// Trains groups, side by side where workers would have nothing to do otherwise.
fn on_one(
    groups: Vec<Group<'_>>,
    prepared: &Prepared<'_>,
    crew: &Crew,
    shared: Shared<'_>,
) -> Result<Failures, CommandError> {
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for group in groups {
            // On a device the heads of a group are computed as one, and a group has the device's memory for itself.
            let on_device = prepared.device != Device::Cpu;
            let wanted = if on_device {
                usize::MAX
            } else {
                group.members.len()
            };
            let hired = crew.hire(wanted);
            let results = &results;
            scope.spawn(move || {
                let workers = if on_device { 1 } else { hired.count };
                let trained = on_one_thread(|| train_group(&group, prepared, workers, shared));
                drop(hired);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push(trained);
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures: Vec<Failures> = results.into_iter().collect::<Result<_, _>>()?;
    Ok(failures.into_iter().flatten().collect())
}

/// Trains groups on several GPUs, which are cut in two until each GPU has one. A GPU that fails ends its group, the others
/// go on.
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
        let of_device = |trained: &Result<Failures, CommandError>| match trained {
            Ok(failures) => failures.iter().find_map(|(_, failure)| match failure {
                Failure::Failed(error) if error.is_of_device() => Some(error.to_string()),
                _ => None,
            }),
            Err(error) => error.is_of_device().then(|| error.to_string()),
        };
        let Some(why) = of_device(&trained) else {
            // What is wrong with the store or the disk is wrong for all.
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

/// At least so many groups, where there are as many runs.
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
        of_device: true,
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
