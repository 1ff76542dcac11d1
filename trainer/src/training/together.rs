//! Several heads on one pass over the store each epoch. Each keeps its own place: those that are ahead, taken up from a
//! later checkpoint, wait until the others have caught up.

use std::ops::ControlFlow;

use shared::signals::StopFlag;
use shared::terminal::{Progress, Terminal};

use super::order::{Batches, Order};
use super::stack::{self, Stack};
use super::{Data, Job, Outcome, Trained, Training, TrainingError};
use crate::batches::{self, BatchSize, LoadError, Prepared};
use crate::evaluation;

/// A training and what became of it.
pub(super) struct Member<'a> {
    pub(super) training: Training<'a>,
    ended: Option<Result<Outcome, TrainingError>>,
}

impl Member<'_> {
    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Keeps an error; the others go on.
    pub(super) fn keep<T>(&mut self, result: Result<T, TrainingError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.ended = Some(Err(error));
                None
            }
        }
    }
}

/// Who takes a batch: a head, or several that are computed as one.
enum Taker<'m, 'a> {
    One(&'m mut Member<'a>),
    Several(Box<Stack<'m, 'a>>),
}

impl<'m, 'a> Taker<'m, 'a> {
    fn of(members: Vec<&'m mut Member<'a>>, on_device: bool) -> Vec<Self> {
        if on_device {
            stack::alike(members)
                .into_iter()
                .map(|stack| Self::Several(Box::new(stack)))
                .collect()
        } else {
            members.into_iter().map(Self::One).collect()
        }
    }

    fn take(
        &mut self,
        batch: &Prepared<'_>,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, TrainingError> {
        match self {
            Self::One(member) => member.training.take(batch, progress),
            Self::Several(stack) => stack.take(batch, progress),
        }
    }

    /// The heads, with what became of them.
    fn end(self, taken: Result<(), TrainingError>, progress: &Progress) -> Vec<&'m mut Member<'a>> {
        match self {
            Self::One(member) => {
                let taken = taken.map_err(|error| {
                    if error.is_of_device() {
                        member.training.failed(&error)
                    } else {
                        error
                    }
                });
                member.keep(taken);
                vec![member]
            }
            Self::Several(stack) => stack.end(taken, progress),
        }
    }
}

/// Trains the heads of `jobs`, which see their sentences in the same [`Order`], until they are done or stopped, going on
/// where their folders have checkpoints; `workers` of them at the same time. A head alone may compute on several
/// threads; with several workers each computes on one.
///
/// # Errors
/// When the store cannot be read, and for each job by itself when its head or its folder fails or the loss is no
/// longer a number; its last checkpoint stays.
pub fn train<'a>(
    jobs: Vec<Job<'a>>,
    order: Order,
    data: &Data<'_, '_>,
    workers: usize,
    terminal: &'a Terminal,
    stop: &'a StopFlag,
) -> Result<Vec<Result<Trained, TrainingError>>, LoadError> {
    let batches = Batches::new(data.train, order);
    // What could not even begin keeps its place in the results.
    let mut failed = Vec::new();
    let mut members = Vec::new();
    for (place, job) in jobs.into_iter().enumerate() {
        let steps = batches.steps(job.config.training.epochs);
        match Training::begin(job, steps, terminal, stop) {
            Ok(training) => members.push(Member {
                training,
                ended: None,
            }),
            Err(error) => failed.push((place, error)),
        }
    }
    run(&mut members, &batches, data, workers, terminal, stop)?;
    let ended = |member: Member<'_>| {
        let outcome = member.ended.unwrap_or(Ok(Outcome::Done))?;
        Ok(member.training.end(outcome))
    };
    let mut results: Vec<_> = members.into_iter().map(ended).collect();
    for (place, error) in failed {
        results.insert(place, Err(error));
    }
    Ok(results)
}

fn run(
    members: &mut [Member<'_>],
    batches: &Batches<'_, '_>,
    data: &Data<'_, '_>,
    workers: usize,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<(), LoadError> {
    let left = |member: &Member<'_>| {
        let (settings, state) = (member.training.settings, &member.training.state);
        let all = batches.tokens() * settings.epochs.saturating_sub(state.epoch) as u64;
        all.saturating_sub(state.sums.tokens)
    };
    let progress = terminal.progress("Training", members.iter().map(left).sum(), "tokens");
    loop {
        for member in members.iter_mut().filter(|member| member.is_running()) {
            if member.training.is_over() {
                member.ended = Some(Ok(Outcome::Done));
            }
        }
        let running = members.iter().filter(|member| member.is_running());
        let Some(epoch) = running.map(|member| member.training.state.epoch).min() else {
            return Ok(());
        };
        let mut now: Vec<&mut Member<'_>> = members
            .iter_mut()
            .filter(|member| member.is_running() && member.training.state.epoch == epoch)
            .collect();
        let first = now.iter().map(|member| member.training.state.position);
        let first = first.min().unwrap_or(0);
        for member in &mut now {
            member.training.since = std::time::Instant::now();
        }
        let of_epoch = batches.of_epoch(epoch);
        let mut takers = Taker::of(now, batches.split.is_on_device());
        let taken = batches::share(
            batches.split,
            &of_epoch,
            first,
            &mut takers,
            workers,
            |taker, batch| taker.take(batch, &progress),
        );
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if error.is_of_device() => {
                half_way(members, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let ended = takers.into_iter().zip(taken);
        let now = ended.flat_map(|(taker, taken)| taker.end(taken, &progress));
        let now: Vec<&mut Member<'_>> = now.collect();
        let whole = !stop.stopped()
            && match close_epoch(now, data, batches.batch_size(), workers, stop) {
                Err(error) if error.is_of_device() => {
                    half_way(members, error);
                    return Ok(());
                }
                closed => closed?,
            };
        if !whole {
            for member in members.iter_mut().filter(|member| member.is_running()) {
                let saved = member.training.save();
                member.ended = Some(saved.map(|()| Outcome::Stopped));
            }
            return Ok(());
        }
    }
}

/// Ends all that are running: the device that they share has failed them.
fn half_way(members: &mut [Member<'_>], error: LoadError) {
    let error = TrainingError::Load(error);
    for member in members.iter_mut().filter(|member| member.is_running()) {
        let failed = member.training.failed(&error);
        member.keep::<()>(Err(failed));
    }
}

/// Scores on the validation split, read once for all, and checkpoints. False when it was told to stop before that: then the
/// epoch has all its steps, and is closed when the training goes on.
fn close_epoch(
    now: Vec<&mut Member<'_>>,
    data: &Data<'_, '_>,
    size: BatchSize,
    workers: usize,
    stop: &StopFlag,
) -> Result<bool, LoadError> {
    let mut now: Vec<_> = now
        .into_iter()
        .filter(|member| member.is_running())
        .collect();
    let Some(split) = data.validation else {
        for member in &mut now {
            let closed = member.training.close_epoch(None);
            member.keep(closed);
        }
        return Ok(true);
    };
    let heads = now.iter_mut().map(|member| &mut *member.training.head);
    let predicted = evaluation::predict_all(heads.collect(), split, size, workers, stop)?;
    if stop.stopped() {
        return Ok(false);
    }
    for (member, predicted) in now.iter_mut().zip(predicted) {
        let training = &mut member.training;
        let closed = predicted
            .map_err(TrainingError::from)
            .and_then(|predicted| {
                training.check_validation(&predicted)?;
                training.close_epoch(Some(predicted.scores(split)))
            });
        member.keep(closed);
    }
    Ok(true)
}
