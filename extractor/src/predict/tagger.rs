//! Encoder and head in one session of ONNX Runtime, and the way of a sentence through it.

use std::path::Path;

use cache::LongPolicy;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::Tensor;
use rayon::prelude::*;
use shared::heads::{Subword, TreeScorer};
use shared::tasks::Decoder;

use super::gathered::Gathered;
use super::row::{Labels, Row};
use super::{Mismatch, Portion, PredictError, Sentence};
use crate::batch::{Budget, CPU_TOKENS, GPU_TOKENS, batches};
use crate::encoder::runtime::Target;
use crate::encoder::{self, Batch, EncoderError, EncoderOptions, Footprint, Provider, runtime};
use crate::family::{Config, EncoderSpec};
use crate::graph::{INPUT_IDS, TOKEN_TYPES};
use crate::head::{self, ATTENTION_MASK, LOGITS, Level, Run, TreeOutputs, WORDS};
use crate::model::ModelFiles;
use crate::tokenizer::Tokenizer;
use crate::window::windows;

/// Labels sentences.
pub struct Tagger {
    session: Session,
    tokenizer: Tokenizer,
    level: Level,
    subword: Subword,
    decoder: Decoder,
    /// Where words have heads.
    scorer: Option<TreeScorer>,
    classes: usize,
    vocabulary: usize,
    max_positions: usize,
    /// Tokens of a row, special ones included.
    max_length: usize,
    long: LongPolicy,
    budget: Budget,
    /// Whether the size of batches is chosen here, not by the user.
    chosen: bool,
    /// Whether the graph is told the type of each token.
    token_types: bool,
    target: Target,
    notes: Vec<String>,
}

/// Smallest batch that is tried where memory is short.
const LEAST_TOKENS: usize = 256;
/// Share of a GPU's free memory that a batch may take, in per cent: the head needs about as much as
/// the encoder.
const SHARE: u64 = 40;

impl Tagger {
    /// Builds the graph and hands it to ONNX Runtime. Batches have at most `max_batch_tokens`
    /// tokens, or what suits the device.
    ///
    /// # Errors
    /// When the encoder is not the one that the head was trained with, or one of them cannot be
    /// used.
    pub fn load(
        files: &ModelFiles,
        run: &Run,
        options: &EncoderOptions,
        max_batch_tokens: Option<usize>,
    ) -> Result<Self, PredictError> {
        let tokenizer = identified(files, run)?;
        let options = &EncoderOptions {
            token_types: has_token_types(files, run, &tokenizer)?,
            ..options.clone()
        };
        let ((session, spec), target, notes) = runtime::on_device(options, |target, builder| {
            session(files, run, options, (target, builder))
        })?;
        let max_length = run.store.max_length.min(spec.max_positions());
        let mut tagger = Self {
            session,
            tokenizer,
            level: run.head.level,
            subword: run.head.subword,
            decoder: run.decoder.clone(),
            scorer: run.scorer.clone(),
            classes: run.head.classes,
            vocabulary: spec.embedding.vocabulary,
            max_positions: spec.max_positions(),
            max_length,
            long: run.store.long,
            budget: Budget::new(max_batch_tokens.unwrap_or(CPU_TOKENS), target.provider()),
            chosen: max_batch_tokens.is_none(),
            token_types: spec.tells_token_types(),
            target,
            notes,
        };
        if let Target::Cuda(number) = target {
            let tokens = max_batch_tokens
                .map_or_else(|| gpu_tokens(&spec, run, options, number, max_length), Ok)?;
            tagger.budget = Budget::new(tokens, target.provider()).bucketed(spec.max_positions());
        }
        Ok(tagger)
    }

