//! `trainer train`: from options to a folder with a trained head and its report.

use std::path::{Path, PathBuf};

use cache::{LabelLevel, Store};
use shared::dataset::SplitName;
use shared::exit::ExitStatus;
use shared::files::{sha256_file, write_atomic};
use shared::terminal::Terminal;
use tch::Device;

use super::options::{HeadArgs, TrainArgs};
use super::{CommandError, data};
use crate::batches::{BatchSize, LabelledSplit};
use crate::checkpoint::{self, BEST_WEIGHTS};
use crate::head::{self, Head, HeadKind, HeadOptions, Level};
use crate::metrics::{self, Event, Final};
use crate::run::{self, Config, Existing, Settings};
use crate::schedule::ScheduleKind;
use crate::training::{self, Data, Outcome, Trained};
use crate::{card, device, evaluation, predictions, report, weights};

/// Trains a head, or goes on with it.
pub(super) fn run(options: &TrainArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let stop = shared::signals::install()?;
    let device = data::device(&options.machine)?;
    let store = data::store(&options.store, terminal)?;
    let task = options
        .training
        .task
        .unwrap_or(store.manifest().dataset.task);
    let train = LabelledSplit::of(&store, SplitName::Train, task)?;
    let validation = data::optional_split(&store, SplitName::Validation, task)?;
    let test = data::optional_split(&store, SplitName::Test, task)?;
    let config = config(options, &store, &train, device)?;
    let head = head::build(&config.head, device, config.training.seed)?;
    if let Some(path) = &options.training.init_weights {
        weights::load(path, head.parameters())?;
    }
    warn_of_unseen(&train, [validation.as_ref(), test.as_ref()], terminal);

    let name = options
        .output
        .name
        .clone()
        .unwrap_or_else(|| config.default_name());
    let folder = folder(&options.output.out, &name)?;
    run::prepare(&folder, &config, existing(options))?;
    let parameters: usize = head
        .parameters()
        .iter()
        .map(|(_, tensor)| tensor.numel())
        .sum();
    terminal.status(format!(
        "Training {} ({parameters} parameters, {task}) on {} into {}",
        config.head.kind,
        device::name(device),
        folder.display()
    ));
    let data = Data {
        train: &train,
        validation: validation.as_ref(),
    };
    if !checkpoint::state(&folder)?.is_some_and(|state| state.finished) {
        let trained = training::train(&folder, &config, head.as_ref(), &data, terminal, &stop)?;
        if trained.outcome == Outcome::Stopped {
            terminal.status(format!(
                "Stopped after step {}, all state saved: the same command with --resume goes on",
                trained.state.step
            ));
            return Ok(ExitStatus::Interrupted);
        }
        let splits = [validation.as_ref(), test.as_ref()];
        finish(&folder, &name, &config, head.as_ref(), splits, trained)?;
    }
    tell(&folder, &config, options.output.json, terminal)?;
    Ok(ExitStatus::Success)
}

fn existing(options: &TrainArgs) -> Existing {
    match (options.output.resume, options.output.overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    }
}

/// A run is one folder below the folder of runs.
fn folder(runs: &Path, name: &str) -> Result<PathBuf, CommandError> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(CommandError::Option(format!(
            "--name {name:?} is no name of a folder; --out says where the runs go"
        )));
    }
    Ok(runs.join(name))
}

fn config(
    options: &TrainArgs,
    store: &Store,
    train: &LabelledSplit<'_>,
    device: Device,
) -> Result<Config, CommandError> {
    let manifest = store.manifest();
    let classes = train.table.classes.clone();
    let level = if train.table.level == LabelLevel::Token {
        Level::Token
    } else {
        Level::Sequence
    };
    let head = HeadOptions {
        level,
        ..head_options(
            &options.head,
            manifest.layers.clone(),
            manifest.hidden,
            classes.len(),
        )?
    };
    let batch_size = options.training.batch_tokens.map_or(
        BatchSize::Sentences(options.training.batch_size),
        BatchSize::Tokens,
    );
    for (name, value) in [
        ("--lr", options.training.lr),
        ("--grad-clip", options.training.grad_clip),
        ("--weight-decay", options.training.weight_decay),
    ] {
        if !value.is_finite() || value < 0.0 {
            return Err(CommandError::Option(format!(
                "{name} {value}: expected a number from 0 up"
            )));
        }
    }
    let training = Settings {
        epochs: options.training.epochs.unwrap_or(1) as usize,
        learning_rate: options.training.lr,
        schedule: match options.training.schedule.as_str() {
            "linear" => ScheduleKind::Linear,
            "constant" => ScheduleKind::Constant,
            _ => ScheduleKind::OneCycle,
        },
        warm_up: options.training.warm_up,
        batch_size,
        gradient_clip: options.training.grad_clip,
        weight_decay: options.training.weight_decay,
        seed: options.training.seed,
        shuffle: !options.training.no_shuffle,
        patience: options.training.patience,
        limit_train: options.training.limit_train,
        init_weights: options
            .training
            .init_weights
            .as_deref()
            .map(sha256_file)
            .transpose()?,
    };
    let mut config = Config::new(train.table.task, classes, head, training, store);
    config
        .environment
        .insert("device".to_owned(), device::name(device));
    config
        .environment
        .insert("threads".to_owned(), tch::get_num_threads().to_string());
    config.environment.insert(
        "libtorch".to_owned(),
        shared::native::LIBTORCH_VERSION.to_owned(),
    );
    Ok(config)
}

