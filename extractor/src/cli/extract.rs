//! `extractor [run]`: encodes a data set into a store.

use std::path::Path;
use std::time::Instant;

use cache::{Io, Manifest, Opened, Store, StoreDtype, StoreWriter};
use hub::model::Need;
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::{ExtractOptions, Shard};
use super::prepare;
use crate::encoder::{Encoder, Provider};
use crate::extract::{
    self, BatchRequest, Computed, Encoders, ExtractError, Extraction, Identity, LargestBatch,
    RangeTrial, StoreDtypeChoice, WeightMemory,
};
use crate::job::{CheckError, CheckReport, Job, Startup, Summary, Work, self_check};
use crate::plan::Tokens;

pub(super) fn run(options: &ExtractOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let stop = shared::signals::install()?;
    if let Some(job) = shared::resources::slurm_job() {
        terminal.status(job);
    }
    let no_out = || {
        CliError::usage(
            "--out is missing: where should the store go?",
            "--out ROOT, for example --out cache/",
        )
    };
    options.input.out.as_ref().ok_or_else(no_out)?;
    let mut extraction = prepare::extraction(&options.input, Need::All, terminal, &stop)?;
    let path = extraction.store.clone().ok_or_else(no_out)?;
    let mut startup = Startup::default();
    let weight_bytes = extraction.model.weight_bytes()?;
    WeightMemory::for_model(&extraction.model, weight_bytes).check()?;
    let digest = timed(&mut startup.digest, || {
        extraction.model.files.weights_digest()
    })?;
    let overwrite = options.input.overwrite;
    let auto = options.input.store_dtype == StoreDtypeChoice::Auto;
    let recorded = (auto && !overwrite)
        .then(|| extract::recorded_store_dtype(&path))
        .flatten();
    if let Some(dtype) = recorded {
        extraction.store_as(dtype);
    }
    let mut identity = Identity::new(&extraction, digest)?;
    if !overwrite && is_finished(&path, &identity, &extraction, terminal)? {
        return finished(&path, options, terminal);
    }

    let begun = (!overwrite).then(|| extract::begun(&path)).flatten();
    let batches = BatchRequest::new(
        extraction.max_batch_tokens,
        options.encoders,
        begun.as_ref(),
    );
    let tokens = prepare::tokens(&mut extraction, terminal)?;
    let largest = LargestBatch::from_tables(&tokens.tables);
    extract::check_space(&path, &extraction, &tokens)?;
    extract::check_batches(&extraction, weight_bytes, largest, batches.cpu_tokens())?;
    let mut encoder = load(&mut extraction, &tokens, &mut startup.loading, terminal)?;
    if auto && recorded.is_none() {
        encoder = try_range(&mut extraction, encoder, &tokens, terminal)?;
        identity = identity.stored_as(extraction.format.dtype);
    }
    let mut encoders = Encoders::prepare(
        &extraction,
        encoder,
        largest,
        weight_bytes,
        batches,
        terminal,
    )?;
    let manifest = identity.manifest(computed(&extraction, &encoders, &tokens, begun.as_ref()));

    let writer = match extract::open(&path, &manifest, &tokens, overwrite)? {
        Opened::Writer(writer) => writer,
        // Finished between our look at it and now, by another process.
        Opened::Complete(_) => return finished(&path, options, terminal),
    };
    let shard = Shard::or_slurm(options.shard);
    let parts = parts_of(&writer, shard, terminal);
    let job = Job {
        manifest: &manifest,
        tables: &tokens.tables,
        budget: encoders.budget,
        stop: &stop,
        terminal,
    };
    let work = job.run(&mut encoders.all, &writer, &parts)?;
    let mut summary = Summary::new(path.clone(), &manifest, tokens.counts, &work);
    if work.complete && options.self_check > 0 {
        summary.self_check = Some(check(&path, &extraction, &mut encoders.all[0], options)?);
    }
    summary.startup = startup;
    summary.setup = encoders.setup;
    summary.peak_memory = shared::resources::peak_memory();
    report(&summary, options, terminal);
    Ok(conclude(&work, shard, terminal))
}

/// What turned out of the manifest. A store that was begun keeps the size of its parts unless
/// another was asked for.
fn computed(
    extraction: &Extraction,
    encoders: &Encoders,
    tokens: &Tokens,
    begun: Option<&Manifest>,
) -> Computed {
    let (provider, batch_tokens) = (encoders.provider(), encoders.budget.tokens);
    let part_files = begun
        .filter(|_| extraction.format.part_bytes.is_none())
        .map_or_else(
            || extraction.part_files(provider, batch_tokens),
            |begun| begun.part_files,
        );
    Computed::new(tokens, provider, batch_tokens, part_files)
}