    /// Where the graph runs.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        self.target.provider()
    }

    /// How much text to label at a time.
    #[must_use]
    pub const fn portion(&self) -> Portion {
        match self.target {
            Target::Cpu => Portion::FOR_CPU,
            Target::Cuda(_) => Portion::FOR_GPU,
        }
    }

    /// What a user should know about how it was set up.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What of the tokenizer's files was guessed or is not used.
    #[must_use]
    pub fn tokenizer_notes(&self) -> &[String] {
        self.tokenizer.notes()
    }

    /// The labels of `sentences`, in their order.
    ///
    /// # Errors
    /// When ONNX Runtime fails, for example when it is out of memory.
    pub fn label(&mut self, sentences: &[Sentence]) -> Result<Vec<Labels>, PredictError> {
        let (rows, offsets) = self.all_rows(sentences)?;
        loop {
            match self.labels_of(sentences, &rows, &offsets) {
                Err(error) if self.can_halve(&error) => self.budget.tokens /= 2,
                labels => return labels,
            }
        }
    }

    /// The logits `[classes]` of each word of `sentences`; none for a word that the encoder never saw.
    /// For heads that classify words.
    ///
    /// # Errors
    /// Those of [`Self::label`].
    pub fn word_logits(
        &mut self,
        sentences: &[Sentence],
    ) -> Result<Vec<Vec<Option<Vec<f32>>>>, PredictError> {
        let (rows, offsets) = self.all_rows(sentences)?;
        let words = sentences.iter().map(|sentence| sentence.words.len());
        let mut all: Vec<_> = words.map(|words| vec![None; words]).collect();
        let (classes, subword) = (self.classes, self.subword);
        self.each_row(&rows, &offsets, |row, logits| {
            for (word, logits) in row.of_words(logits, classes, subword) {
                all[row.sentence][word] = Some(logits);
            }
        })?;
        Ok(all)
    }

    /// The rows of all sentences, and where the tokens of each begin (`[rows + 1]`).
    fn all_rows(&self, sentences: &[Sentence]) -> Result<(Vec<Row>, Vec<u64>), PredictError> {
        let rows = sentences
            .par_iter()
            .enumerate()
            .map(|(index, sentence)| self.rows(index, sentence))
            .collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        let mut offsets = vec![0];
        for row in &rows {
            offsets.push(offsets[offsets.len() - 1] + row.ids.len() as u64);
        }
        Ok((rows, offsets))
    }

    /// Whether a batch of half the size may help.
    fn can_halve(&self, error: &PredictError) -> bool {
        let PredictError::Encoder(error) = error else {
            return false;
        };
        self.chosen && error.is_out_of_memory() && self.budget.tokens >= 2 * LEAST_TOKENS
    }

    /// The labels of `sentences` from their rows, `offsets` (`[rows + 1]`) being where the tokens
    /// of each begin.
    fn labels_of(
        &mut self,
        sentences: &[Sentence],
        rows: &[Row],
        offsets: &[u64],
    ) -> Result<Vec<Labels>, PredictError> {
        if let Some(scorer) = self.scorer.clone() {
            return self.trees_of(&scorer, sentences, rows, offsets);
        }
        let mut labels = Gathered::new(
            sentences,
            (self.level, self.subword),
            self.classes,
            &self.decoder,
        );
        self.each_row(rows, offsets, |row, logits| labels.take(row, logits))?;
        Ok(labels.finish(&self.decoder))
    }

    /// The same where words have heads.
    fn trees_of(
        &mut self,
        scorer: &TreeScorer,
        sentences: &[Sentence],
        rows: &[Row],
        offsets: &[u64],
    ) -> Result<Vec<Labels>, PredictError> {
        let words = sentences.iter().map(|sentence| sentence.words.len());
        let mut kept: Vec<Vec<Option<Vec<f32>>>> = words.map(|words| vec![None; words]).collect();
        self.each_row(rows, offsets, |row, values| {
            for ((word, _), values) in row.words.iter().zip(values.chunks_exact(scorer.width())) {
                kept[row.sentence][*word] = Some(values.to_vec());
            }
        })?;
        let tree = |words: &Vec<Option<Vec<f32>>>| {
            let words: Vec<Option<&[f32]>> = words.iter().map(Option::as_deref).collect();
            Labels::Tree(scorer.tree(&words))
        };
        Ok(kept.par_iter().map(tree).collect())
    }

    /// Computes the logits of all rows, batch by batch.
    fn each_row(
        &mut self,
        rows: &[Row],
        offsets: &[u64],
        mut each: impl FnMut(&Row, &[f32]),
    ) -> Result<(), PredictError> {
        for batch in batches(0..rows.len(), offsets, self.budget) {
            let members: Vec<&Row> = batch.sequences.iter().map(|&row| &rows[row]).collect();
            let ids: Vec<&[u32]> = members.iter().map(|row| row.ids.as_slice()).collect();
            let begins: Vec<Option<usize>> = members.iter().map(|row| row.second).collect();
            let batch = Batch::padded_to(batch.width, &ids)?.with_second_texts(&begins);
            batch.check(self.vocabulary, self.max_positions)?;
            let logits = self.run(&batch, &members)?;
            for (row, logits) in members
                .into_iter()
                .zip(logits.chunks_exact(logits.len() / ids.len()))
            {
                each(row, logits);
            }
        }
        Ok(())
    }

    /// Cuts a sentence into sub-words and windows, as extraction does.
    fn rows(&self, index: usize, sentence: &Sentence) -> Result<Vec<Row>, PredictError> {
        let words: Vec<&str> = sentence.words.iter().map(String::as_str).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(pair) = &sentence.pair {
            let tokens = self
                .tokenizer
                .encode_pair(&words, pair.second, self.max_length)?;
            return Ok(vec![Row {
                sentence: index,
                words: Vec::new(),
                second: Some(tokens.second),
                ids: tokens.ids,
            }]);
        }
        let sub_words = self.tokenizer.encode(&words)?;
        let (prefix, suffix) = (self.tokenizer.prefix(), self.tokenizer.suffix());
        let room = self.max_length - self.tokenizer.special_tokens();
        let ranges = match self.long {
            LongPolicy::Truncate => std::iter::once(0..sub_words.ids.len().min(room)).collect(),
            LongPolicy::Split | LongPolicy::Error => windows(&sub_words.word_ids, room),
        };
        let row = |range: std::ops::Range<usize>| {
            let own = &sub_words.ids[range.clone()];
            let ids: Vec<u32> = [prefix, own, suffix].concat();
            let of_words = &sub_words.word_ids;
            let (mut words, mut token) = (Vec::new(), prefix.len());
            for own in of_words[range.clone()].chunk_by(|left, right| left == right) {
                let at = range.start + token - prefix.len();
                if at == 0 || of_words[at - 1] != own[0] {
                    words.push((own[0] as usize, token..token + own.len()));
                }
                token += own.len();
            }
            Row {
                sentence: index,
                ids,
                second: None,
                words,
            }
        };
        Ok(ranges.into_iter().map(row).collect())
    }

    /// The share of each token in the vectors of the words of each row, `[rows, words, width]`.
    fn shares(&self, rows: &[&Row], width: usize) -> ([usize; 3], Vec<f32>) {
        let words = rows.iter().map(|row| row.words.len()).max();
        let words = words.unwrap_or(0).max(1);
        let mut shares = vec![0.0; rows.len() * words * width];
        for (place, row) in rows.iter().enumerate() {
            for (word, (_, tokens)) in row.words.iter().enumerate() {
                let tokens = self.subword.places(tokens.clone());
                let first = (place * words + word) * width;
                #[expect(clippy::cast_precision_loss, reason = "tokens of a word")]
                let share = 1.0 / tokens.len() as f32;
                shares[first + tokens.start..first + tokens.end].fill(share);
            }
        }
        ([rows.len(), words, width], shares)
    }

    /// `[rows, width, classes]` or `[rows, classes]`; where words have heads, `[rows, words,
    /// width]` of a [`TreeScorer`].
    fn run(&mut self, batch: &Batch, rows: &[&Row]) -> Result<Vec<f32>, EncoderError> {
        let failed = |source| EncoderError::Runtime { source };
        let shape = [batch.rows, batch.width];
        let ids: Vec<i64> = batch.input_ids.iter().map(|&id| i64::from(id)).collect();
        let mut mask = vec![0_i64; ids.len()];
        for (row, &length) in mask.chunks_exact_mut(batch.width).zip(&batch.lengths) {
            row[..usize::try_from(length).unwrap_or(0)].fill(1);
        }
        let mut inputs = ort::inputs! {
            INPUT_IDS => Tensor::from_array((shape, ids)).map_err(failed)?,
            ATTENTION_MASK => Tensor::from_array((shape, mask)).map_err(failed)?,
        };
        if self.token_types {
            let mut types = vec![0_i64; batch.rows * batch.width];
            for (wide, &kind) in types.iter_mut().zip(&batch.token_types) {
                *wide = i64::from(kind);
            }
            let types = Tensor::from_array((shape, types)).map_err(failed)?;
            inputs.push((TOKEN_TYPES.into(), types.into()));
        }
        if self.scorer.is_some() {
            let shares = Tensor::from_array(self.shares(rows, batch.width)).map_err(failed)?;
            inputs.push((WORDS.into(), shares.into()));
        }
        let run = self.session.run(inputs);
        let outputs = run.map_err(|source| EncoderError::Run {
            device: self.target.to_string(),
            rows: batch.rows,
            width: batch.width,
            source,
        })?;
        let (_, logits) = outputs[LOGITS]
            .try_extract_tensor::<f32>()
            .map_err(failed)?;
        Ok(logits.to_vec())
    }
}

