//! `extractor [run]`: encodes a data set into a store.

use std::path::Path;

use cache::{FieldDifference, Io, Manifest, OpenMode, Opened, Store, StoreError, StoreWriter};
use hub::model::Need;
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::lanes::{Asked, Ready, ready};
use super::memory::{check_batches, check_weights};
use super::options::{ExtractOptions, Shard};
use super::prepare::Prepared;
use super::space::check_space;
use crate::encoder::{Device, Encoder};
use crate::job::{CheckError, Job, Startup, Summary, self_check};
use crate::plan::Tokens;

pub(super) fn run(options: &ExtractOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let stop = shared::signals::install()?;
    if let Some(job) = shared::resources::slurm_job() {
        terminal.status(job);
    }
    if options.input.out.is_none() {
        return Err(CliError::usage(
            "--out is missing: where should the store go?",
            "--out ROOT, for example --out cache/",
        ));
    }
    let mut prepared = Prepared::new(&options.input, Need::All, terminal, &stop)?;
    let Some(path) = prepared.store.clone() else {
        return Ok(ExitStatus::User);
    };
    check_weights(&prepared)?;
    let mut startup = Startup::default();
    let digest = timed(&mut startup.digest, || prepared.files.weights_digest())?;
    let stored = begun(options, &path);
    let asked = asked(options, &mut prepared, stored.as_ref());
    let mut manifest = prepared.manifest(digest)?;
    if !options.input.overwrite && is_finished(&path, &manifest, &prepared, terminal)? {
        return finished(&path, options, terminal);
    }

    let tokens = prepared.tokens(terminal)?;
    manifest.splits.clone_from(&tokens.sizes);
    manifest.long_sentences = tokens.counts.split_sentences + tokens.counts.truncated_sentences;
    check_space(&path, &prepared, &tokens)?;
    check_batches(&prepared, &tokens)?;
    let encoder = load(&mut prepared, &tokens, &mut startup.loading, terminal)?;
    let Ready {
        mut encoders,
        budget,
        setup,
    } = ready(&prepared, encoder, &tokens, asked, terminal)?;
    encoders[0].provider().clone_into(&mut manifest.provider);
    manifest.max_batch_tokens = budget.tokens;
    let on_gpu = manifest.provider != "cpu";
    manifest.part_files = stored
        .filter(|_| prepared.part_bytes.is_none())
        .map_or_else(
            || prepared.part_files(on_gpu, budget.tokens),
            |stored| stored.part_files,
        );

    let writer = match open(&path, &manifest, &tokens, options.input.overwrite)? {
        Opened::Writer(writer) => writer,
        // Finished between our look at it and now, by another process.
        Opened::Complete(_) => return finished(&path, options, terminal),
    };
    let shard = Shard::or_slurm(options.shard);
    let parts = parts_of(&writer, shard, terminal);
    let job = Job {
        manifest: &manifest,
        tables: &tokens.tables,
        budget,
        stop: &stop,
        terminal,
    };
    let work = job.run(&mut encoders, &writer, &parts)?;
    let mut summary = Summary::new(path.clone(), &manifest, tokens.counts, &work);
    if work.complete && options.self_check > 0 {
        summary.self_check = Some(check(
            &path,
            &prepared,
            &mut encoders[0],
            options.self_check,
        )?);
    }
    summary.startup = startup;
    summary.setup = setup;
    summary.peak_memory = shared::resources::peak_memory();
    report(&summary, options, terminal);
    if work.interrupted {
        terminal.warn("stopped by a signal; run the same command again to go on");
        return Ok(ExitStatus::Interrupted);
    }
    if !work.complete {
        terminal.status(format!(
            "share {shard} is done; the store is complete when the others are"
        ));
    }
    Ok(ExitStatus::Success)
}

/// The manifest of the store that was begun, if it is to be finished.
fn begun(options: &ExtractOptions, path: &Path) -> Option<Manifest> {
    let found = cache::inspect::inspect(path).ok()?;
    // One without a part is begun anew if anything else is wanted; but on a GPU, where sizes are chosen, another process
    // may have begun it just now.
    let counts = found.complete || found.parts_done > 0 || found.manifest.provider != "cpu";
    (counts && !options.input.overwrite).then_some(found.manifest)
}

/// What is asked for of the encoder. Rounding depends on the size of batches, so a store that is there is finished with its own
/// unless another is asked for.
fn asked(options: &ExtractOptions, prepared: &mut Prepared, stored: Option<&Manifest>) -> Asked {
    let by_store = prepared.max_batch_tokens.is_none();
    let stored = stored.map(|manifest| manifest.max_batch_tokens);
    prepared.max_batch_tokens = prepared.max_batch_tokens.or(stored);
    Asked {
        tokens: prepared.max_batch_tokens,
        by_store,
        lanes: options.lanes,
    }
}

