//! Training heads on a stored split: the order of batches, one optimiser step a batch, a score on the
//! validation split each epoch, and checkpoints from which a stopped training goes on. Heads that see
//! the same batches are trained on one pass over the store, each as if it were alone; on a GPU those
//! of one shape are computed as one.

mod error;
mod head_group;
mod learner;
mod member;
mod order;
mod pass;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use shared::exit::HasExitStatus as _;
use shared::heads::run::WEIGHTS;
use shared::signals::StopFlag;
use shared::tasks::NO_TARGET;
use shared::terminal::{Progress, Terminal};

use crate::batches::{LabelledBatch, LabelledSplit};
use crate::checkpoint::{self, Best, EpochSums, State};
use crate::evaluation::{NonFinite, Predictions, Scores};
use crate::head::{AnyHead, Dropout};
use crate::metrics::{self, Event, Log};
use crate::optimiser::{Adam, AdamOptions, clip_gradient_norm};
use crate::run::{Config, Settings};
use crate::schedule::Schedule;

pub use error::TrainingError;
pub use order::Order;
pub use pass::train;

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
    /// Its state at the end, which is saved.
    pub state: State,
    /// Its log, to which the final scores are added.
    pub log: Log,
}

/// The splits of a training.
pub struct Data<'a, 's> {
    /// What is learned from.
    pub train: &'a LabelledSplit<'s>,
    /// What is scored on after each epoch, where there is one.
    pub validation: Option<&'a LabelledSplit<'s>>,
}

/// A head to be trained.
pub struct Job<'a> {
    /// Folder of its run.
    pub folder: &'a Path,
    /// What it is and how it is trained.
    pub config: &'a Config,
    /// The head.
    pub head: &'a mut AnyHead,
    /// Its name in messages, where it is one of several.
    pub name: Option<&'a str>,
}

/// What was measured in one step.
#[derive(Clone, Copy)]
struct Measured {
    loss: f64,
    gradient_norm: f64,
    learning_rate: f64,
    /// Tokens or sentences with a label.
    targets: u64,
    /// All tokens.
    tokens: u64,
}

/// A training between two steps.
struct Training<'a> {
    folder: &'a Path,
    settings: &'a Settings,
    head: &'a mut AnyHead,
    optimiser: Adam,
    schedule: Schedule,
    state: State,
    log: Log,
    name: Option<&'a str>,
    /// When the last step ended, or the epoch began.
    since: Instant,
    terminal: &'a Terminal,
    stop: &'a StopFlag,
}

impl<'a> Training<'a> {
    /// A training of `steps` steps in all, which goes on where its folder has a checkpoint.
    fn begin(
        job: Job<'a>,
        steps: u64,
        terminal: &'a Terminal,
        stop: &'a StopFlag,
    ) -> Result<Self, TrainingError> {
        let Job {
            folder,
            config,
            head,
            name,
        } = job;
        let settings = &config.training;
        let options = AdamOptions {
            weight_decay: settings.weight_decay,
            decoupled: true,
            ..AdamOptions::default()
        };
        let mut optimiser = Adam::new(head.parameters(), options);
        let state = checkpoint::load(folder, head, &mut optimiser)?;
        let state = state.unwrap_or_default();
        let log = Log::open(folder, state.metrics_bytes, state.step)?;
        let schedule = Schedule::new(
            settings.schedule,
            settings.learning_rate,
            steps,
            settings.warm_up,
        );
        let training = Self {
            folder,
            settings,
            head,
            optimiser,
            schedule,
            state,
            log,
            name,
            since: Instant::now(),
            terminal,
            stop,
        };
        if training.state.step > 0 && !training.is_over() {
            let (done, epoch) = (training.state.step, training.state.epoch + 1);
            let epochs = settings.epochs;
            training.say(&format!(
                "Going on after step {done} (epoch {epoch} of {epochs})"
            ));
        }
        Ok(training)
    }

