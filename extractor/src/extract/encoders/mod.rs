//! The encoders of an extraction: loaded, and with batches of a size that was tried.
//!
//! A GPU's memory is known only when the encoder is in it, so this comes after loading. The largest
//! batch there can be is then encoded once: what would fail in the third hour fails in the first
//! minute, and says which number would do.

use cache::Manifest;
use shared::size::format_bytes;
use shared::terminal::Terminal;

use super::batches::LargestBatch;
use super::error::ExtractError;
use super::extraction::Extraction;
use super::gpu_memory::{Choice, GpuMemory, LEAST_TOKENS};
use super::model::Model;
use crate::batch::{Budget, CPU_TOKENS};
use crate::encoder::{Batch, Device, Encoder, EncoderError, Provider, runtime};
use crate::job::Setup;

/// The sizes that were asked for, by options or by the store that was begun.
#[derive(Debug, Clone, Copy)]
pub struct BatchRequest {
    /// Most tokens of a batch.
    pub tokens: Option<usize>,
    /// Whether it is the store that says so.
    pub from_store: bool,
    /// Encoders that take turns.
    pub encoders: Option<usize>,
}

impl BatchRequest {
    /// What is asked for by options, else by the store that was begun: rounding depends on the size
    /// of batches, so a store is finished with its own.
    #[must_use]
    pub fn new(
        max_batch_tokens: Option<usize>,
        encoders: Option<usize>,
        begun: Option<&Manifest>,
    ) -> Self {
        Self {
            tokens: max_batch_tokens.or(begun.map(|manifest| manifest.max_batch_tokens)),
            from_store: max_batch_tokens.is_none(),
            encoders,
        }
    }

    /// Most tokens of a batch on a CPU.
    #[must_use]
    pub fn cpu_tokens(&self) -> usize {
        self.tokens.unwrap_or(CPU_TOKENS)
    }
}

/// Encoders that are ready, and how they are to be used.
pub struct Encoders {
    /// At least one, all alike.
    pub all: Vec<Encoder>,
    /// How large batches are.
    pub budget: Budget,
    /// What is told of them at the end.
    pub setup: Setup,
}

impl Encoders {
    /// Decides how `encoder` is used, loads others beside it, and has them encode the largest batch
    /// if they are on a GPU. `weight_bytes` is what one takes there. A GPU that turns out not to
    /// run the encoder at all is left for the CPU if it was chosen here.
    ///
    /// # Errors
    /// When an encoder cannot be loaded, or a batch of the size that was asked for does not fit.
    pub fn prepare(
        extraction: &Extraction,
        mut encoder: Encoder,
        largest: LargestBatch,
        weight_bytes: u64,
        request: BatchRequest,
        terminal: &Terminal,
    ) -> Result<Self, ExtractError> {
        let model = &extraction.model;
        if encoder.provider() == Provider::Cpu {
            return Self::on_cpu(model, encoder, request);
        }
        if let Err(error) = try_to_run(&mut encoder) {
            if model.options.device != Device::Auto || model.options.dtype.needs_gpu() {
                return Err(error.into());
            }
            terminal.warn(format!("there is a GPU, but the CPU is used: {error}"));
            return Self::on_cpu(model, model.load_another(Device::Cpu)?, request);
        }
        let mut gpus = Gpus {
            setup: Setup::for_encoder(&encoder),
            encoders: vec![encoder],
            extraction,
            largest,
            weight_bytes,
            request,
            terminal,
        };
        let tokens = gpus.prepare()?.tokens;
        Ok(Self::new(gpus.encoders, tokens, gpus.setup))
    }

    fn on_cpu(
        model: &Model,
        mut encoder: Encoder,
        request: BatchRequest,
    ) -> Result<Self, ExtractError> {
        // Profiled for a GPU that turned out not to be of use.
        let _ = encoder.nodes_on_cpu();
        let setup = Setup::for_encoder(&encoder);
        let mut all = vec![encoder];
        while all.len() < request.encoders.unwrap_or(1) {
            all.push(model.load_another(Device::Cpu)?);
        }
        Ok(Self::new(all, request.cpu_tokens(), setup))
    }

