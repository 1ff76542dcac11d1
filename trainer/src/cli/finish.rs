//! The end of a training: scores and predictions of the best weights, the report and the model card.

use std::collections::BTreeMap;
use std::path::Path;

use shared::datasets::SplitName;
use shared::files::write_atomic;
use shared::heads::Threshold;
use shared::heads::run::{THRESHOLDS, WEIGHTS};
use shared::signals::StopFlag;
use shared::terminal::Terminal;

use super::CommandError;
use super::data::Splits;
use crate::batches::LabelledSplit;
use crate::checkpoint;
use crate::evaluation::Predictions;
use crate::head::AnyHead;
use crate::metrics::{self, Event, Final};
use crate::run::{Config, RunError};
use crate::training::Trained;
use crate::{evaluation, model_card, predictions, report, weights};

/// A head that is trained.
pub(super) struct Ending<'a> {
    pub(super) folder: &'a Path,
    pub(super) name: &'a str,
    pub(super) config: &'a Config,
    pub(super) head: &'a mut AnyHead,
    pub(super) trained: Trained,
}

/// Writes final scores, predictions, reports and model cards of heads of one task and batch size; each
/// split is read once for all. False when a signal came before it was done: the same command does it
/// again.
pub(super) fn finish(
    mut endings: Vec<Ending<'_>>,
    splits: &Splits<'_>,
    workers: usize,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<bool, CommandError> {
    let Some(size) = endings
        .first()
        .map(|ending| ending.config.training.batch_size)
    else {
        return Ok(true);
    };
    for ending in &endings {
        weights::load(&ending.folder.join(WEIGHTS), ending.head.parameters())?;
    }
    for split in splits.scored() {
        let heads = endings.iter_mut().map(|ending| &mut *ending.head).collect();
        let predicted = evaluation::predict_all(heads, split, size, workers, stop)?;
        let heads = endings.iter_mut().map(|ending| &mut *ending.head).collect();
        let attention = evaluation::layer_attention(heads, split, size, workers, stop)?;
        if stop.stopped() {
            return Ok(false);
        }
        for ((ending, predicted), layer_attention) in
            endings.iter_mut().zip(predicted).zip(attention)
        {
            let predicted = predicted?;
            if let Some(warning) = loss_warning(&predicted, split.name) {
                terminal.warn(format!("run {}: {warning}", ending.name));
            }
            let predicted = ending.with_thresholds(predicted, split)?;
            let file = ending
                .folder
                .join(predictions::Format::of_split(split).file_name(split.name));
            write_atomic(file, predictions::file(split, &predicted)?.as_bytes())?;
            ending.trained.log.add(&Event::Final(Box::new(Final {
                split: split.name.to_string(),
                epoch: ending.best_epoch(),
                scores: predicted.scores(split),
                layer_attention: layer_attention?,
            })))?;
        }
    }
    endings.into_iter().try_for_each(Ending::close)?;
    Ok(true)
}

/// A warning about a loss that is NaN or infinite.
pub(super) fn loss_warning(predicted: &Predictions, split: SplitName) -> Option<String> {
    let non_finite = predicted.non_finite?;
    let loss = predicted.loss;
    Some(format!(
        "the loss on {split} is {loss}, {non_finite}: the activations there are infinite or NaN, or too large for this head. \
         Predictions there are meaningless, but counted in the scores"
    ))
}

impl Ending<'_> {
    /// The predictions with the thresholds that are tuned on the validation split, which comes
    /// first; they are kept in a file.
    fn with_thresholds(
        &self,
        predicted: Predictions,
        split: &LabelledSplit<'_>,
    ) -> Result<Predictions, CommandError> {
        if self.config.head.threshold != Threshold::Tuned {
            return Ok(predicted);
        }
        if split.name == SplitName::Validation {
            let found = predicted.best_thresholds(split);
            let by_class: BTreeMap<&String, f64> = self.config.classes.iter().zip(found).collect();
            let mut json = serde_json::to_string_pretty(&by_class)?;
            json.push('\n');
            write_atomic(self.folder.join(THRESHOLDS), json.as_bytes())?;
        }
        let thresholds = self
            .config
            .thresholds(self.folder)
            .map_err(RunError::from)?;
        Ok(predicted.with_thresholds(Some(thresholds)))
    }

    fn best_epoch(&self) -> usize {
        let state = &self.trained.state;
        state.best.map_or(state.epoch, |best| best.epoch)
    }

    fn close(mut self) -> Result<(), CommandError> {
        let bytes = self.trained.log.sync()?;
        let events = metrics::read(self.folder)?;
        let mut state = self.trained.state;
        write_atomic(
            self.folder.join("report.html"),
            report::render(self.name, self.config, &events).as_bytes(),
        )?;
        write_atomic(
            self.folder.join("README.md"),
            model_card::render(self.name, self.config, &events, state.seconds).as_bytes(),
        )?;
        state.metrics_bytes = bytes;
        state.finished = true;
        Ok(checkpoint::save_state(self.folder, &state)?)
    }
}