/// The tokenizer of `files`, after tokenizer and weights were found to be those of the run.
fn identified(files: &ModelFiles, run: &Run) -> Result<Tokenizer, PredictError> {
    if let Some(file) = files.onnx_file() {
        return Err(PredictError::OnnxFile {
            file: file.to_owned(),
        });
    }
    let tokenizer = Tokenizer::in_folder(&files.folder)?;
    let same = |what: &'static str, trained: &str, found: &str| {
        if trained == found {
            return Ok(());
        }
        Err(Box::new(Mismatch {
            run: run.folder.clone(),
            folder: files.folder.clone(),
            what,
            trained: trained.to_owned(),
            id: run.store.model.id.clone(),
            found: found.to_owned(),
        }))
    };
    same(
        "the tokenizer",
        &run.store.tokenizer_digest,
        tokenizer.digest(),
    )?;
    same(
        "the weights",
        &run.store.model.weights_digest,
        &files.weights_digest()?,
    )?;
    Ok(tokenizer)
}

/// Whether the encoder tells the texts of a pair apart by types that the tokenizer gives them. What
/// is wrong with the encoder is told when its graph is built.
fn has_token_types(
    files: &ModelFiles,
    run: &Run,
    tokenizer: &Tokenizer,
) -> Result<bool, PredictError> {
    let any = files.spec().is_ok_and(|spec| spec.has_token_types());
    Ok(run.store.dataset.pairs && any && tokenizer.types_second_text()?)
}

