//! Training a head on a stored split: the order of batches, one optimiser step a batch, a score on the validation
//! split each epoch, and a state on disk from which any stop is made good.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use shared::exit::ExitStatus;
use shared::signals::StopFlag;
use shared::terminal::{Progress, Terminal};

use crate::batches::{self, LabelledSplit, LoadError, NO_TARGET, Prepared};
use crate::checkpoint::{self, BEST_WEIGHTS, Best, CheckpointError, EpochSums, State};
use crate::evaluation::{self, Confusion, EvaluationError, Scores};
use crate::head::{Dropout, Head, HeadError};
use crate::metrics::{self, Event, Log};
use crate::optimiser::{Adam, AdamOptions, clip_gradient_norm};
use crate::run::{Config, Settings};
use crate::schedule::Schedule;

/// Why a training ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The activations cannot be had.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The head fails.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The optimiser fails.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The validation fails.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A checkpoint cannot be written or taken up.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run cannot be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The numbers blew up.
    #[error(
        "the {what} is {value} at step {step} (epoch {epoch}, learning rate {learning_rate:e}): training has diverged; \
         try a lower --lr or a lower --grad-clip. {kept}"
    )]
    Diverged {
        /// `loss`, or `gradient norm`.
        what: &'static str,
        /// Not a number, or infinite.
        value: f64,
        /// Counted from 1 over all epochs.
        step: u64,
        /// Counted from 1.
        epoch: usize,
        /// Learning rate of the step.
        learning_rate: f64,
        /// What is left of the run.
        kept: String,
    },
    /// No sentence has a label.
    #[error("the training split has no labelled token: nothing can be learned from it")]
    NothingToLearn,
}

impl TrainingError {
    /// Who is to mend it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Load(error) => error.exit_status(),
            Self::Head(error) => error.exit_status(),
            Self::Torch(_) => ExitStatus::Machine,
            Self::Evaluation(error) => error.exit_status(),
            Self::Checkpoint(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
            Self::Diverged { .. } | Self::NothingToLearn => ExitStatus::User,
        }
    }
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done, or the score stopped rising.
    Done,
    /// A signal came; the state is saved.
    Stopped,
}

/// A training that has ended.
#[derive(Debug)]
pub struct Trained {
    /// How it ended.
    pub outcome: Outcome,
    /// Where it was then; saved.
    pub state: State,
    /// What was measured, open for the final scores.
    pub log: Log,
}

/// What a training works on.
pub struct Data<'a, 's> {
    /// Learned from.
    pub train: &'a LabelledSplit<'s>,
    /// Scored on after each epoch, where there is one.
    pub validation: Option<&'a LabelledSplit<'s>>,
}

/// A training between two steps.
pub struct Training<'a> {
    folder: &'a Path,
    settings: &'a Settings,
    head: &'a dyn Head,
    optimiser: Adam,
    schedule: Schedule,
    /// Where it is.
    pub state: State,
    log: Log,
    terminal: &'a Terminal,
    stop: &'a StopFlag,
}

/// The order of the sentences in every epoch.
struct Orders<'a, 's> {
    split: &'a LabelledSplit<'s>,
    settings: &'a Settings,
    members: Vec<usize>,
}

impl<'a, 's> Orders<'a, 's> {
    fn new(split: &'a LabelledSplit<'s>, settings: &'a Settings) -> Self {
        let mut members = split.members();
        if let Some(limit) = settings.limit_train {
            // Drawn from a stream that no epoch uses; sorted, so that --no-shuffle keeps the order of the store.
            members = batches::shuffled(&members, settings.seed, usize::MAX);
            members.truncate(limit);
            members.sort_unstable();
        }
        Self {
            split,
            settings,
            members,
        }
    }

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let length = |sentence| self.split.tokens(sentence).len();
        if !self.settings.shuffle {
            return batches::cut(&self.members, self.settings.batch_size, length);
        }
        let order = batches::shuffled(&self.members, self.settings.seed, epoch);
        batches::cut(&order, self.settings.batch_size, length)
    }

    /// Sub-words of an epoch.
    fn tokens(&self) -> u64 {
        let tokens = self
            .members
            .iter()
            .map(|&sentence| self.split.tokens(sentence).len() as u64);
        tokens.sum()
    }

    fn steps(&self) -> u64 {
        match self.settings.batch_size {
            batches::BatchSize::Sentences(size) => {
                (self.members.len().div_ceil(size) * self.settings.epochs) as u64
            }
            // How many batches the sentences fill depends on their order.
            batches::BatchSize::Tokens(_) => (0..self.settings.epochs)
                .map(|epoch| self.batches(epoch).len() as u64)
                .sum(),
        }
    }
}

