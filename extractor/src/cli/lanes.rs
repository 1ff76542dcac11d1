//! Encoders made ready: how large batches are, how many encoders take turns, and whether the largest batch fits.
//!
//! A GPU's memory is known only when the encoder is in it, so this comes after loading. The largest batch there can be is then
//! encoded once: what would fail in the third hour fails in the first minute, and says which number would do.

use cache::SplitTables;
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::prepare::Prepared;
use crate::batch::{Budget, CPU_TOKENS, GPU_TOKENS};
use crate::encoder::{Batch, Device, Encoder, EncoderError, EncoderOptions, Footprint, runtime};
use crate::job::{Setup, bytes};
use crate::plan::Tokens;

/// Smallest batch that is tried where memory is short.
const LEAST_TOKENS: usize = 256;
/// Batches of this size keep most GPUs busy: a second encoder is not worth smaller ones.
const WORTHWHILE_TOKENS: usize = 4096;
/// Share of the free memory that batches may take, in per cent; libraries need some of their own, and estimates are that.
const SHARE: u64 = 80;
/// Batches of rows that wait for the disk or are written, beside those that lanes fill.
const ROWS_WAITING: usize = 4;

/// What was asked for, by options or by the store that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Most tokens of a batch.
    pub(super) tokens: Option<usize>,
    /// Whether it is the store that says so.
    pub(super) by_store: bool,
    /// Encoders that take turns.
    pub(super) lanes: Option<usize>,
}

/// Encoders that are ready, and how they are to be used.
pub(super) struct Ready {
    pub(super) encoders: Vec<Encoder>,
    pub(super) budget: Budget,
    pub(super) setup: Setup,
}

/// Decides how `encoder` is used, loads others beside it, and has them encode the largest batch if they are on a GPU.
/// A GPU that turns out not to run the encoder at all is left for the CPU if the choice was ours.
pub(super) fn ready(
    prepared: &Prepared,
    mut encoder: Encoder,
    tokens: &Tokens,
    asked: Asked,
    terminal: &Terminal,
) -> Result<Ready, CliError> {
    if encoder.provider() == "cpu" {
        return on_the_cpu(prepared, encoder, asked);
    }
    let options = &prepared.encoder;
    if let Err(error) = runs(&mut encoder) {
        if options.device != Device::Auto || options.dtype.needs_gpu() {
            return Err(error.into());
        }
        terminal.warn(format!("there is a GPU, but the CPU is used: {error}"));
        let on_cpu = EncoderOptions {
            device: Device::Cpu,
            profile: false,
            ..options.clone()
        };
        let encoder = Encoder::load(&prepared.files, &on_cpu)?;
        return on_the_cpu(prepared, encoder, asked);
    }
    let mut setup = Setup::of(&encoder);
    let mut encoders = vec![encoder];
    let chosen = on_gpus(prepared, &mut encoders, tokens, asked, &mut setup, terminal)?;
    setup.max_batch_tokens = chosen.tokens;
    setup.lanes = encoders.len();
    Ok(Ready {
        budget: budget(&encoders[0], chosen.tokens),
        encoders,
        setup,
    })
}

/// Whether an encoder runs at all: some libraries and kernels are looked for no earlier.
fn runs(encoder: &mut Encoder) -> Result<(), EncoderError> {
    let least = Largest {
        sequences: 1,
        width: 1,
    };
    match least.encode(encoder, 1) {
        // What is short of memory is told with the size that fits.
        Err(error) if !error.is_want_of_memory() => Err(error),
        _ => Ok(()),
    }
}

fn on_the_cpu(prepared: &Prepared, mut encoder: Encoder, asked: Asked) -> Result<Ready, CliError> {
    // Profiled for a GPU that turned out not to be of use.
    let _ = encoder.nodes_on_cpu();
    let mut setup = Setup::of(&encoder);
    let mut encoders = vec![encoder];
    while encoders.len() < asked.lanes.unwrap_or(1) {
        encoders.push(another(prepared, Device::Cpu)?);
    }
    setup.max_batch_tokens = asked.tokens.unwrap_or_else(|| prepared.batch_tokens());
    setup.lanes = encoders.len();
    Ok(Ready {
        budget: budget(&encoders[0], setup.max_batch_tokens),
        encoders,
        setup,
    })
}

fn budget(encoder: &Encoder, tokens: usize) -> Budget {
    let budget = Budget::new(tokens, encoder.provider());
    match encoder.provider() {
        "cpu" => budget,
        _ => budget.bucketed(encoder.max_positions()),
    }
}

/// One more encoder of the same kind.
fn another(prepared: &Prepared, device: Device) -> Result<Encoder, EncoderError> {
    let options = EncoderOptions {
        device,
        profile: false,
        ..prepared.encoder.clone()
    };
    Encoder::load(&prepared.files, &options)
}

