//! What a run measures while it goes: one JSON object an event in `metrics.jsonl`, for programs and for the
//! report, and the same numbers as TensorBoard events.

use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};

use crate::evaluation::{LayerAttention, Scores};
use crate::tensorboard::EventFile;

/// Name of the file in a run folder.
pub const FILE: &str = "metrics.jsonl";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// One batch was learned from.
    Step(Step),
    /// One pass over the training set is done.
    Epoch(Box<Epoch>),
    /// The best weights, run over a whole split after training.
    Final(Box<Final>),
}

/// One batch was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counted from 1 over all epochs.
    pub step: u64,
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross-entropy of the batch, in nats.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Euclidean norm of all gradients before clipping.
    pub gradient_norm: f64,
}

/// One pass over the training set is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps so far.
    pub step: u64,
    /// Mean training loss over the labelled tokens, dropout on, weights changing.
    pub train_loss: f64,
    /// Scores on the validation split, where there is one.
    pub validation: Option<Scores>,
    /// Whether these are the best weights so far.
    pub best: bool,
    /// Time for training, without validation.
    pub seconds: f64,
    /// Sub-words trained on in a second.
    pub tokens_per_second: f64,
}

/// The best weights, run over a whole split after training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// Name of the split.
    pub split: String,
    /// Epoch that the weights are from, counted from 1.
    pub epoch: usize,
    /// Its scores.
    pub scores: Scores,
    /// Where the head looks, if it attends to layers.
    pub layer_attention: Option<LayerAttention>,
}

/// The growing files of a run.
#[derive(Debug)]
pub struct Log {
    file: BufWriter<File>,
    tensorboard: EventFile,
    bytes: u64,
}

impl Log {
    /// Opens the files in `folder`. What `metrics.jsonl` holds beyond `bytes` was written by a run that was
    /// killed after its last checkpoint, at `step`, and is cut off: those steps are about to be done again.
    ///
    /// # Errors
    /// When the files cannot be opened or written; the error names the file.
    pub fn open(folder: &Path, bytes: u64, step: u64) -> std::io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(FILE))?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file: BufWriter::new(file),
            tensorboard: EventFile::create(folder, if step == 0 { 0 } else { step + 1 })?,
            bytes,
        })
    }

    /// Adds an event to both files.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn add(&mut self, event: &Event) -> std::io::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        self.mirror(event)
    }

    /// Hands everything to the disk and tells how long `metrics.jsonl` is now, for [`Log::open`].
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn sync(&mut self) -> std::io::Result<u64> {
        self.tensorboard.flush()?;
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        Ok(self.bytes)
    }

    fn mirror(&mut self, event: &Event) -> std::io::Result<()> {
        let board = &mut self.tensorboard;
        match event {
            Event::Step(step) => {
                board.scalar("train/loss", step.step, step.loss)?;
                board.scalar("train/learning_rate", step.step, step.learning_rate)?;
                board.scalar("train/gradient_norm", step.step, step.gradient_norm)
            }
            Event::Epoch(epoch) => {
                board.scalar("train/epoch_loss", epoch.step, epoch.train_loss)?;
                board.scalar(
                    "train/tokens_per_second",
                    epoch.step,
                    epoch.tokens_per_second,
                )?;
                let Some(scores) = &epoch.validation else {
                    return Ok(());
                };
                board.scalar("validation/loss", epoch.step, scores.loss)?;
                board.scalar("validation/accuracy", epoch.step, scores.accuracy)?;
                board.scalar("validation/precision", epoch.step, scores.micro.precision)?;
                board.scalar("validation/recall", epoch.step, scores.micro.recall)?;
                board.scalar("validation/f1", epoch.step, scores.micro.f1)
            }
            Event::Final(last) => {
                let tag = format!("final/{}_{}", last.split, last.scores.metric.to_lowercase());
                board.scalar(&tag, last.epoch as u64, last.scores.value)
            }
        }
    }
}

/// Everything that `metrics.jsonl` in `folder` tells.
///
/// # Errors
/// When it cannot be read, or a line is not an event; the error names file and line.
pub fn read(folder: &Path) -> std::io::Result<Vec<Event>> {
    let path = folder.join(FILE);
    let lines = BufReader::new(File::open(&path)?).lines();
    let events = lines.enumerate().map(|(number, line)| {
        serde_json::from_str(&line?).map_err(|error| {
            let message = format!("{} line {}: {error}", path.display(), number + 1);
            std::io::Error::new(std::io::ErrorKind::InvalidData, message)
        })
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Event {
        Event::Step(Step {
            step,
            epoch: 1,
            loss: 0.1,
            learning_rate: 1e-3,
            gradient_norm: 2.0,
        })
    }

    #[test]
    fn events_after_the_checkpoint_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 0, 0).unwrap();
        log.add(&step(1)).unwrap();
        let bytes = log.sync().unwrap();
        log.add(&step(2)).unwrap();
        log.sync().unwrap();
        drop(log);
        assert_eq!(read(folder.path()).unwrap(), [step(1), step(2)]);

        let mut log = Log::open(folder.path(), bytes, 1).unwrap();
        log.add(&step(3)).unwrap();
        log.sync().unwrap();
        assert_eq!(read(folder.path()).unwrap(), [step(1), step(3)]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(FILE), "{\"event\":\"step\"").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl line 1"), "{error}");
    }
}
