//! From the options of `train` to what `config.json` records.

use cache::Store;
use shared::datasets::SplitName;
use shared::files::sha256_file;
use shared::heads::{ParserOptions, Threshold};
use trainer_options::{HeadArgs, TrainArgs, TrainingArgs};

use super::CommandError;
use crate::batches::{BatchSize, LabelledSplit};
use crate::head::{AdapterOptions, HeadError, HeadOptions};
use crate::run::{self, Config, Settings};

/// The settings that `options` mean on this store.
pub(super) fn config(
    options: &TrainArgs,
    store: &Store,
    train: &LabelledSplit<'_>,
    device: &str,
    threads: usize,
) -> Result<Config, CommandError> {
    let manifest = store.manifest();
    let classes = train.table.classes.clone();
    let head = HeadOptions {
        level: train.table.level,
        parser: train
            .table
            .task
            .has_heads()
            .then(|| parser_options(&options.head, manifest.hidden)),
        output: train.output(),
        ..head_options(
            &options.head,
            manifest.layers.clone(),
            manifest.hidden,
            train.outputs(),
        )
    };
    let batch_size = batch_size(&options.training);
    let training = Settings {
        epochs: options.training.epochs.unwrap_or(1) as usize,
        learning_rate: options.training.lr,
        schedule: options.training.schedule,
        warm_up: options.training.warm_up,
        batch_size,
        gradient_clip: options.training.grad_clip,
        weight_decay: options.training.weight_decay,
        seed: options.training.seed,
        order_seed: options.training.order_seed,
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
    if head.threshold == Threshold::Tuned && store.split(SplitName::Validation).is_none() {
        return Err(CommandError::Option(
            "--threshold tuned: the store has no validation split to tune on; give a number, such as 0.5"
                .to_owned(),
        ));
    }
    let mut config = run::config(train.table.task, classes, head, training, store);
    config.check_head().map_err(HeadError::from)?;
    config
        .environment
        .insert("device".to_owned(), device.to_owned());
    config
        .environment
        .insert("threads".to_owned(), threads.to_string());
    if train.is_on_device() {
        config
            .environment
            .insert("activations".to_owned(), train.placement().to_string());
    }
    config.environment.insert(
        "libtorch".to_owned(),
        shared::native::LIBTORCH_VERSION.to_owned(),
    );
    Ok(config)
}

/// How much goes into a batch.
pub(super) fn batch_size(options: &TrainingArgs) -> BatchSize {
    options
        .batch_tokens
        .map_or(BatchSize::Sentences(options.batch_size), BatchSize::Tokens)
}

/// The sizes of the scorer of trees.
fn parser_options(options: &HeadArgs, hidden: usize) -> ParserOptions {
    let usual = ParserOptions::usual(hidden);
    let arc_size = options.arc_size.unwrap_or(usual.arc_size);
    let of_arcs = options.arc_size.map(|size| (size / 4).clamp(1, 64));
    ParserOptions {
        arc_size,
        relation_size: options
            .relation_size
            .or(of_arcs)
            .unwrap_or(usual.relation_size),
        dropout: options.parser_dropout.unwrap_or(usual.dropout),
    }
}

fn head_options(
    options: &HeadArgs,
    layers: Vec<usize>,
    hidden: usize,
    classes: usize,
) -> HeadOptions {
    let defaults = HeadOptions::new(options.head.clone(), layers, hidden, classes);
    HeadOptions {
        adapter: AdapterOptions {
            tailor: !options.no_tailor,
            tailor_attention: !options.no_tailor && !options.no_tailor_attention,
            attention_size: options.attention_size,
            heads: options.heads,
        },
        dropout: options.dropout.unwrap_or(defaults.dropout),
        classifier_size: options.classifier_size,
        decode: options.decode,
        subword: options.subword,
        threshold: options.threshold,
        ..defaults
    }
}