fn on_gpus(
    prepared: &Prepared,
    encoders: &mut Vec<Encoder>,
    tokens: &Tokens,
    asked: Asked,
    setup: &mut Setup,
    terminal: &Terminal,
) -> Result<Choice, CliError> {
    let encoder = &mut encoders[0];
    let largest = Largest::of(&tokens.tables, budget(encoder, 0));
    let room = room(prepared, encoder, largest.width, terminal)?;
    check_countable(room, asked)?;
    let mut chosen = room.choose(asked.tokens, asked.lanes);
    let (fitting, failed) = fitting(chosen.tokens, |tokens| largest.encode(encoder, tokens))?;
    if let Some(error) = failed {
        if asked.tokens.is_some() {
            return Err(does_not_fit(chosen.tokens, fitting, asked.by_store, &error));
        }
        terminal.status(format!(
            "           batches of {} tokens do not fit the GPU's memory, those of {fitting} do",
            chosen.tokens
        ));
        chosen = Choice {
            tokens: fitting,
            lanes: asked.lanes.unwrap_or(1),
        };
    }
    setup.nodes_on_cpu = encoder.nodes_on_cpu().unwrap_or_else(|error| {
        terminal.warn(format!("which nodes ran on the CPU is not known: {error}"));
        None
    });
    if let Some(nodes) = setup.on_the_processor() {
        terminal.warn(nodes);
    }
    load_others(prepared, encoders, (&largest, chosen), asked, terminal)?;
    setup.devices = encoders.iter().map(Encoder::device).collect();
    setup.devices.sort();
    setup.devices.dedup();
    terminal.status(format!(
        "batches    {} tokens at most, {} encoders in turn on {}, {} free on the GPU before the first",
        chosen.tokens,
        encoders.len(),
        setup.devices.join(", "),
        room.free.map_or_else(|| "unknown memory".to_owned(), bytes),
    ));
    Ok(chosen)
}

