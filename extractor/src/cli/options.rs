//! The options as they are typed, each with its environment variable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cache::{ByteLimits, Codec, LongPolicy, StoreDtype};
use clap::{Args, ValueEnum};
use shared::datasets::{Column, Format, Relations, SplitName};
use shared::device::DeviceChoice;
use shared::size::parse_bytes;
use shared::tasks::Task;
use shared::tasks::schemes::Scheme;

use crate::encoder::{LayerSelection, RowsOn};
use crate::extract::{Request, StoreDtypeChoice, StoreFormat};
use crate::graph::ComputeDtype;

/// What is encoded, with which encoder, and where it goes. Everything here decides what the store
/// holds.
#[derive(Debug, Args)]
pub(super) struct InputOptions {
    /// The encoder: a name on the hub, such as bert-large-cased, or a folder with config.json,
    /// model.safetensors and the tokenizer's files.
    #[arg(long, value_name = "ID|DIR", help_heading = "Input")]
    pub(super) model: Option<String>,
    /// Branch, tag or commit of a model of the hub; main by default.
    #[arg(long, value_name = "REVISION", help_heading = "Input")]
    pub(super) revision: Option<String>,
    /// Random weights in place of the trained ones, as a baseline for probing: of the model only
    /// config.json and the tokenizer are needed. A seed gives the same weights on every machine; the
    /// store becomes ROOT/MODEL-randomSEED--DATASET.zarr.
    #[arg(long, value_name = "SEED", help_heading = "Input")]
    pub(super) random_weights: Option<u64>,
    #[command(flatten)]
    pub(super) data: DataOptions,

    /// Root folder of the stores; this one becomes ROOT/MODEL--DATASET.zarr.
    #[arg(long, value_name = "ROOT", help_heading = "Store")]
    pub(super) out: Option<PathBuf>,
    /// Layers to keep: all, or numbers and ranges such as 0,4-8,-1; 0 is the embedding output.
    #[arg(
        long,
        default_value = "all",
        allow_hyphen_values = true,
        help_heading = "Store"
    )]
    pub(super) layers: LayerSelection,
    /// Number format of the store. A store that was begun is finished in its own.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Store")]
    pub(super) store_dtype: StoreDtypeChoice,
    /// Compression. Without it the trainer reads the files in place; with it whole chunks are
    /// decoded, so that a store that does not fit into memory is trained on far more slowly.
    #[arg(long, value_enum, default_value = "none", help_heading = "Store")]
    pub(super) compression: Codec,
    /// Largest size of an inner chunk, such as 4MB: what a Zarr reader decodes for a single token.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        default_value_t = ByteLimits::default().chunk,
        help_heading = "Store"
    )]
    pub(super) chunk_bytes: u64,
    /// Largest size of a file, such as 64MB or 1GiB.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        default_value_t = ByteLimits::default().file,
        help_heading = "Store"
    )]
    pub(super) file_bytes: u64,
    /// Largest size of a part: what a killed run loses of its work. 512MB on a CPU by default; on a
    /// GPU the rows of 32 full batches, at most 16GB.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        help_heading = "Store"
    )]
    pub(super) part_bytes: Option<u64>,
    /// Begin anew where a store of that name exists.
    #[arg(long, help_heading = "Store")]
    pub(super) overwrite: bool,

    /// Most tokens of a sequence, special tokens included; as many as the encoder has positions for
    /// by default, but at most 2048.
    #[arg(long, value_name = "N", help_heading = "Encoding")]
    pub(super) max_length: Option<usize>,
    /// What happens to longer sentences: split cuts them into windows between words, truncate
    /// leaves the rest out.
    #[arg(long, value_enum, default_value = "split", help_heading = "Encoding")]
    pub(super) long: LongPolicy,
    /// Number format of weights and arithmetic; f16 and bf16 need a GPU.
    #[arg(long, value_enum, default_value = "f32", help_heading = "Encoding")]
    pub(super) dtype: ComputeDtype,
    /// auto, cpu, cuda, cuda:N, or several GPUs as cuda:N,M or cuda:all; cuda never falls back to
    /// the CPU.
    #[arg(long, default_value = "auto", help_heading = "Encoding")]
    pub(super) device: DeviceChoice,
    /// Most tokens of a batch, padding included: 2048 on a CPU by default, on a GPU what its free
    /// memory holds, up to
    /// 16384. Rounding depends on it, so a store is finished with the number it was begun with.
    #[arg(long, value_name = "N", help_heading = "Encoding")]
    pub(super) max_batch_tokens: Option<usize>,
    /// Where hidden states become rows of the store: auto is on the GPU if the encoder runs there.
    /// No difference to what is stored.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Encoding")]
    pub(super) rows: RowsOption,
    /// Threads of the encoder; the job's share of the machine by default.
    #[arg(long, value_name = "N", help_heading = "Encoding")]
    pub(super) threads: Option<usize>,
}