    fn new(all: Vec<Encoder>, tokens: usize, setup: Setup) -> Self {
        let setup = Setup {
            max_batch_tokens: tokens,
            encoders: all.len(),
            ..setup
        };
        let budget = budget(&all[0], tokens);
        Self { all, budget, setup }
    }

    /// Where they run.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.all[0].provider()
    }
}

fn budget(encoder: &Encoder, tokens: usize) -> Budget {
    let budget = Budget::new(tokens, encoder.provider());
    match encoder.provider() {
        Provider::Cpu => budget,
        Provider::Cuda => budget.bucketed(encoder.max_positions()),
    }
}

/// Runs an encoder on one token: some libraries and kernels are looked for no earlier.
fn try_to_run(encoder: &mut Encoder) -> Result<(), EncoderError> {
    // Where memory is short, the size that fits is found later.
    match encode(encoder, &Batch::blank(1, 1)) {
        Err(error) if !error.is_out_of_memory() => Err(error),
        // Where memory is short, the size that fits is found later.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Encodes a batch, and makes its rows if the graph does.
fn encode(encoder: &mut Encoder, batch: &Batch) -> Result<(), EncoderError> {
    if encoder.row_format().is_none() {
        return encoder.encode(batch).map(|_| ());
    }
    let positions = i32::try_from(batch.rows * batch.width).unwrap_or(i32::MAX);
    let kept: Vec<i32> = (0..positions).collect();
    encoder.encode_rows(batch, &kept).map(|_| ())
}

/// The first of `tokens`, half of it, a quarter, ... that `run` has memory for, and why the first
/// of all did not fit.
fn largest_fitting(
    tokens: usize,
    mut run: impl FnMut(usize) -> Result<(), EncoderError>,
) -> Result<(usize, Option<EncoderError>), EncoderError> {
    let (mut tokens, mut first) = (tokens, None);
    loop {
        match run(tokens) {
            Ok(()) => return Ok((tokens, first)),
            Err(error) if error.is_out_of_memory() && tokens > LEAST_TOKENS => {
                tokens = (tokens / 2).max(LEAST_TOKENS);
                first.get_or_insert(error);
            }
            Err(error) => return Err(first.unwrap_or(error)),
        }
    }
}

fn does_not_fit(
    tokens: usize,
    fitting: usize,
    from_store: bool,
    source: EncoderError,
) -> ExtractError {
    let hint = if from_store {
        format!(
            "the store was begun with that number: go on where it was begun, or begin anew with \
             --overwrite --max-batch-tokens {fitting}"
        )
    } else {
        format!("--max-batch-tokens {fitting} would fit")
    };
    ExtractError::GpuMemory {
        tokens,
        hint,
        source: Box::new(source),
    }
}

/// Encoders on GPUs, while they are made ready.
struct Gpus<'a> {
    extraction: &'a Extraction,
    /// The first is loaded by somebody else.
    encoders: Vec<Encoder>,
    largest: LargestBatch,
    weight_bytes: u64,
    request: BatchRequest,
    setup: Setup,
    terminal: &'a Terminal,
}

impl Gpus<'_> {
    /// Chooses sizes, tries them on the first encoder, and loads the others.
    fn prepare(&mut self) -> Result<Choice, ExtractError> {
        let width = self.largest.width(budget(&self.encoders[0], 0));
        let memory = self.memory(width)?;
        memory.check_countable(self.request.tokens, self.request.from_store)?;
        let chosen = self.fitting(memory.choose(self.request.tokens, self.request.encoders))?;
        let first = &mut self.encoders[0];
        self.setup.nodes_on_cpu = first.nodes_on_cpu().unwrap_or_else(|error| {
            let what = format!("which nodes ran on the CPU is not known: {error}");
            self.terminal.warn(what);
            None
        });
        if let Some(nodes) = self.setup.nodes_without_kernel() {
            self.terminal.warn(nodes);
        }
        self.load_others(chosen)?;
        self.setup.devices = self.encoders.iter().map(Encoder::device).collect();
        self.setup.devices.sort();
        self.setup.devices.dedup();
        let free = memory
            .free
            .map_or_else(|| "unknown memory".to_owned(), format_bytes);
        self.terminal.status(format!(
            "batches    {} tokens at most, {} encoders in turn on {}, {free} free on the GPU before the first",
            chosen.tokens,
            self.encoders.len(),
            self.setup.devices.join(", "),
        ));
        Ok(chosen)
    }

    /// `choice`, or one with smaller batches if it was not asked for and does not fit.
    fn fitting(&mut self, choice: Choice) -> Result<Choice, ExtractError> {
        let (largest, encoder) = (self.largest, &mut self.encoders[0]);
        let run = |tokens| {
            let batch = largest.blank(budget(encoder, tokens));
            encode(encoder, &batch)
        };
        let (fitting, failed) = largest_fitting(choice.tokens, run)?;
        let Some(error) = failed else {
            return Ok(choice);
        };
        if self.request.tokens.is_some() {
            let from_store = self.request.from_store;
            return Err(does_not_fit(choice.tokens, fitting, from_store, error));
        }
        self.terminal.status(format!(
            "           batches of {} tokens do not fit the GPU's memory, those of {fitting} do",
            choice.tokens
        ));
        Ok(Choice {
            tokens: fitting,
            encoders: self.request.encoders.unwrap_or(1),
        })
    }

    /// Loads the encoders beside the first, on all GPUs, and has each encode the largest batch.
    /// Batches are dealt out in turn, so that the first ones of all GPUs come before the second
    /// ones.
    fn load_others(&mut self, chosen: Choice) -> Result<(), ExtractError> {
        let model = &self.extraction.model;
        // `auto` has become the first GPU.
        let first = match model.options.device {
            Device::Auto => Device::Cuda(0),
            device @ (Device::Cpu | Device::Cuda(_)) => device,
        };
        let batch = self.largest.blank(budget(&self.encoders[0], chosen.tokens));
        for round in 0..chosen.encoders {
            for &device in std::iter::once(&first).chain(&model.other_gpus) {
                if round == 0 && device == first {
                    continue;
                }
                let is_optional = round > 0 && self.request.encoders.is_none();
                match load_and_try(model, device, &batch) {
                    Ok(encoder) => self.encoders.push(encoder),
                    Err(error) if error.is_out_of_memory() && is_optional => {
                        self.terminal.status(format!(
                            "           no memory for a second encoder on {device}"
                        ));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// What there is room for: on the GPU that has least, if there are several.
    fn memory(&self, width: usize) -> Result<GpuMemory, ExtractError> {
        let (encoder, model) = (&self.encoders[0], &self.extraction.model);
        let mut free = encoder.free_memory().unwrap_or_else(|error| {
            self.terminal.warn(error.to_string());
            None
        });
        for &device in &model.other_gpus {
            let Device::Cuda(number) = device else {
                continue;
            };
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            let other = runtime::free_memory(number)?.saturating_sub(self.weight_bytes);
            free = free.map(|free| free.min(other));
        }
        Ok(GpuMemory {
            free,
            weights: self.weight_bytes,
            host: shared::resources::memory_limit().or_else(shared::resources::memory_available),
            gpus: 1 + model.other_gpus.len(),
            row_bytes: self.extraction.row_bytes() as u64,
            width,
            footprint: encoder.footprint(model.options.dtype),
        })
    }
}

/// One more encoder that has encoded `batch`.
fn load_and_try(model: &Model, device: Device, batch: &Batch) -> Result<Encoder, EncoderError> {
    let mut encoder = model.load_another(device)?;
    encode(&mut encoder, batch)?;
    Ok(encoder)
}

#[cfg(test)]
mod tests;
