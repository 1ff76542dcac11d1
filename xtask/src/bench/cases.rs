//! What is compared: each case is one command line and the way to read what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::Value;
use shared::datasets::Dataset;

use super::data;
use super::log::Measurement;
use super::measure::{self, Ran};
use crate::demo;
use crate::project::Project;

/// Epochs of a training case; the first, which warms up, is not counted.
const EPOCHS: u32 = 4;
/// Epochs of a whole job, as the paper's code trains.
pub(super) const JOB_EPOCHS: u32 = 20;
/// How much larger each data set of the scaling is than the first.
pub(super) const FACTORS: [usize; 5] = [1, 2, 4, 8, 16];

/// The size of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// all-MiniLM-L6-v2: 6 layers, hidden size 384.
    MiniLm,
    /// 12 layers, hidden size 768.
    BertBase,
    /// 22 layers, hidden size 768, windows in two of three.
    ModernBertBase,
    /// The same, on texts of about 1,500 words.
    ModernBertBaseLong,
    /// 12 layers, hidden size 768, scores for distances.
    DebertaV3Base,
    /// 28 layers, hidden size 1,024, causal.
    Qwen3,
}

impl Size {
    pub(super) const ALL: [Self; 6] = [
        Self::MiniLm,
        Self::BertBase,
        Self::ModernBertBase,
        Self::ModernBertBaseLong,
        Self::DebertaV3Base,
        Self::Qwen3,
    ];

    /// The name of its random checkpoint.
    pub(super) const fn checkpoint(self) -> &'static str {
        match self {
            Self::MiniLm => "minilm",
            Self::BertBase => "bert-base",
            Self::ModernBertBase | Self::ModernBertBaseLong => "modernbert-base",
            Self::DebertaV3Base => "deberta-v3-base",
            Self::Qwen3 => "qwen3-0.6b",
        }
    }

    /// Sentences that make one text.
    pub(super) const fn sentences_of_a_text(self) -> usize {
        match self {
            Self::ModernBertBaseLong => 100,
            _ => 1,
        }
    }

    /// How many times fewer words than `MiniLM` it gets.
    pub(super) const fn slower(self) -> usize {
        match self {
            Self::MiniLm => 1,
            Self::BertBase | Self::ModernBertBase => 6,
            Self::ModernBertBaseLong | Self::DebertaV3Base => 8,
            Self::Qwen3 => 24,
        }
    }

    /// Whether extraction alone is compared: heads of encoders of one hidden size take the same time.
    pub(super) const fn is_extraction_alone(self) -> bool {
        !matches!(self, Self::MiniLm | Self::BertBase)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.checkpoint();
        match self {
            Self::ModernBertBaseLong => write!(formatter, "{name}-long"),
            _ => formatter.write_str(name),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_called = |size: &Self| size.to_string() == text;
        Self::ALL.into_iter().find(is_called).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

/// Programs, Python and room to work.
pub(super) struct Place<'a> {
    pub(super) project: &'a Project,
    pub(super) programs: BTreeMap<String, PathBuf>,
    pub(super) python: PathBuf,
    pub(super) work: PathBuf,
    pub(super) threads: usize,
}

impl Place<'_> {
    /// The folder of the data of one size, and of what is made of them.
    pub(super) fn data(&self, size: Size) -> PathBuf {
        self.work.join(format!("data-{size}"))
    }

    /// A script of the PyTorch side.
    pub(super) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.project.root().join("benchmarks/pytorch").join(name));
        command
    }

    /// The extractor over `folder` into a store of its own, begun anew.
    fn extractor(&self, model: &Path, folder: &Path, threads: usize) -> Result<Command> {
        let mut command = demo::program(self.project, &self.programs, "extractor")?;
        command
            .arg("--model")
            .arg(model)
            .arg("--dataset")
            .arg(folder);
        command.arg("--out").arg(root(folder));
        command.args(["--overwrite", "--json", "--quiet", "--device", "cpu"]);
        command.args(["--threads", &threads.to_string()]);
        Ok(command)
    }

    /// The trainer on the store that the extractor made of `folder`.
    fn trainer(&self, folder: &Path, threads: usize, epochs: u32) -> Result<Command> {
        let mut command = demo::program(self.project, &self.programs, "trainer")?;
        command.arg("--cache").arg(root(folder));
        command.arg("--out").arg(self.work.join("runs"));
        command.args(["--name", RUN, "--overwrite", "--json", "--quiet"]);
        command.args(["--device", "cpu", "--epochs", &epochs.to_string()]);
        command.args(["--threads", &threads.to_string()]);
        Ok(command)
    }

    fn metrics(&self) -> PathBuf {
        self.work.join("runs").join(RUN).join("metrics.jsonl")
    }
}