/// Whether the store is there already, whole and of the same identity; an error if it is of
/// another.
fn is_finished(
    path: &Path,
    identity: &Identity,
    extraction: &Extraction,
    terminal: &Terminal,
) -> Result<bool, CliError> {
    let Some(versions) = extract::is_finished(path, identity, extraction)? else {
        return Ok(false);
    };
    for difference in versions {
        terminal.status(format!(
            "made by another version ({difference}); --overwrite makes it anew"
        ));
    }
    Ok(true)
}

fn finished(
    path: &Path,
    options: &ExtractOptions,
    terminal: &Terminal,
) -> Result<ExitStatus, CliError> {
    let store = Store::open(path, Io::Read)?;
    StoreWriter::tidy(&store)?;
    terminal.status(format!("complete   {}: nothing to do", path.display()));
    if options.json {
        let line = serde_json::json!({
            "store": path, "identity": store.identity(), "state": "complete", "tokens_encoded": 0,
        });
        terminal.result(line.to_string());
    }
    Ok(ExitStatus::Success)
}

/// Does something and tells how many seconds it took.
fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *seconds = started.elapsed().as_secs_f64();
    done
}

/// Loads the encoder and makes sure that it knows every token.
fn load(
    extraction: &mut Extraction,
    tokens: &Tokens,
    seconds: &mut f64,
    terminal: &Terminal,
) -> Result<Encoder, CliError> {
    let encoder = timed(seconds, || extraction.model.load())?;
    for note in encoder.notes() {
        terminal.warn(note);
    }
    terminal.status(format!(
        "encoder    on {}, {} threads, ready after {seconds:.1} s",
        encoder.provider(),
        extraction.model.options.threads,
    ));
    extraction
        .model
        .check_vocabulary(&encoder, &tokens.tables)?;
    Ok(encoder)
}

/// Chooses the number format of the store by a trial of some sentences. Gives back the encoder, or
/// another one where its graph makes rows in a format that was not chosen.
fn try_range(
    extraction: &mut Extraction,
    mut encoder: Encoder,
    tokens: &Tokens,
    terminal: &Terminal,
) -> Result<Encoder, CliError> {
    let trial = match RangeTrial::run(&mut encoder, &tokens.tables) {
        Ok(trial) => trial,
        // A GPU that turns out not to run the encoder is left for the CPU later, or is an error then.
        Err(error) if encoder.provider() == Provider::Cuda => {
            terminal.status(format!(
                "values     stored as float16, as a trial failed: {error}"
            ));
            return Ok(encoder);
        }
        Err(error) => return Err(error.into()),
    };
    let dtype = trial.dtype();
    let other = match dtype {
        StoreDtype::Bf16 => "f16 or f32",
        StoreDtype::F16 | StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => "bf16 or f32",
    };
    terminal.status(format!(
        "values     up to {:.1} in {} sequences: stored as {dtype} (--store-dtype {other} overrules)",
        trial.largest, trial.sequences
    ));
    if dtype == extraction.format.dtype {
        return Ok(encoder);
    }
    extraction.store_as(dtype);
    if encoder.row_format().is_none() {
        return Ok(encoder);
    }
    drop(encoder);
    Ok(extraction.model.load()?)
}

/// The parts that are missing and belong to this share of the work.
fn parts_of(writer: &StoreWriter, shard: Shard, terminal: &Terminal) -> Vec<cache::Part> {
    if shard.count == 1 {
        return writer.pending();
    }
    terminal.status(format!("share      {shard} of the work"));
    let own = writer
        .parts()
        .into_iter()
        .skip(shard.index)
        .step_by(shard.count);
    own.filter(|part| !writer.is_done(part)).collect()
}

/// Compares some sequences with the store; a store that fails is moved out of the way, so that
/// nobody trains on it.
fn check(
    path: &Path,
    extraction: &Extraction,
    encoder: &mut Encoder,
    options: &ExtractOptions,
) -> Result<CheckReport, ExtractError> {
    let dtype = extraction.model.options.dtype;
    let checked = Store::open(path, Io::Read)
        .map_err(CheckError::from)
        .and_then(|store| self_check(&store, encoder, dtype, options.self_check));
    checked.map_err(|source| match source {
        CheckError::Mismatch { .. } => ExtractError::SelfCheck {
            hint: extract::move_aside(path),
            source: Box::new(source),
        },
        CheckError::Encoder(_) | CheckError::Store(_) => source.into(),
    })
}

fn report(summary: &Summary, options: &ExtractOptions, terminal: &Terminal) {
    for line in summary.lines() {
        terminal.status(line);
    }
    if options.json {
        // Strings and numbers: nothing that JSON could refuse.
        terminal.result(serde_json::to_string(summary).unwrap_or_default());
    }
}

/// The exit status of an extraction that did `work`.
fn conclude(work: &Work, shard: Shard, terminal: &Terminal) -> ExitStatus {
    if work.interrupted {
        terminal.warn("stopped by a signal; run the same command again to go on");
        return ExitStatus::Interrupted;
    }
    if !work.complete {
        terminal.status(format!(
            "share {shard} is done; the store is complete when the others are"
        ));
    }
    ExitStatus::Success
}
