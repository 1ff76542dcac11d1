//! What a run measures while it goes: one JSON object an event in `metrics.jsonl`, for programs and for the
//! report, and the same numbers as TensorBoard events. JSON has no word for a number that is NaN or infinite: such a
//! one is written as `null`, and read as NaN.

pub(crate) mod number;

use std::io::{BufWriter, Seek, SeekFrom, Write};
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
    /// Mean loss of the batch: cross-entropy in nats, or squared error.
    #[serde(deserialize_with = "number::or_nan")]
    pub loss: f64,
    /// Learning rate of the step.
    #[serde(deserialize_with = "number::or_nan")]
    pub learning_rate: f64,
    /// Euclidean norm of all gradients before clipping.
    #[serde(deserialize_with = "number::or_nan")]
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
    #[serde(deserialize_with = "number::or_nan")]
    pub train_loss: f64,
    /// Scores on the validation split, where there is one.
    pub validation: Option<Scores>,
    /// Whether these are the best weights so far.
    pub best: bool,
    /// Time for training, without validation.
    #[serde(deserialize_with = "number::or_nan")]
    pub seconds: f64,
    /// Sub-words trained on in a second.
    #[serde(deserialize_with = "number::or_nan")]
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
    /// killed after its last checkpoint, at `step`, and is cut off: those steps are about to be done again. So is a
    /// line that has no end, where the file holds less than that.
    ///
    /// # Errors
    /// When the files cannot be opened or written; the error names the file.
    pub fn open(folder: &Path, bytes: u64, step: u64) -> std::io::Result<Self> {
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        let bytes = if file.metadata()?.len() < bytes {
            let whole = fs_err::read(&path)?;
            whole.len() as u64 - torn(&whole).len() as u64
        } else {
            bytes
        };
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
                if let Some(numbers) = &scores.numbers {
                    board.scalar("validation/pearson", epoch.step, numbers.pearson)?;
                    return board.scalar("validation/spearman", epoch.step, numbers.spearman);
                }
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

/// Everything that `metrics.jsonl` in `folder` tells. A last line that ends half-way, as a killed run or a full disk
/// leaves it, is left out.
///
/// # Errors
/// When it cannot be read, or another line is not an event; the error names file and line.
pub fn read(folder: &Path) -> std::io::Result<Vec<Event>> {
    let path = folder.join(FILE);
    let bytes = fs_err::read(&path)?;
    let torn = torn(&bytes);
    let whole = &bytes[..bytes.len() - torn.len()];
    let lines = whole.split_inclusive(|&byte| byte == b'\n');
    let events = lines.enumerate().map(|(number, line)| {
        serde_json::from_slice(line).map_err(|error| {
            let message = format!("{} line {}: {error}", path.display(), number + 1);
            std::io::Error::new(std::io::ErrorKind::InvalidData, message)
        })
    });
    let mut events = events.collect::<std::io::Result<Vec<Event>>>()?;
    // All of it but the end of the line may be there.
    events.extend(serde_json::from_slice::<Event>(torn).ok());
    Ok(events)
}

/// What stands behind the last end of a line.
fn torn(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    &bytes[end.map_or(0, |end| end + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{AttentionRow, ClassScore, Confusion};

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
    fn a_broken_line_is_named_and_a_torn_last_one_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let whole = serde_json::to_string(&step(1)).unwrap();
        fs_err::write(&path, format!("{whole}\n{{\"event\":\"step\"\n{whole}\n")).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl line 2"), "{error}");

        let tail = &whole[..whole.len() / 2];
        for (torn, events) in [("", 1), (tail, 1), ("\0\0\u{b5}", 1), (&*whole, 2)] {
            fs_err::write(&path, format!("{whole}\n{torn}")).unwrap();
            assert_eq!(
                read(folder.path()).unwrap(),
                vec![step(1); events],
                "{torn:?}"
            );
        }
        fs_err::write(&path, [b"{\"loss\":\xff".as_slice(), &[0; 40]].concat()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
    }

    /// A file system that came back without what was written last: no zeros in place of it, no half
    /// line before the next.
    #[test]
    fn a_file_that_is_too_short_goes_on_after_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 0, 0).unwrap();
        (1..=3).for_each(|number| log.add(&step(number)).unwrap());
        let bytes = log.sync().unwrap();
        let path = folder.path().join(FILE);
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, &text[..text.len() - 20]).unwrap();
        let mut log = Log::open(folder.path(), bytes, 3).unwrap();
        log.add(&step(4)).unwrap();
        let length = fs_err::metadata(&path).map(|file| file.len());
        assert_eq!(log.sync().unwrap(), bytes);
        assert!(length.unwrap() <= bytes);
        assert_eq!(read(folder.path()).unwrap(), [step(1), step(2), step(4)]);
    }

    #[test]
    fn numbers_that_are_nan_or_infinite_come_back_as_nan() {
        let json = |event: &Event| serde_json::to_string(event).unwrap();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let class = ClassScore {
                precision: value,
                recall: value,
                f1: value,
                ..ClassScore::default()
            };
            let scores = Scores {
                metric: "F1".to_owned(),
                value,
                loss: value,
                accuracy: value,
                micro: class.clone(),
                macro_average: class.clone(),
                classes: vec![class],
                matthews: None,
                numbers: None,
                confusion: Confusion::default(),
                attachment: None,
            };
            let row = AttentionRow {
                name: "O".to_owned(),
                tokens: 1,
                weights: vec![0.5, value],
            };
            let events = [
                Event::Step(Step {
                    loss: value,
                    learning_rate: value,
                    gradient_norm: value,
                    step: 1,
                    epoch: 1,
                }),
                Event::Epoch(Box::new(Epoch {
                    train_loss: value,
                    validation: Some(scores.clone()),
                    seconds: value,
                    tokens_per_second: value,
                    epoch: 1,
                    step: 1,
                    best: true,
                })),
                Event::Final(Box::new(Final {
                    split: "test".to_owned(),
                    epoch: 1,
                    scores,
                    layer_attention: Some(LayerAttention {
                        classes: vec![row.clone()],
                        kinds: vec![row],
                    }),
                })),
            ];
            let folder = tempfile::tempdir().unwrap();
            let mut log = Log::open(folder.path(), 0, 0).unwrap();
            for event in &events {
                log.add(event).unwrap();
            }
            log.sync().unwrap();
            let back = read(folder.path()).unwrap();
            for (event, back) in events.iter().zip(&back) {
                assert_eq!(json(event), json(back));
            }
            let Event::Final(last) = &back[2] else {
                panic!("{back:?}")
            };
            let weights = &last.layer_attention.as_ref().unwrap().kinds[0].weights;
            assert!(weights[1].is_nan() && last.scores.classes[0].f1.is_nan());
        }
    }
}