const RUN: &str = "bench";

/// Where the store of a data set goes.
fn root(folder: &Path) -> PathBuf {
    folder.join("cache")
}

/// One thing to measure.
pub(super) struct Case<'a> {
    pub(super) name: String,
    run: Box<dyn Fn() -> Result<Measurement> + 'a>,
}

impl<'a> Case<'a> {
    pub(super) fn new(name: String, run: impl Fn() -> Result<Measurement> + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    pub(super) fn run(&self) -> Result<Measurement> {
        (self.run)().with_context(|| format!("case {}", self.name))
    }
}

/// Extraction and training of one size, both sides.
pub(super) fn comparison<'a>(
    place: &'a Place<'_>,
    size: Size,
    model: &Path,
    sentences: &Dataset,
    words: usize,
) -> Result<Vec<Case<'a>>> {
    let folder = place.data(size);
    data::write_texts(sentences, words, size.sentences_of_a_text(), &folder)?;
    let name = |what: &str| format!("{size}/{what}");
    let pytorch = |script: &'static str, arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (model, folder) = (model.to_owned(), folder.clone());
        move || pytorch(place, &model, &folder, script, &arguments)
    };
    // So many steps of the slow loop take about as long as the others' epochs.
    let steps = if size == Size::MiniLm { "40" } else { "12" };
    let epochs = EPOCHS.to_string();
    let (encoder, store) = (model.to_owned(), folder.clone());
    let mut cases = vec![Case::new(name("extract/ours"), move || {
        extraction(place, &encoder, &store, place.threads)
    })];
    if size.is_extraction_alone() {
        let rows = if size.sentences_of_a_text() > 1 {
            "4"
        } else {
            "64"
        };
        let arguments = &[
            "--order",
            "sorted",
            "--batch-size",
            rows,
            "--max-length",
            "2048",
        ];
        let run = pytorch("extract.py", arguments);
        cases.push(Case::new(name("extract/pytorch, sorted"), run));
        return Ok(cases);
    }
    // Length-sorted last: the cached loops read what it wrote.
    for (what, script, arguments) in [
        (
            "extract/pytorch, data order",
            "extract.py",
            &["--order", "data", "--batch-size", "32"][..],
        ),
        (
            "extract/pytorch, sorted",
            "extract.py",
            &["--order", "sorted"],
        ),
        (
            "train/pytorch, encoder in every step",
            "encoder_in_every_step.py",
            &["--steps", steps],
        ),
        (
            "train/pytorch, cached, random",
            "train_cached.py",
            &["--order", "random", "--epochs", &epochs],
        ),
        (
            "train/pytorch, cached, bucketed",
            "train_cached.py",
            &["--order", "bucketed", "--epochs", &epochs],
        ),
        ("train/products alone", "products.py", &["--steps", "100"]),
    ] {
        cases.push(Case::new(name(what), pytorch(script, arguments)));
    }
    let store = folder.clone();
    cases.push(Case::new(name("train/ours"), move || {
        training(place, &store, place.threads, EPOCHS)
    }));
    let (encoder, store) = (model.to_owned(), folder);
    cases.push(Case::new(name("job/ours"), move || {
        let extracted = extraction(place, &encoder, &store, place.threads)?;
        let trained = training(place, &store, place.threads, JOB_EPOCHS)?;
        Ok(Measurement {
            wall: extracted.wall + trained.wall,
            ..trained
        })
    }));
    Ok(cases)
}