impl InputOptions {
    /// The settings of an extraction.
    pub(super) fn request(&self) -> Request {
        Request {
            out: self.out.clone(),
            layers: self.layers.clone(),
            compute_dtype: self.dtype,
            device: self.device.clone(),
            threads: self.threads,
            rows: self.rows.on(self.store_dtype.provisional()),
            max_length: self.max_length,
            long: self.long,
            max_batch_tokens: self.max_batch_tokens,
            format: StoreFormat {
                dtype: self.store_dtype.provisional(),
                codec: self.compression,
                chunk_bytes: self.chunk_bytes,
                file_bytes: self.file_bytes,
                part_bytes: self.part_bytes,
            },
        }
    }
}

/// Labelled text: which, and how it is to be read where its files do not tell.
#[derive(Debug, Args)]
pub(super) struct DataOptions {
    /// The data set: a name on the hub (conll2003 by default), a folder with train, validation and
    /// test files, or one file.
    #[arg(long, value_name = "ID|DIR|FILE", help_heading = "Data set")]
    pub(super) dataset: Option<String>,
    /// Configuration of a data set of the hub that has several.
    #[arg(long, value_name = "NAME", help_heading = "Data set")]
    pub(super) dataset_config: Option<String>,
    /// File of the train split; files that are named so make up the data set, which --dataset then
    /// only names.
    #[arg(long, value_name = "FILE", help_heading = "Data set")]
    pub(super) train: Option<PathBuf>,
    /// File of the validation split.
    #[arg(long, value_name = "FILE", help_heading = "Data set")]
    pub(super) validation: Option<PathBuf>,
    /// File of the test split.
    #[arg(long, value_name = "FILE", help_heading = "Data set")]
    pub(super) test: Option<PathBuf>,
    /// Format of the files; told by their endings where it is not given.
    #[arg(long, value_enum, help_heading = "Data set")]
    pub(super) format: Option<Format>,
    /// What the labels are; found out from them where it is not given.
    #[arg(long, value_enum, help_heading = "Data set")]
    pub(super) task: Option<Task>,
    /// How spans are tagged; found out from the tags where it is not given.
    #[arg(long, value_enum, help_heading = "Data set")]
    pub(super) scheme: Option<Scheme>,
    /// Column of the words, or of the text: its name, or its number from 0.
    #[arg(
        long,
        visible_alias = "text-column",
        value_name = "COLUMN",
        help_heading = "Data set"
    )]
    pub(super) token_column: Option<Column>,
    /// Column of the second text of a pair, likewise; both are encoded in one sequence. Names such
    /// as sentence1 and sentence2 are known.
    #[arg(long, value_name = "COLUMN", help_heading = "Data set")]
    pub(super) text_pair_column: Option<Column>,
    /// Column of the labels, likewise; in CoNLL-U upos, xpos, deprel or an attribute of misc. With
    /// --task multilabel also several, A,B,C, that have a 1 for every text with the label of their
    /// name.
    #[arg(long, value_name = "COLUMN", help_heading = "Data set")]
    pub(super) label_column: Option<Column>,
    /// How relations of dependencies are kept (--task dep): with their subtypes or without.
    #[arg(long, value_enum, default_value = "full", help_heading = "Data set")]
    pub(super) relations: Relations,
    /// Chooses the sentences that are held out of train where there is no validation split.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Data set")]
    pub(super) split_seed: u64,
}

impl DataOptions {
    /// The files that are named, by split.
    pub(super) fn files(&self) -> BTreeMap<SplitName, PathBuf> {
        let named = [
            (SplitName::Train, &self.train),
            (SplitName::Validation, &self.validation),
            (SplitName::Test, &self.test),
        ];
        let named = named
            .into_iter()
            .filter_map(|(split, path)| Some((split, path.clone()?)));
        named.collect()
    }
}

/// Where rows are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RowsOption {
    /// On the GPU if the encoder runs there, else on the CPU.
    Auto,
    /// On the CPU.
    Host,
    /// Where the encoder runs.
    Device,
}

impl RowsOption {
    pub(super) fn on(self, format: StoreDtype) -> RowsOn {
        match self {
            Self::Auto => RowsOn::Gpu(format),
            Self::Host => RowsOn::Host,
            Self::Device => RowsOn::Graph(format),
        }
    }
}

