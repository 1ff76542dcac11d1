//! How a head is trained, and which head.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use shared::heads::{HeadKind, Subword, Threshold, forms, usages};
use shared::tasks::{Decoding, Task};

use crate::values::{not_negative, positive, share};

/// How to train.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Passes over the training set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Labels to learn, if the store has those of several tasks [default: the data set's own]
    #[arg(long)]
    pub task: Option<Task>,
    /// Learning rate, the highest one of the schedule
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = not_negative)]
    pub lr: f64,
    /// How the learning rate changes over the training
    #[arg(long, value_enum, default_value_t)]
    pub schedule: ScheduleKind,
    /// Share of the steps on which the learning rate rises [default: 0.3 for one-cycle, else 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub warm_up: Option<f64>,
    /// Sentences in a batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = positive)]
    pub batch_size: usize,
    /// Fill batches up to this many sub-words instead
    #[arg(long, value_name = "N", conflicts_with = "batch_size", value_parser = positive)]
    pub batch_tokens: Option<usize>,
    /// Largest norm of the gradients; 0 does not clip
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = not_negative)]
    pub grad_clip: f64,
    /// Weight decay, decoupled from the gradient
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = not_negative)]
    pub weight_decay: f64,
    /// Seed of the start weights, of dropout and of the order of the sentences
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Seed of the order of the sentences alone [default: --seed]
    #[arg(long, value_name = "N")]
    pub order_seed: Option<u64>,
    /// Keep the sentences in the order of the store
    #[arg(long)]
    pub no_shuffle: bool,
    /// Start from these weights (a safetensors file with the head's parameters)
    #[arg(long, value_name = "FILE")]
    pub init_weights: Option<PathBuf>,
    /// Stop when the validation score has not risen for this many epochs
    #[arg(long, value_name = "N", value_parser = positive)]
    pub patience: Option<usize>,
    /// Train on this many sentences only, drawn by the seed: for learning curves
    #[arg(long, value_name = "N", value_parser = positive)]
    pub limit_train: Option<usize>,
}

/// How the learning rate changes over a training; recorded in `config.json` of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Up over 30 % of the steps and down to nearly nothing, in cosines; Adam's beta1 runs the other way
    #[default]
    OneCycle,
    /// Up over the warm-up, down to zero at the end, in straight lines
    Linear,
    /// Up over the warm-up, then the same
    Constant,
}

/// Which head to train.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Head")]
pub struct HeadArgs {
    /// Which head; its help lists the kinds of heads there are.
    #[arg(long, default_value = "adapter", help = usages())]
    pub head: HeadKind,
    /// Leave out the adapter's tailor
    #[arg(long)]
    pub no_tailor: bool,
    /// Leave out the self-attention inside the tailor
    #[arg(long)]
    pub no_tailor_attention: bool,
    /// Width of the attention's queries and keys
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    pub attention_size: usize,
    /// Attention heads
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = positive)]
    pub heads: usize,
    /// Share of activations dropped in training; its help lists the defaults of the kinds of heads.
    #[arg(long, value_name = "SHARE", value_parser = share, help = dropout_help())]
    pub dropout: Option<f64>,
    /// Width of the classifier's inner layer; 0 for a single linear layer
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub classifier_size: usize,
    /// How the tags of spans are chosen (ner, chunk); other tasks have argmax alone
    #[arg(long, value_enum, default_value_t)]
    pub decode: Decoding,
    /// Which vector a word has that is several sub-words (tasks that label words)
    #[arg(long, value_enum, default_value_t)]
    pub subword: Subword,
    /// Width of the vectors that arcs are scored by (dep) [default: a third of the hidden size, at
    /// most 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub arc_size: Option<usize>,
    /// Width of the vectors that relations are scored by (dep) [default: a quarter of the arcs', at
    /// most 64]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub relation_size: Option<usize>,
    /// Share of these vectors dropped in training (dep) [default: 0.33]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub parser_dropout: Option<f64>,
    /// From which probability on a label is predicted where a text may have any number
    /// (multilabel): one for all, or `tuned` for each on the validation split
    #[arg(long, value_name = "SHARE|tuned", default_value_t)]
    pub threshold: Threshold,
}

/// The help of `--dropout`: the default of the adapter, and of the heads whose authors used another.
fn dropout_help() -> String {
    let usual = HeadKind::Adapter.form().dropout;
    let others = forms().filter(|form| (form.dropout - usual).abs() > 0.0);
    let others = others.map(|form| format!("; {} for {}", form.dropout, form.name));
    let others: String = others.collect();
    format!("Share of activations dropped in training [default: {usual}{others}]")
}