/// Time and memory over data and threads.
pub(super) fn scaling<'a>(
    place: &'a Place<'_>,
    model: &Path,
    sentences: &Dataset,
    words: usize,
) -> Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    let mut pair = |what: String, folder: &Path, threads: usize| {
        let (encoder, store) = (model.to_owned(), folder.to_owned());
        cases.push(Case::new(format!("{what}/extract"), move || {
            extraction(place, &encoder, &store, threads)
        }));
        let store = folder.to_owned();
        cases.push(Case::new(format!("{what}/train"), move || {
            training(place, &store, threads, 2)
        }));
    };
    for factor in FACTORS {
        let folder = place.work.join(format!("data-{factor}x"));
        data::write(sentences, words * factor, &folder)?;
        pair(format!("scale/{factor:02}x"), &folder, place.threads);
    }
    let folder = place.work.join("data-4x");
    for threads in 1..=place.threads {
        pair(format!("threads/{threads}"), &folder, threads);
    }
    Ok(cases)
}

/// Runs a script of the PyTorch side.
fn pytorch(
    place: &Place<'_>,
    model: &Path,
    folder: &Path,
    script: &str,
    arguments: &[String],
) -> Result<Measurement> {
    let map = folder.join("activations.f16");
    let mut command = place.script(script);
    command.arg("--model").arg(model);
    command.arg("--train").arg(folder.join("train.conll"));
    command.args(["--threads", &place.threads.to_string()]);
    match script {
        "extract.py" => _ = command.arg("--out").arg(&map),
        "train_cached.py" => _ = command.arg("--store").arg(&map),
        _ => {}
    }
    let ran = measure::run(command.args(arguments))?;
    let (mut tokens, mut seconds) = (number(&ran.said, "tokens")?, number(&ran.said, "seconds")?);
    let padding = ran.said["padded_tokens"]
        .as_f64()
        .map(|positions| 1.0 - tokens / positions);
    // Of several epochs the first warms up.
    if let Some(epochs) = ran.said["epoch_seconds"]
        .as_array()
        .filter(|epochs| epochs.len() > 1)
    {
        tokens /= f64::from(u32::try_from(epochs.len())?);
        seconds = mean(epochs[1..].iter().filter_map(Value::as_f64));
    }
    Ok(Measurement {
        tokens,
        seconds,
        wall: ran.wall,
        peak_anonymous: ran.peak_anonymous,
        padding,
        outside_encoder: None,
    })
}

fn extraction(
    place: &Place<'_>,
    model: &Path,
    folder: &Path,
    threads: usize,
) -> Result<Measurement> {
    let ran = measure::run(&mut place.extractor(model, folder, threads)?)?;
    Ok(Measurement {
        tokens: number(&ran.said, "tokens_encoded")?,
        seconds: number(&ran.said, "seconds")?,
        wall: ran.wall,
        peak_anonymous: ran.peak_anonymous,
        padding: ran.said["padding_share"].as_f64(),
        outside_encoder: ran.said["outside_encoder_share"].as_f64(),
    })
}

fn training(place: &Place<'_>, folder: &Path, threads: usize, epochs: u32) -> Result<Measurement> {
    let Ran {
        wall,
        peak_anonymous,
        ..
    } = measure::run(&mut place.trainer(folder, threads, epochs)?)?;
    let metrics = fs::read_to_string(place.metrics())?;
    let epochs: Vec<Value> = metrics
        .lines()
        .filter(|line| line.starts_with("{\"event\":\"epoch\""))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    // The first warms up.
    let epochs = epochs.get(1..).unwrap_or_default();
    let seconds = epochs.iter().filter_map(|epoch| epoch["seconds"].as_f64());
    let tokens = epochs.iter().filter_map(|epoch| {
        Some(epoch["seconds"].as_f64()? * epoch["tokens_per_second"].as_f64()?)
    });
    Ok(Measurement {
        tokens: mean(tokens),
        seconds: mean(seconds),
        wall,
        peak_anonymous,
        padding: None,
        outside_encoder: None,
    })
}

fn number(said: &Value, name: &str) -> Result<f64> {
    said[name]
        .as_f64()
        .with_context(|| format!("no number {name:?} in {said}"))
}

#[expect(clippy::cast_precision_loss, reason = "a handful of epochs")]
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