fn head_options(
    options: &HeadArgs,
    layers: Vec<usize>,
    hidden: usize,
    classes: usize,
) -> Result<HeadOptions, CommandError> {
    let kind: HeadKind = options.head.parse()?;
    let defaults = HeadOptions::new(kind, layers, hidden, classes);
    Ok(HeadOptions {
        tailor: !options.no_tailor,
        tailor_attention: !options.no_tailor && !options.no_tailor_attention,
        attention_size: options.attention_size,
        heads: options.heads,
        dropout: options.dropout.unwrap_or(defaults.dropout),
        classifier_size: options.classifier_size,
        ..defaults
    })
}

/// A class that training never sees cannot be learned: worth a word before an hour is spent.
fn warn_of_unseen(
    train: &LabelledSplit<'_>,
    others: [Option<&LabelledSplit<'_>>; 2],
    terminal: &Terminal,
) {
    let seen = |split: &LabelledSplit<'_>, class: usize| {
        split
            .table
            .ids
            .iter()
            .any(|&id| usize::try_from(id) == Ok(class))
    };
    let others: Vec<_> = others.into_iter().flatten().collect();
    let classes = train.table.classes.iter().enumerate();
    let unseen: Vec<&str> = classes
        .filter(|&(class, _)| !seen(train, class) && others.iter().any(|split| seen(split, class)))
        .map(|(_, name)| name.as_str())
        .collect();
    if !unseen.is_empty() {
        terminal.warn(format!(
            "never in the training split, so never learned: {}",
            unseen.join(", ")
        ));
    }
}

/// Runs the best weights over the splits and writes what people look at.
fn finish(
    folder: &Path,
    name: &str,
    config: &Config,
    head: &dyn Head,
    splits: [Option<&LabelledSplit<'_>>; 2],
    trained: Trained,
) -> Result<(), CommandError> {
    let Trained {
        mut state, mut log, ..
    } = trained;
    weights::load(&folder.join(BEST_WEIGHTS), head.parameters())?;
    let epoch = state.best.map_or(state.epoch, |best| best.epoch);
    let size = config.training.batch_size;
    for split in splits.into_iter().flatten() {
        let predicted = evaluation::predict(head, split, size)?;
        let columns = predictions::render(split, &predicted.labels(split));
        write_atomic(
            folder.join(predictions::file_name(split.name)),
            columns.as_bytes(),
        )?;
        let layer_attention = evaluation::layer_attention(head, split, size)?;
        let scores = predicted.scores(split);
        log.add(&Event::Final(Box::new(Final {
            split: split.name.to_string(),
            epoch,
            scores,
            layer_attention,
        })))?;
    }
    let bytes = log.sync()?;
    let events = metrics::read(folder)?;
    write_atomic(
        folder.join("report.html"),
        report::render(name, config, &events).as_bytes(),
    )?;
    write_atomic(
        folder.join("README.md"),
        card::render(name, config, &events, state.seconds).as_bytes(),
    )?;
    state.metrics_bytes = bytes;
    state.finished = true;
    Ok(checkpoint::save_state(folder, &state)?)
}

/// Scores for people on stderr, for programs on stdout.
fn tell(
    folder: &Path,
    config: &Config,
    json: bool,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let finals: Vec<Final> = metrics::read(folder)?
        .into_iter()
        .filter_map(|event| {
            if let Event::Final(last) = event {
                Some(*last)
            } else {
                None
            }
        })
        .collect();
    for last in &finals {
        terminal.status(format!(
            "\n{} (epoch {}): {} {:.4}",
            last.split, last.epoch, last.scores.metric, last.scores.value
        ));
        last.scores
            .table()
            .iter()
            .for_each(|line| terminal.status(line));
    }
    terminal.status(format!(
        "\nRun    {}\nReport {}",
        folder.display(),
        folder.join("report.html").display()
    ));
    if json {
        let scores: serde_json::Map<_, _> = finals
            .iter()
            .map(|last| Ok((last.split.clone(), serde_json::to_value(&last.scores)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        let epoch = finals.first().map(|last| last.epoch);
        terminal.result(serde_json::json!({ "run": folder, "task": config.task, "best_epoch": epoch, "scores": scores }).to_string());
    }
    Ok(())
}