/// Loads the encoders beside the first, on all GPUs, and has each encode the largest batch. Batches are dealt out in turn, so
/// that the first ones of all GPUs come before the second ones.
fn load_others(
    prepared: &Prepared,
    encoders: &mut Vec<Encoder>,
    (largest, chosen): (&Largest, Choice),
    asked: Asked,
    terminal: &Terminal,
) -> Result<(), CliError> {
    // `auto` has become the first GPU.
    let first = match prepared.encoder.device {
        Device::Auto => Device::Cuda(0),
        device => device,
    };
    for lane in 0..chosen.lanes {
        for &device in std::iter::once(&first).chain(&prepared.more_gpus) {
            if lane == 0 && device == first {
                continue;
            }
            let more = another(prepared, device).and_then(|mut encoder| {
                largest.encode(&mut encoder, chosen.tokens)?;
                Ok(encoder)
            });
            match more {
                Ok(encoder) => encoders.push(encoder),
                Err(error) if error.is_want_of_memory() && lane > 0 && asked.lanes.is_none() => {
                    terminal.status(format!(
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
fn room(
    prepared: &Prepared,
    encoder: &Encoder,
    width: usize,
    terminal: &Terminal,
) -> Result<Room, CliError> {
    let weights = weights(prepared)?;
    let mut free = encoder.free_memory().unwrap_or_else(|error| {
        terminal.warn(error.to_string());
        None
    });
    for &device in &prepared.more_gpus {
        let Device::Cuda(number) = device else {
            continue;
        };
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let other = runtime::free_memory(number)?.saturating_sub(weights);
        free = free.map(|free| free.min(other));
    }
    Ok(Room {
        free,
        weights,
        host: shared::resources::memory_limit().or_else(shared::resources::memory_available),
        gpus: 1 + prepared.more_gpus.len(),
        row_bytes: prepared.row_bytes() as u64,
        width,
        footprint: encoder.footprint(prepared.encoder.dtype),
    })
}

/// Refuses batches whose tensors have more elements than a GPU counts.
fn check_countable(room: Room, asked: Asked) -> Result<(), CliError> {
    let most = room.footprint.countable_positions(room.width);
    let Some(tokens) = asked.tokens.filter(|&tokens| tokens > most) else {
        return Ok(());
    };
    let Footprint { layers, hidden, .. } = room.footprint;
    Err(CliError::usage(
        format!(
            "--max-batch-tokens {tokens} is too large: ONNX Runtime's CUDA kernels count the numbers of a tensor in 32 bits, and              {layers} layers of {hidden} numbers a token pass that"
        ),
        if asked.by_store {
            "the store was begun with that number: begin anew with --overwrite".to_owned()
        } else {
            format!("--max-batch-tokens {most} is the most for this encoder")
        },
    ))
}

fn does_not_fit(tokens: usize, fitting: usize, by_store: bool, error: &EncoderError) -> CliError {
    let hint = if by_store {
        format!(
            "the store was begun with that number: go on where it was begun, or begin anew with \
             --overwrite --max-batch-tokens {fitting}"
        )
    } else {
        format!("--max-batch-tokens {fitting} would fit")
    };
    CliError {
        message: format!("a batch of {tokens} tokens does not fit the GPU's memory: {error}"),
        hints: vec![hint],
        status: ExitStatus::Machine,
    }
}

/// Bytes of the weights, as they lie on the disk: about what they take once more on the card.
fn weights(prepared: &Prepared) -> Result<u64, CliError> {
    let mut bytes = 0;
    for file in &prepared.files.weights {
        bytes += fs_err::metadata(file)?.len();
    }
    Ok(bytes)
}

/// The first of `tokens`, half of it, a quarter, ... that `run` has memory for, and why the first of all did not fit.
fn fitting(
    tokens: usize,
    mut run: impl FnMut(usize) -> Result<(), EncoderError>,
) -> Result<(usize, Option<EncoderError>), EncoderError> {
    let (mut tokens, mut first) = (tokens, None);
    loop {
        match run(tokens) {
            Ok(()) => return Ok((tokens, first)),
            Err(error) if error.is_want_of_memory() && tokens > LEAST_TOKENS => {
                tokens = (tokens / 2).max(LEAST_TOKENS);
                first.get_or_insert(error);
            }
            Err(error) => return Err(first.unwrap_or(error)),
        }
    }
}

/// The largest batch that a data set can give.
struct Largest {
    sequences: usize,
    width: usize,
}

impl Largest {
    fn of(tables: &[SplitTables], budget: Budget) -> Self {
        let lengths = tables.iter().flat_map(|table| table.offsets.windows(2));
        let longest = lengths.map(|pair| pair[1] - pair[0]).max().unwrap_or(1);
        let sequences = tables.iter().map(|table| table.sentence_of.len());
        Self {
            sequences: sequences.max().unwrap_or(1).max(1),
            width: budget
                .width(usize::try_from(longest).unwrap_or(usize::MAX))
                .max(1),
        }
    }

    /// Encodes one of at most `tokens` tokens, and makes its rows if the graph does.
    fn encode(&self, encoder: &mut Encoder, tokens: usize) -> Result<(), EncoderError> {
        let rows = (tokens / self.width).clamp(1, self.sequences);
        let batch = Batch::blank(rows, self.width);
        if encoder.row_format().is_none() {
            return encoder.encode(&batch).map(|_| ());
        }
        let positions = i32::try_from(rows * self.width).unwrap_or(i32::MAX);
        let kept: Vec<i32> = (0..positions).collect();
        encoder.encode_rows(&batch, &kept).map(|_| ())
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Bytes free on the GPU with one encoder in it, if it tells.
    free: Option<u64>,
    /// What another encoder takes.
    weights: u64,
    /// Bytes that the job has beside the GPU, if known.
    host: Option<u64>,
    /// GPUs that are used.
    gpus: usize,
    /// Bytes of a token in the store.
    row_bytes: u64,
    /// Positions of the widest row.
    width: usize,
    footprint: Footprint,
}

/// How encoders are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    /// Most tokens of a batch.
    tokens: usize,
    /// Encoders that take turns.
    lanes: usize,
}

impl Room {
    /// Two encoders if batches stay large enough, else one; and the largest batches that go with it.
    fn choose(&self, tokens: Option<usize>, lanes: Option<usize>) -> Choice {
        let lanes = lanes.unwrap_or_else(|| {
            let enough = tokens.unwrap_or_else(|| WORTHWHILE_TOKENS.min(self.tokens(1)));
            if self.free.is_some() && self.fitting(2) >= enough {
                2
            } else {
                1
            }
        });
        Choice {
            tokens: tokens.unwrap_or_else(|| self.tokens(lanes)),
            lanes,
        }
    }

    /// The size of batches where so many encoders take turns: a power of two, so that cards that are nearly alike agree.
    fn tokens(&self, lanes: usize) -> usize {
        let most = self
            .footprint
            .countable_positions(self.width)
            .clamp(LEAST_TOKENS, GPU_TOKENS);
        let fitting = self.fitting(lanes).clamp(LEAST_TOKENS, most);
        1 << fitting.ilog2()
    }

    /// Tokens of a batch for which there is room.
    fn fitting(&self, lanes: usize) -> usize {
        let count = lanes as u64;
        let on_card = self.free.map_or(CPU_TOKENS, |free| {
            let batches = free.saturating_sub(self.weights * (count - 1)) / 100 * SHARE;
            self.footprint.positions(batches / count, self.width)
        });
        let rows = self.row_bytes.max(1) * (lanes * self.gpus + ROWS_WAITING) as u64;
        let on_host = self.host.map_or(usize::MAX, |host| {
            usize::try_from(host / 2 / rows).unwrap_or(usize::MAX)
        });
        on_card.min(on_host)
    }
}

#[cfg(test)]
mod tests;