/// Whether the store is there already, whole and of the same identity; an error if it is of another.
fn is_finished(
    path: &Path,
    wanted: &Manifest,
    prepared: &Prepared,
    terminal: &Terminal,
) -> Result<bool, CliError> {
    let store = match Store::open(path, Io::Read) {
        Ok(store) => store,
        // What is not finished is compared when it is opened for writing.
        Err(StoreError::NoStore { .. } | StoreError::Incomplete { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let stored = store.manifest();
    let mut wanted = wanted.clone();
    // Sizes follow from what is compared anyway; `auto` takes what there is, and what there is is done.
    wanted.splits.clone_from(&stored.splits);
    wanted.long_sentences = stored.long_sentences;
    if prepared.encoder.device == Device::Auto {
        wanted.provider.clone_from(&stored.provider);
    }
    if prepared.part_bytes.is_none() {
        wanted.part_files = stored.part_files;
    }
    let is_version = |difference: &FieldDifference| difference.field.starts_with("versions.");
    let (versions, differences): (Vec<_>, Vec<_>) = stored
        .differences(&wanted)
        .into_iter()
        .partition(is_version);
    if !differences.is_empty() {
        return Err(StoreError::Identity {
            path: path.to_owned(),
            differences,
        }
        .into());
    }
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
        let line = serde_json::json!({ "store": path, "identity": store.identity(), "state": "complete", "tokens_encoded": 0 });
        terminal.result(line.to_string());
    }
    Ok(ExitStatus::Success)
}

/// Does something and tells how long it took.
fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = std::time::Instant::now();
    let done = work();
    *seconds = started.elapsed().as_secs_f64();
    done
}

fn load(
    prepared: &mut Prepared,
    tokens: &Tokens,
    seconds: &mut f64,
    terminal: &Terminal,
) -> Result<Encoder, CliError> {
    let encoder = timed(seconds, || prepared.load())?;
    for note in encoder.notes() {
        terminal.warn(note);
    }
    terminal.status(format!(
        "encoder    on {}, {} threads, ready after {seconds:.1} s",
        encoder.provider(),
        prepared.encoder.threads,
    ));
    let largest = tokens
        .tables
        .iter()
        .flat_map(|table| table.input_ids.iter().copied())
        .max();
    let vocabulary = encoder.vocabulary();
    match largest.filter(|&id| id as usize >= vocabulary) {
        Some(id) => Err(CliError::usage(
            format!(
                "{}: the tokenizer gives token {id}, but the encoder's vocabulary ends at {vocabulary}",
                prepared.files.folder.display()
            ),
            "tokenizer and weights are not of the same model: get both from one place",
        )),
        None => Ok(encoder),
    }
}

/// Opens the store to go on with it, or to begin it. One of other activations is in the way, but not if nothing of it
/// is done: that is what a run leaves whose options turned out wrong.
fn open(
    path: &Path,
    manifest: &Manifest,
    tokens: &Tokens,
    overwrite: bool,
) -> Result<Opened, CliError> {
    let mode = if overwrite {
        OpenMode::Overwrite
    } else {
        OpenMode::Resume
    };
    match StoreWriter::open(path, manifest, &tokens.tables, mode) {
        Err(error @ StoreError::Identity { .. }) => {
            let found = cache::inspect::inspect(path)?;
            if found.complete || found.parts_done > 0 {
                return Err(error.into());
            }
            Ok(StoreWriter::open(
                path,
                manifest,
                &tokens.tables,
                OpenMode::Overwrite,
            )?)
        }
        opened => Ok(opened?),
    }
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

/// Compares some sequences with the store; a store that fails is moved out of the way, so that nobody trains on it.
fn check(
    path: &Path,
    prepared: &Prepared,
    encoder: &mut Encoder,
    count: usize,
) -> Result<crate::job::CheckReport, CliError> {
    let checked = Store::open(path, Io::Read)
        .map_err(CheckError::from)
        .and_then(|store| self_check(&store, encoder, prepared.encoder.dtype, count));
    checked.map_err(|error| {
        let mismatch = matches!(error, CheckError::Mismatch { .. });
        let mut error = CliError::from(error);
        if mismatch {
            let rejected = path.with_extension("zarr.rejected");
            let moved = move_over(path, &rejected);
            error.hints.push(match moved {
                Ok(()) => format!(
                    "the store was moved to {}: do not train on it",
                    rejected.display()
                ),
                Err(error) => format!("do not train on the store; moving it away failed: {error}"),
            });
        }
        error
    })
}

/// Renames a folder, in the place of one that may be there from before.
fn move_over(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs_err::remove_dir_all(to)?;
    }
    fs_err::rename(from, to)
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