    fn end(self, outcome: Outcome) -> Trained {
        Trained {
            outcome,
            state: self.state,
            log: self.log,
        }
    }

    fn say(&self, message: &str) {
        match self.name {
            Some(name) => self.terminal.status(format!("{name}: {message}")),
            None => self.terminal.status(message),
        }
    }

    /// Whether no epoch is left, or the score has stopped rising.
    fn is_over(&self) -> bool {
        let best = self.state.best.map_or(0, |best| best.epoch);
        let patience = self.settings.patience;
        self.state.epoch >= self.settings.epochs
            || patience.is_some_and(|patience| self.state.epoch >= best + patience)
    }

    /// Learns from a batch if it is the next one of this training.
    fn learn(
        &mut self,
        batch: &LabelledBatch<'_>,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, TrainingError> {
        if self.stop.stopped() {
            return Ok(ControlFlow::Break(()));
        }
        // Gone on from its checkpoint, it may be ahead of others on the same pass.
        if batch.index == self.state.position {
            // The time of a head alone has the loading of its batches in it; one of several also waits
            // for other heads, which does not count.
            let begun = self.name.map_or(self.since, |_| Instant::now());
            self.step(batch, progress)?;
            self.state.position += 1;
            self.state.sums.seconds += begun.elapsed().as_secs_f64();
            self.since = Instant::now();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Learns from one batch.
    fn step(
        &mut self,
        batch: &LabelledBatch<'_>,
        progress: &Progress,
    ) -> Result<(), TrainingError> {
        let targets = labelled(batch);
        let dropout = Dropout::at(self.settings.seed, self.state.step);
        let result =
            self.head
                .loss_and_gradients(&batch.activations, &batch.targets, Some(dropout))?;
        let rates = self.schedule.at(self.state.step);
        let mut gradients = result.gradients;
        let gradient_norm = clip_gradient_norm(&mut gradients, self.largest_norm())?;
        let measured = Measured {
            loss: result.loss,
            gradient_norm,
            learning_rate: rates.learning_rate,
            targets,
            tokens: batch.activations.tokens() as u64,
        };
        self.check(&measured)?;
        if targets > 0 {
            self.optimiser.step(
                self.head.parameters(),
                &gradients,
                rates.learning_rate,
                rates.beta1,
            )?;
        }
        self.record(&measured, progress)
    }

    /// What the gradients' norm is clipped to.
    fn largest_norm(&self) -> f64 {
        if self.settings.gradient_clip > 0.0 {
            self.settings.gradient_clip
        } else {
            f64::INFINITY
        }
    }

    /// Refuses a step whose loss or gradient norm is NaN or infinite.
    fn check(&self, measured: &Measured) -> Result<(), TrainingError> {
        let numbers = [
            ("loss", measured.loss),
            ("gradient norm", measured.gradient_norm),
        ];
        match numbers.into_iter().find(|(_, value)| !value.is_finite()) {
            // The step after those that are counted.
            Some((what, value)) => Err(self.diverged(what, value, self.state.step + 1, None)),
            None => Ok(()),
        }
    }

    /// Refuses weights with which the validation loss is NaN or infinite: it could not rank epochs.
    fn check_validation(&self, predicted: &Predictions) -> Result<(), TrainingError> {
        if predicted.loss.is_finite() {
            return Ok(());
        }
        let (value, step) = (predicted.loss, self.state.step);
        Err(self.diverged("validation loss", value, step, predicted.non_finite))
    }

    /// Counts a step that was taken, and logs it.
    fn record(&mut self, measured: &Measured, progress: &Progress) -> Result<(), TrainingError> {
        self.state.step += 1;
        let sums = &mut self.state.sums;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of tokens are far below 2^52"
        )]
        let weight = measured.targets as f64;
        sums.loss += measured.loss * weight;
        sums.targets += measured.targets;
        sums.tokens += measured.tokens;
        progress.inc(measured.tokens);
        let (epoch, epochs) = (self.state.epoch + 1, self.settings.epochs);
        let loss = number(mean(sums.loss, sums.targets));
        let best = self.state.best.and_then(|best| best.value);
        let best = best.map_or(String::new(), |best| format!(", best score {best:.4}"));
        progress.set_message(format!("epoch {epoch}/{epochs}, loss {loss}{best}"));
        let event = metrics::Step {
            step: self.state.step,
            epoch,
            loss: measured.loss,
            learning_rate: measured.learning_rate,
            gradient_norm: measured.gradient_norm,
        };
        Ok(self.log.add(&Event::Step(event))?)
    }