/// Options of `extractor` and `extractor run`.
#[derive(Debug, Args)]
pub(super) struct ExtractOptions {
    #[command(flatten)]
    pub(super) input: InputOptions,
    /// Do the I-th of N shares of the work (I from 1), so that N processes fill one store together.
    /// In a Slurm job array the share is the task's; 1/1 does everything.
    #[arg(long, value_name = "I/N", help_heading = "Encoding")]
    pub(super) shard: Option<Shard>,
    /// Encoders that take turns, so that one computes while another's rows are copied: 2 on a GPU
    /// with room for the weights twice by default, else 1. No difference to what is stored.
    #[arg(
        long,
        // Its name up to version 0.1.
        alias = "lanes",
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=8),
        help_heading = "Encoding"
    )]
    pub(super) encoders: Option<usize>,
    /// Sequences to encode alone afterwards and to compare with the store; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Encoding")]
    pub(super) self_check: usize,
    /// Print the summary as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// Options of `extractor plan`.
#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    #[command(flatten)]
    pub(super) input: InputOptions,
    /// Speed that an earlier run reported, for an estimate of the time; a short trial tells it
    /// otherwise.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(super) tokens_per_second: Option<f64>,
    /// Print the plan as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// Options of `extractor inspect`.
#[derive(Debug, Args)]
pub(super) struct StoreOptions {
    /// The store, or a root folder with one store in it.
    #[arg(value_name = "STORE")]
    pub(super) store: PathBuf,
    /// Print as JSON on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `extractor label`.
#[derive(Debug, Args)]
pub(super) struct LabelOptions {
    /// The store, or a root folder with one store in it.
    #[arg(value_name = "STORE")]
    pub(super) store: PathBuf,
    #[command(flatten)]
    pub(super) data: DataOptions,
    /// Print what was matched as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// Options of `extractor verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyOptions {
    #[command(flatten)]
    pub(super) store: StoreOptions,
    /// Delete what is damaged, so that the next run of the same extraction makes just that again.
    #[arg(long)]
    pub(super) repair: bool,
}

/// Options of `extractor doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorOptions {
    /// Root folder of the stores, to look at its file system.
    #[arg(long, value_name = "ROOT")]
    pub(super) out: Option<PathBuf>,
}

/// One of several shares of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    /// Which share, from 0.
    pub(super) index: usize,
    /// How many there are.
    pub(super) count: usize,
}

impl Shard {
    /// The share that is asked for, else the Slurm array task's, else everything.
    pub(super) fn or_slurm(asked: Option<Self>) -> Self {
        asked
            .or_else(|| Self::slurm(|name| std::env::var(name).ok()?.parse().ok()))
            .unwrap_or(Self { index: 0, count: 1 })
    }

    fn slurm(variable: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let count = variable("SLURM_ARRAY_TASK_COUNT")?;
        let first = variable("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
        let step = variable("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
        let index = variable("SLURM_ARRAY_TASK_ID")?.checked_sub(first)? / step;
        (index < count).then_some(Self { index, count })
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index @ 1.., count)) if index <= count => Ok(Self {
                index: index - 1,
                count,
            }),
            _ => Err(format!(
                "expected I/N with I from 1 to N, for example 1/3, not {text:?}"
            )),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn shards_count_from_one() {
        assert_eq!("1/3".parse(), Ok(Shard { index: 0, count: 3 }));
        assert_eq!(
            "3/3"
                .parse::<Shard>()
                .map(|shard| shard.to_string())
                .as_deref(),
            Ok("3/3")
        );
        for wrong in ["0/3", "4/3", "1", "1/", "-1/2", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slurm_array_need_not_begin_at_zero_or_count_by_one() {
        let array = |id, first, step| {
            move |name: &str| match name {
                "SLURM_ARRAY_TASK_ID" => Some(id),
                "SLURM_ARRAY_TASK_COUNT" => Some(3),
                "SLURM_ARRAY_TASK_MIN" => Some(first),
                "SLURM_ARRAY_TASK_STEP" => Some(step),
                _ => None,
            }
        };
        assert_eq!(
            Shard::slurm(array(0, 0, 1)),
            Some(Shard { index: 0, count: 3 })
        );
        assert_eq!(
            Shard::slurm(array(14, 10, 2)),
            Some(Shard { index: 2, count: 3 })
        );
        // A task outside the array it claims to be of does everything rather than nothing.
        assert_eq!(Shard::slurm(array(9, 0, 1)), None);
        assert_eq!(Shard::slurm(|_| None), None);
    }
}