/// Trains `head` under `config` until it is done or stopped, going on where `folder` has a checkpoint.
///
/// # Errors
/// When data, head or disk fail, or the loss is no longer a number; the last checkpoint stays.
pub fn train(
    folder: &Path,
    config: &Config,
    head: &dyn Head,
    data: &Data<'_, '_>,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<Trained, TrainingError> {
    let settings = &config.training;
    let orders = Orders::new(data.train, settings);
    let options = AdamOptions {
        weight_decay: settings.weight_decay,
        decoupled: true,
        ..AdamOptions::default()
    };
    let mut optimiser = Adam::new(head.parameters(), options);
    let state = checkpoint::load(folder, head, &mut optimiser)?;
    if let Some(state) = state.as_ref().filter(|state| state.epoch < settings.epochs) {
        terminal.status(format!(
            "Going on after step {} (epoch {} of {})",
            state.step,
            state.epoch + 1,
            settings.epochs
        ));
    }
    let state = state.unwrap_or_default();
    let log = Log::open(folder, state.metrics_bytes, state.step)?;
    let schedule = Schedule::new(
        settings.schedule,
        settings.learning_rate,
        orders.steps(),
        settings.warm_up,
    );
    let mut training = Training {
        folder,
        settings,
        head,
        optimiser,
        schedule,
        state,
        log,
        terminal,
        stop,
    };
    let left = orders.tokens() * (settings.epochs - training.state.epoch) as u64;
    let progress = terminal.progress(
        "Training",
        left.saturating_sub(training.state.sums.tokens),
        "tokens",
    );
    while training.state.epoch < settings.epochs && !training.out_of_patience() {
        training.epoch(&orders, &progress)?;
        if stop.stopped() {
            training.save()?;
            return Ok(training.end(Outcome::Stopped));
        }
        training.close_epoch(data)?;
    }
    Ok(training.end(Outcome::Done))
}

impl Training<'_> {
    fn end(self, outcome: Outcome) -> Trained {
        Trained {
            outcome,
            state: self.state,
            log: self.log,
        }
    }

    fn out_of_patience(&self) -> bool {
        let best = self.state.best.map_or(0, |best| best.epoch);
        self.settings
            .patience
            .is_some_and(|patience| self.state.epoch >= best + patience)
    }

    /// The rest of the current epoch, or as much as there is time for.
    fn epoch(&mut self, orders: &Orders<'_, '_>, progress: &Progress) -> Result<(), TrainingError> {
        let batches = orders.batches(self.state.epoch);
        let (begun, before) = (Instant::now(), self.state.sums.seconds);
        batches::stream(orders.split, &batches, self.state.position, |batch| {
            if self.stop.stopped() {
                return Ok(ControlFlow::Break(()));
            }
            self.step(&batch, progress)?;
            self.state.position = batch.index + 1;
            self.state.sums.seconds = before + begun.elapsed().as_secs_f64();
            Ok::<_, TrainingError>(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// Learns from one batch.
    fn step(&mut self, batch: &Prepared<'_>, progress: &Progress) -> Result<(), TrainingError> {
        let targets = batch
            .targets
            .iter()
            .filter(|&&target| target != NO_TARGET)
            .count() as u64;
        let dropout = Dropout::at(self.settings.seed, self.state.step);
        let result =
            self.head
                .loss_and_gradients(&batch.activations, &batch.targets, Some(dropout))?;
        let rates = self.schedule.at(self.state.step);
        let step = self.state.step + 1;
        let diverged = |what, value| self.diverged(what, value, step, rates.learning_rate);
        if !result.loss.is_finite() {
            return Err(diverged("loss", result.loss));
        }
        let mut gradients = result.gradients;
        let limit = if self.settings.gradient_clip > 0.0 {
            self.settings.gradient_clip
        } else {
            f64::INFINITY
        };
        let gradient_norm = clip_gradient_norm(&mut gradients, limit)?;
        if !gradient_norm.is_finite() {
            return Err(diverged("gradient norm", gradient_norm));
        }
        if targets > 0 {
            self.optimiser.step(
                self.head.parameters(),
                &gradients,
                rates.learning_rate,
                rates.beta1,
            )?;
        }
        self.state.step = step;
        let sums = &mut self.state.sums;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of tokens are far below 2^52"
        )]
        let weight = targets as f64;
        sums.loss += result.loss * weight;
        sums.targets += targets;
        sums.tokens += batch.activations.tokens() as u64;
        progress.inc(batch.activations.tokens() as u64);
        let (epoch, epochs) = (self.state.epoch + 1, self.settings.epochs);
        let loss = number(mean(sums.loss, sums.targets));
        progress.set_message(format!("epoch {epoch}/{epochs}, loss {loss}"));
        let learning_rate = rates.learning_rate;
        let event = metrics::Step {
            step,
            epoch,
            loss: result.loss,
            learning_rate,
            gradient_norm,
        };
        Ok(self.log.add(&Event::Step(event))?)
    }

    fn diverged(
        &self,
        what: &'static str,
        value: f64,
        step: u64,
        learning_rate: f64,
    ) -> TrainingError {
        let kept = if self.state.epoch == 0 {
            "No epoch was done, so there is nothing to keep: --overwrite starts anew".to_owned()
        } else {
            format!(
                "The state after epoch {} is kept in {}",
                self.state.epoch,
                self.folder.display()
            )
        };
        TrainingError::Diverged {
            what,
            value,
            step,
            epoch: self.state.epoch + 1,
            learning_rate,
            kept,
        }
    }

    /// Scores, keeps the best weights, tells how it went, and saves.
    fn close_epoch(&mut self, data: &Data<'_, '_>) -> Result<(), TrainingError> {
        let sums = std::mem::take(&mut self.state.sums);
        if sums.targets == 0 {
            return Err(TrainingError::NothingToLearn);
        }
        let validation = data
            .validation
            .map(|split| self.validate(split))
            .transpose()?;
        self.state.epoch += 1;
        self.state.position = 0;
        self.state.seconds += sums.seconds;
        let value = validation.as_ref().map(|scores| scores.value);
        let best = is_better(value, self.state.best);
        if best {
            checkpoint::save_tensors(&self.folder.join(BEST_WEIGHTS), self.head.parameters())?;
            self.state.best = Some(Best {
                epoch: self.state.epoch,
                value,
            });
        }
        let epoch = metrics::Epoch {
            epoch: self.state.epoch,
            step: self.state.step,
            train_loss: mean(sums.loss, sums.targets),
            validation,
            best,
            seconds: sums.seconds,
            tokens_per_second: per_second(&sums),
        };
        self.terminal.status(line(&epoch, self.settings.epochs));
        self.log.add(&Event::Epoch(Box::new(epoch)))?;
        self.save()
    }

    fn validate(&self, split: &LabelledSplit<'_>) -> Result<Scores, EvaluationError> {
        let scores = evaluation::predict(self.head, split, self.settings.batch_size)?.scores(split);
        // The square of the number of classes, every epoch, would drown the rest of the log.
        Ok(Scores {
            confusion: Confusion::default(),
            ..scores
        })
    }

    fn save(&mut self) -> Result<(), TrainingError> {
        self.state.metrics_bytes = self.log.sync()?;
        Ok(checkpoint::save(
            self.folder,
            &self.state,
            self.head,
            &self.optimiser,
        )?)
    }
}

/// Whether `value` beats the best so far; of equal scores the first stays. Without a validation split the latest
/// epoch is the best there is.
fn is_better(value: Option<f64>, best: Option<Best>) -> bool {
    match (value, best.and_then(|best| best.value)) {
        (Some(value), Some(best)) => value > best,
        _ => true,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of tokens are far below 2^52"
)]
fn mean(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of tokens are far below 2^52"
)]
fn per_second(sums: &EpochSums) -> f64 {
    sums.tokens as f64 / sums.seconds.max(1e-9)
}

/// A loss for people: four digits, and no row of forty for one that has exploded.
fn number(loss: f64) -> String {
    if loss < 1e4 {
        format!("{loss:.4}")
    } else {
        format!("{loss:.2e}")
    }
}

/// One line an epoch, for the terminal.
fn line(epoch: &metrics::Epoch, epochs: usize) -> String {
    let score = epoch
        .validation
        .as_ref()
        .map_or(String::new(), |scores: &Scores| {
            format!(
                "  validation loss {}  {} {:.4}",
                number(scores.loss),
                scores.metric,
                scores.value
            )
        });
    let best = if epoch.best && epoch.validation.is_some() {
        "  best"
    } else {
        ""
    };
    let width = epochs.to_string().len();
    format!(
        "Epoch {:width$}/{epochs}  loss {}{score}  {:.1} s, {:.0} tokens/s{best}",
        epoch.epoch,
        number(epoch.train_loss),
        epoch.seconds,
        epoch.tokens_per_second,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_higher_score_is_better() {
        let best = |value| Some(Best { epoch: 1, value });
        assert!(is_better(Some(0.0), None));
        assert!(is_better(Some(0.6), best(Some(0.5))));
        assert!(!is_better(Some(0.5), best(Some(0.5))));
        assert!(is_better(None, best(None)));
    }
}