/// A session of the graph of encoder and head. On a GPU a batch of one token is run: some of its
/// libraries and kernels are looked for no earlier, and then there is still the CPU to go to.
fn session(
    files: &ModelFiles,
    run: &Run,
    options: &EncoderOptions,
    (target, builder): (Target, SessionBuilder),
) -> Result<(Session, EncoderSpec), EncoderError> {
    let failed = |source| EncoderError::Session {
        device: target.to_string(),
        source,
    };
    let (spec, model) = graph(files, run, options, TreeOutputs::Projected)?;
    let mut session = model.into_session(&builder).map_err(failed)?;
    if target != Target::Cpu {
        let one = |value: i64| Tensor::from_array(([1, 1], vec![value])).map_err(failed);
        let mut inputs = ort::inputs! { INPUT_IDS => one(0)?, ATTENTION_MASK => one(1)? };
        if spec.tells_token_types() {
            inputs.push((TOKEN_TYPES.into(), one(0)?.into()));
        }
        if run.scorer.is_some() {
            let share = Tensor::from_array(([1, 1, 1], vec![1.0_f32])).map_err(failed)?;
            inputs.push((WORDS.into(), share.into()));
        }
        session.run(inputs).map_err(failed)?;
    }
    Ok((session, spec))
}

/// Most tokens of a batch on a GPU: as many as keep it busy, or as its free memory holds.
fn gpu_tokens(
    spec: &EncoderSpec,
    run: &Run,
    options: &EncoderOptions,
    number: i32,
    width: usize,
) -> Result<usize, EncoderError> {
    let footprint = Footprint {
        layers: run.head.layers_read().map_or(1, |layers| layers.len()),
        hidden: spec.hidden,
        intermediate: spec.intermediate(),
        heads: spec.attention.heads,
        biased_heads: spec.biased_heads(),
        distances: spec.attention.disentangled.is_some(),
        biases: spec
            .biases(spec.layers)
            .into_iter()
            .filter(|&has_bias| has_bias)
            .count(),
        blocks: None,
        capped: spec.attention.soft_cap.is_some(),
        compute: options.dtype,
        rows: None,
    };
    Ok(fitting_tokens(
        footprint,
        runtime::free_memory(number)?,
        width,
    ))
}

