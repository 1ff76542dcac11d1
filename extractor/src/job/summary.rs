//! The summary of an extraction, for people and for programs.

use std::path::PathBuf;

use serde::Serialize;
use shared::size::format_bytes;

use super::check::CheckReport;
use super::work::Work;
use crate::encoder::Encoder;
use crate::plan::Counts;

/// What an extraction would have to be given more of to be faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The encoder: a faster CPU or GPU.
    Encoder,
    /// The store: a faster disk.
    Store,
}

/// Share of its time that the encoder may wait for the store before the store counts as the limit.
const WAITING_SHARE: f64 = 0.1;

/// Where an extraction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The store is complete.
    Complete,
    /// This shard's parts are done, other shards' are missing.
    Partial,
    /// A signal came first.
    Interrupted,
}

/// The summary; its JSON is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The store.
    pub store: PathBuf,
    /// Identity of the store, the digest of its manifest.
    pub identity: String,
    /// Where the extraction ended.
    pub state: State,
    /// Where the encoder ran.
    pub provider: String,
    /// The data set as sequences.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes of hidden states in the finished store, without compression.
    pub bytes: u64,
    /// Bytes that they take on disk, checksums included; none while the store is not complete.
    pub stored_bytes: Option<u64>,
    /// Tokens that this run encoded.
    pub tokens_encoded: u64,
    /// From the first batch to the last byte.
    pub seconds: f64,
    /// Tokens a second over that time.
    pub tokens_per_second: f64,
    /// Share of encoded positions that were padding.
    pub padding_share: f64,
    /// Share of the time spent outside the encoder.
    pub outside_encoder_share: f64,
    /// What the time went into, in seconds.
    pub time: Time,
    /// What the time before the first batch went into.
    pub startup: Startup,
    /// How the encoder was used.
    pub setup: Setup,
    /// Most bytes of memory that the process had, if the system tells.
    pub peak_memory: Option<u64>,
    /// What limited the speed.
    pub limit: Limit,
    /// What the self-check compared.
    pub self_check: Option<CheckReport>,
}

/// Nodes that are told by name to a person.
const NAMED: usize = 4;

/// How the encoder was used.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Setup {
    /// Most tokens of a batch, padding included.
    pub max_batch_tokens: usize,
    /// Encoders that took turns.
    pub encoders: usize,
    /// The GPUs that they were on; empty on a CPU.
    pub devices: Vec<String>,
    /// Whether rows of the store came out of the graph.
    pub rows_by_graph: bool,
    /// Whether they did in pinned memory.
    pub rows_pinned: bool,
    /// Nodes that a GPU left to the CPU; none where it is not known, or no GPU was used.
    pub nodes_on_cpu: Option<Vec<String>>,
}

impl Setup {
    /// What an encoder tells of itself.
    #[must_use]
    pub fn for_encoder(encoder: &Encoder) -> Self {
        Self {
            rows_by_graph: encoder.row_format().is_some(),
            rows_pinned: encoder.rows_are_pinned(),
            ..Self::default()
        }
    }

    /// The nodes that a GPU left to the CPU, the first of them by name; none if there are none.
    #[must_use]
    pub fn nodes_without_kernel(&self) -> Option<String> {
        let nodes = self
            .nodes_on_cpu
            .as_deref()
            .filter(|nodes| !nodes.is_empty())?;
        let named = &nodes[..nodes.len().min(NAMED)];
        let rest = match nodes.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "{} nodes of the encoder have no kernel for the GPU: {}{rest}",
            nodes.len(),
            named.join(", ")
        ))
    }
}

/// Seconds before anything is encoded.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Startup {
    /// Reading the weights for their digest.
    pub digest: f64,
    /// Mapping the weights, building the graph, making the session.
    pub loading: f64,
}

/// Seconds of the encoding thread, and of the writing threads beside it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Time {
    /// Inside the encoder.
    pub encoding: f64,
    /// Turning hidden states into rows.
    pub converting: f64,
    /// Waiting for the store.
    pub waiting: f64,
    /// Writing rows and sealing parts, two threads' times added.
    pub writing: f64,
}

