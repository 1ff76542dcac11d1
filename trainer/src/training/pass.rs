//! Training several heads on one pass over the store each epoch. Each head has its own position in
//! the epoch: one that goes on from a later checkpoint waits until the others have caught up.

use shared::signals::StopFlag;
use shared::terminal::Terminal;

use super::learner::Learner;
use super::member::Member;
use super::order::{Batches, Order};
use super::{Data, Job, Outcome, Trained, Training, TrainingError};
use crate::batches::{self, BatchSize, LoadError};
use crate::evaluation;

/// Trains the heads of `jobs`, which see their sentences in the same [`Order`], until they are done
/// or stopped; `workers` of them at the same time. Heads whose folders have checkpoints go on from
/// there. A single worker may compute on several threads; of several workers each computes on one.
///
/// # Errors
/// When the store cannot be read. Each job has a result of its own: an error when its head or its
/// folder fails, or its loss is NaN or infinite. Its last checkpoint stays.
pub fn train<'a>(
    jobs: Vec<Job<'a>>,
    order: Order,
    data: &Data<'_, '_>,
    workers: usize,
    terminal: &'a Terminal,
    stop: &'a StopFlag,
) -> Result<Vec<Result<Trained, TrainingError>>, LoadError> {
    let batches = Batches::new(data.train, order);
    // Jobs that cannot begin keep their places in the results.
    let mut failed = Vec::new();
    let mut members = Vec::new();
    for (place, job) in jobs.into_iter().enumerate() {
        let steps = batches.steps(job.config.training.epochs);
        match Training::begin(job, steps, terminal, stop) {
            Ok(training) => members.push(Member::new(training)),
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
        let in_epoch = batches.in_epoch(epoch);
        let mut learners = Learner::from_members(now, batches.split.is_on_device());
        let results = batches::for_each_batch(
            batches.split,
            &in_epoch,
            first,
            &mut learners,
            workers,
            |learner, batch| learner.learn(batch, &progress),
        );
        let results = match results {
            Ok(results) => results,
            Err(error) if error.is_device_failure() => {
                fail_all(members, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let results = learners.into_iter().zip(results);
        let now = results.flat_map(|(learner, result)| learner.into_members(result, &progress));
        let now: Vec<&mut Member<'_>> = now.collect();
        let whole = !stop.stopped()
            && match close_epoch(now, data, batches.batch_size(), workers, stop) {
                Err(error) if error.is_device_failure() => {
                    fail_all(members, error);
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

/// Ends all heads that are running: the device that they share has failed.
fn fail_all(members: &mut [Member<'_>], error: LoadError) {
    let error = TrainingError::Load(error);
    for member in members.iter_mut().filter(|member| member.is_running()) {
        let failed = member.training.failed(&error);
        member.end_on_error::<()>(Err(failed));
    }
}

/// Scores the heads on the validation split, which is read once for all, and saves checkpoints. False
/// when a signal came before that: the epoch then has all its steps, and is closed when the training
/// goes on.
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
            member.end_on_error(closed);
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
        member.end_on_error(closed);
    }
    Ok(true)
}
