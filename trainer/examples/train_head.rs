//! Trains a head from Rust: store, splits, configuration, head, training, scores.
//!
//!     cargo run -p trainer --example train_head -- STORE
//!
//! Without STORE a small made-up one is used, whose hidden states carry the labels.

#![expect(clippy::print_stdout, reason = "it shows the score")]

use std::error::Error;
use std::path::{Path, PathBuf};

use cache::{Io, Store};
use shared::datasets::SplitName;
use shared::heads::run::WEIGHTS;
use shared::signals::StopFlag;
use shared::terminal::{Terminal, Verbosity};
use tch::Device;
use testing::labelled::{Recipe, build};
use trainer::batches::{BatchSize, LabelledSplit};
use trainer::head::{self, HeadOptions};
use trainer::run::{self, Existing, Settings};
use trainer::schedule::ScheduleKind;
use trainer::training::{self, Data, Job, Order};
use trainer::{evaluation, weights};

fn main() -> Result<(), Box<dyn Error>> {
    // The run's folder gets settings, weights, checkpoints and what each step measured.
    let folder = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => build(folder.path(), &Recipe::default()),
    };
    let f1 = train(&path, &folder.path().join("run"))?;
    println!("validation: {f1:.4}");
    Ok(())
}

/// Trains the adapter on the store at `path` and gives its score on the validation split.
fn train(path: &Path, folder: &Path) -> Result<f64, Box<dyn Error>> {
    let store = Store::open(path, Io::Auto)?;
    let manifest = store.manifest();
    let task = manifest.dataset.task;
    let train = LabelledSplit::open(&store, SplitName::Train, task)?;
    let validation = LabelledSplit::open(&store, SplitName::Validation, task)?;

    let classes = train.table.classes.clone();
    let layers = manifest.layers.clone();
    let options = HeadOptions::new("adapter".parse()?, layers, manifest.hidden, classes.len());
    let config = run::config(task, classes, options, settings(), &store);
    let seed = config.training.seed;
    let mut head = head::build(&config.head, Device::Cpu, seed)?;

    run::prepare(folder, &config, Existing::Refuse)?;
    let data = Data {
        train: &train,
        validation: Some(&validation),
    };
    let job = Job {
        folder,
        config: &config,
        head: head.as_mut(),
        name: None,
    };
    // Several jobs of the same order share one pass over the store; 1 is how many are computed at the same time.
    let terminal = Terminal::new(Verbosity::Quiet, false);
    let order = Order::from_settings(&config.training);
    let stop = StopFlag::default();
    for trained in training::train(vec![job], order, &data, 1, &terminal, &stop)? {
        trained?;
    }

    // The head has the weights of the last epoch; the best ones are in the folder.
    weights::load(&folder.join(WEIGHTS), head.parameters())?;
    let size = config.training.batch_size;
    let predictions = evaluation::predict(head.as_mut(), &validation, size)?;
    Ok(predictions.scores(&validation).value)
}

fn settings() -> Settings {
    Settings {
        epochs: 6,
        learning_rate: 1e-2,
        schedule: ScheduleKind::OneCycle,
        warm_up: None,
        batch_size: BatchSize::Sentences(8),
        gradient_clip: 1.0,
        weight_decay: 0.0,
        seed: 0,
        order_seed: None,
        shuffle: true,
        patience: None,
        limit_train: None,
        init_weights: None,
    }
}

#[cfg(test)]
#[test]
fn the_head_learns_the_made_up_labels() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = build(folder.path(), &Recipe::default());
    let f1 = train(&path, &folder.path().join("run"))?;
    assert!(f1 > 0.98, "{f1}");
    Ok(())
}