impl Summary {
    /// The summary of `work` on a store.
    #[must_use]
    pub fn new(store: PathBuf, manifest: &cache::Manifest, counts: Counts, work: &Work) -> Self {
        let seconds = work.elapsed.as_secs_f64();
        let time = Time {
            encoding: work.encoding.as_secs_f64(),
            converting: work.converting.as_secs_f64(),
            waiting: work.waiting.as_secs_f64(),
            writing: work.writing.as_secs_f64(),
        };
        let limit = if time.waiting > WAITING_SHARE * seconds {
            Limit::Store
        } else {
            Limit::Encoder
        };
        let state = match (work.interrupted, work.complete) {
            (true, _) => State::Interrupted,
            (false, true) => State::Complete,
            (false, false) => State::Partial,
        };
        let stored_bytes = cache::inspect::stored_bytes(&store);
        Self {
            stored_bytes: stored_bytes.filter(|_| work.complete),
            store,
            identity: manifest.identity(),
            state,
            provider: manifest.provider.clone(),
            bytes: counts.tokens * manifest.row_bytes() as u64,
            counts,
            tokens_encoded: work.tokens,
            seconds,
            tokens_per_second: ratio(float(work.tokens), seconds),
            padding_share: ratio(float(work.padding), float(work.positions)),
            outside_encoder_share: ratio(seconds - time.encoding, seconds),
            time,
            startup: Startup::default(),
            setup: Setup::default(),
            peak_memory: None,
            limit,
            self_check: None,
        }
    }

    /// The summary as lines for a person.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Counts {
            sentences,
            words,
            sequences,
            tokens,
            ..
        } = &self.counts;
        let mut lines = vec![
            format!("sentences  {sentences} ({words} words) as {sequences} sequences"),
            format!(
                "tokens     {tokens}, {} of hidden states",
                format_bytes(self.bytes)
            ),
        ];
        if let Some(stored) = self.stored_bytes.filter(|&stored| stored < self.bytes) {
            lines.push(format!("compressed {} on disk", format_bytes(stored)));
        }
        if self.tokens_encoded > 0 {
            lines.push(format!(
                "speed      {:.0} tokens/s on {}, {:.1} % padding, limited by the {}",
                self.tokens_per_second,
                self.provider,
                100.0 * self.padding_share,
                match self.limit {
                    Limit::Encoder => "encoder",
                    Limit::Store => "store",
                }
            ));
        }
        if let Some(nodes) = self.setup.nodes_without_kernel() {
            lines.push(format!("on CPU     {nodes}"));
        }
        if let Some(peak) = self.peak_memory {
            lines.push(format!("memory     {} at most", format_bytes(peak)));
        }
        lines.extend(self.counts.lines());
        if let Some(check) = &self.self_check {
            lines.push(format!("self-check {check}"));
        }
        lines.push(format!("store      {}", self.store.display()));
        lines
    }
}

impl Counts {
    /// What happened to long sentences and to words without a sub-word, a line each; none where
    /// nothing did.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.split_sentences > 0 {
            let cut = if self.cut_words > 0 {
                format!(", {} words cut inside", self.cut_words)
            } else {
                String::new()
            };
            lines.push(format!(
                "long       {} sentences split into windows{cut}",
                self.split_sentences
            ));
        }
        if self.truncated_sentences > 0 {
            let (sentences, words) = (self.truncated_sentences, self.truncated_words);
            lines.push(format!("long       {sentences} sentences truncated, {words} words and their labels left out"));
        }
        let untokenized = &self.words_without_sub_word;
        if !untokenized.is_empty() {
            let labelled = untokenized
                .iter()
                .filter(|word| word.label.as_ref().is_some_and(|label| label != "O"))
                .count();
            lines.push(format!("no token   {} words yield no sub-word, {labelled} of them with a label other than O", untokenized.len()));
        }
        lines
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn float(count: u64) -> f64 {
    count as f64
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