    /// The error of a step, counted from 1, whose numbers are NaN or infinite.
    fn diverged(
        &self,
        what: &'static str,
        value: f64,
        step: u64,
        validation: Option<NonFinite>,
    ) -> TrainingError {
        let kept = if self.state.epoch == 0 {
            "No epoch was done, so there is nothing to keep: --overwrite starts anew".to_owned()
        } else {
            self.kept()
        };
        TrainingError::Diverged {
            what,
            value,
            step,
            epoch: self.state.epoch + 1,
            learning_rate: self.schedule.at(step.saturating_sub(1)).learning_rate,
            validation,
            kept,
        }
    }

    /// The error of a training that ends half-way; it can go on from its checkpoint.
    fn failed(&self, error: &TrainingError) -> TrainingError {
        let again = match self.name {
            Some(_) => "the same command goes on",
            None => "the same command with --resume goes on",
        };
        let kept = if self.state.epoch == 0 {
            format!("No epoch was done: {again} from the beginning")
        } else {
            format!("{}: {again} from there", self.kept())
        };
        TrainingError::HalfWay {
            why: error.to_string(),
            kept,
            status: error.exit_status(),
            device_failure: error.is_device_failure(),
        }
    }

    fn kept(&self) -> String {
        let (epoch, folder) = (self.state.epoch, self.folder.display());
        format!("The state after epoch {epoch} is kept in {folder}")
    }

    /// Ends an epoch: keeps the weights if they are the best, logs, and saves a checkpoint.
    fn close_epoch(&mut self, validation: Option<Scores>) -> Result<(), TrainingError> {
        let sums = std::mem::take(&mut self.state.sums);
        if sums.targets == 0 {
            return Err(TrainingError::NothingToLearn);
        }
        // The confusion matrix, classes by classes, is too large to be logged every epoch.
        let validation = validation.map(Scores::of_epoch);
        self.state.epoch += 1;
        self.state.position = 0;
        self.state.seconds += sums.seconds;
        let value = validation.as_ref().map(|scores| scores.value);
        let best = is_better(value, self.state.best);
        if best {
            checkpoint::save_tensors(&self.folder.join(WEIGHTS), self.head.parameters())?;
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
        self.say(&line(&epoch, self.settings.epochs));
        self.log.add(&Event::Epoch(Box::new(epoch)))?;
        self.save()
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

/// Tokens or sentences of a batch that have a label.
fn labelled(batch: &LabelledBatch<'_>) -> u64 {
    let targets = batch.targets.iter();
    targets.filter(|&&target| target != NO_TARGET).count() as u64
}

/// Whether `value` beats the best so far; of equal scores the first stays. Without a validation split
/// the latest epoch counts as the best.
fn is_better(value: Option<f64>, best: Option<Best>) -> bool {
    match (value, best.and_then(|best| best.value)) {
        // Of numbers that do not vary there is no correlation.
        (Some(value), Some(best)) => value > best || (best.is_nan() && !value.is_nan()),
        (Some(_), None) | (None, _) => true,
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

/// A loss with four digits, or in scientific notation where it is very large.
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
        assert!(is_better(Some(f64::NAN), None) && is_better(Some(-0.5), best(Some(f64::NAN))));
        assert!(!is_better(Some(f64::NAN), best(Some(-0.5))));
        assert!(!is_better(Some(f64::NAN), best(Some(f64::NAN))));
    }
}