/// Most tokens of a batch where `free` bytes of a GPU are free and rows have up to `width` tokens.
fn fitting_tokens(footprint: Footprint, free: u64, width: usize) -> usize {
    footprint
        .positions(free / 100 * SHARE, width)
        .min(footprint.countable_positions(width))
        .clamp(LEAST_TOKENS, GPU_TOKENS)
}

/// The graph of encoder and head; the encoder's files are unmapped again when this returns.
fn graph(
    files: &ModelFiles,
    run: &Run,
    options: &EncoderOptions,
    outputs: TreeOutputs,
) -> Result<(EncoderSpec, ort::editor::Model), EncoderError> {
    let config = Config::read(&files.config)?;
    let mut spec = EncoderSpec::from_config(&config)?;
    if options.token_types {
        spec.tell_token_types();
    }
    let checkpoint = encoder::weights(files, &spec, &config)?;
    let model = head::build(
        &spec,
        &checkpoint,
        options.dtype,
        &run.head,
        &run.parameters,
        outputs,
    )?;
    Ok((spec, model))
}

/// Writes the graph to `file`, as it is built, nothing optimised for this machine; with `external`
/// the weights go to a file of that name beside it. Gives the tokenizer that belongs to it.
///
/// # Errors
/// As [`Tagger::load`], or when the file cannot be written.
pub fn save(
    files: &ModelFiles,
    run: &Run,
    file: &Path,
    external: Option<&str>,
) -> Result<Tokenizer, PredictError> {
    let tokenizer = identified(files, run)?;
    let options = EncoderOptions {
        token_types: has_token_types(files, run, &tokenizer)?,
        ..EncoderOptions::default()
    };
    let provider = runtime::Target::Cpu;
    let failed = |source| EncoderError::Session {
        device: provider.to_string(),
        source,
    };
    let configure = || -> ort::Result<_> {
        let builder = runtime::session_builder(provider, 1)
            .map_err(|error| ort::Error::new(error.to_string()))?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_optimized_model_path(file)?;
        let Some(name) = external else {
            return Ok(builder);
        };
        let key = "session.optimized_model_external_initializers_";
        Ok(builder
            .with_config_entry(format!("{key}file_name"), name)?
            .with_config_entry(format!("{key}min_size_in_bytes"), "1024")?)
    };
    let builder = configure().map_err(failed)?;
    let (_, model) = graph(files, run, &options, TreeOutputs::Scores)?;
    model.into_session(&builder).map_err(failed)?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_on_a_gpu_are_as_large_as_its_memory_holds() {
        let footprint = Footprint {
            layers: 25,
            hidden: 1024,
            intermediate: 4096,
            heads: 16,
            biased_heads: 0,
            distances: false,
            biases: 0,
            blocks: None,
            capped: false,
            compute: crate::graph::ComputeDtype::F16,
            rows: None,
        };
        let fitting = |free| fitting_tokens(footprint, free, 512);
        assert_eq!(fitting(80 << 30), GPU_TOKENS);
        assert!((CPU_TOKENS..GPU_TOKENS).contains(&fitting(1 << 30)));
        assert_eq!(fitting(0), LEAST_TOKENS);
        // Enough text is read at a time to fill several of them.
        const { assert!(Portion::FOR_GPU.words >= 4 * GPU_TOKENS) };
    }
}
