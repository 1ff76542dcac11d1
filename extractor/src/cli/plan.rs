//! `extractor plan`: how much an extraction would encode and write, before it does.

use std::path::Path;

use serde_json::{Value, json};
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::PlanOptions;
use super::prepare::Prepared;
use crate::hub::model::Need;
use crate::job::bytes;
use crate::plan::Tokens;

/// What words, ids, offsets and labels take for a token, roughly.
const TABLE_BYTES: u64 = 32;

pub(super) fn run(options: &PlanOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let mut prepared = Prepared::new(
        &options.input,
        Need::Description,
        terminal,
        &shared::signals::install()?,
    )?;
    // Not read for a plan: the digest of the weights.
    let manifest = prepared.manifest(String::new())?;
    let tokens = prepared.tokens(terminal)?;
    let row_bytes = prepared.row_bytes() as u64;
    let mut files = 0;
    let mut splits = serde_json::Map::new();
    for (name, size) in &tokens.sizes {
        let split_files = size.tokens.div_ceil(manifest.file_tokens);
        files += split_files;
        let line = json!({
            "sentences": size.sentences, "sequences": size.sequences, "words": size.words,
            "tokens": size.tokens, "bytes": size.tokens * row_bytes, "files": split_files,
        });
        terminal.status(format!(
            "{:<10} {} sentences, {} tokens, {} in {split_files} files",
            name.to_string(),
            size.sentences,
            size.tokens,
            bytes(size.tokens * row_bytes)
        ));
        splits.insert(name.to_string(), line);
    }
    let total = tokens.counts.tokens * row_bytes;
    let layer = total / prepared.layers() as u64;
    terminal.status(format!(
        "total      {} tokens, {} ({} a layer)",
        tokens.counts.tokens,
        bytes(total),
        bytes(layer)
    ));
    let free = prepared
        .store
        .as_deref()
        .map(shared::resources::free_space)
        .transpose()?;
    let fits = free.map(|free| free >= needed(&prepared, &tokens));
    if let (Some(path), Some(free)) = (&prepared.store, free) {
        let verdict = if fits == Some(true) {
            "it fits"
        } else {
            "it does not fit"
        };
        terminal.status(format!(
            "store      {}: {} free, {verdict}",
            path.display(),
            bytes(free)
        ));
    }
    let seconds = options
        .tokens_per_second
        .map(|speed| seconds(tokens.counts.tokens, speed))
        .transpose()?;
    terminal.status(match seconds {
        Some(seconds) => format!("time       about {:.0} minutes", (seconds / 60.0).ceil()),
        None => "time       not estimated, the weights are not loaded; --tokens-per-second N of an earlier run tells".to_owned(),
    });
    if options.json {
        let plan = json!({
            "model": manifest.model.id, "family": manifest.model.family, "dataset": manifest.dataset, "layers": manifest.layers,
            "splits": Value::Object(splits), "counts": tokens.counts,
            "bytes": total, "bytes_per_layer": layer, "files": files,
            "store": prepared.store, "free_bytes": free, "fits": fits, "seconds": seconds,
        });
        terminal.result(plan.to_string());
    }
    match prepared.store.as_deref() {
        Some(path) if fits == Some(false) => Err(too_small(path, &prepared, &tokens, 0)?),
        _ => Ok(ExitStatus::Success),
    }
}

/// An error if the disk has no room for what is still to be written.
pub(super) fn check_space(
    path: &Path,
    prepared: &Prepared,
    tokens: &Tokens,
) -> Result<(), CliError> {
    let there = if path.is_dir() {
        size_on_disk(path)?
    } else {
        0
    };
    let free = shared::resources::free_space(path)?;
    // What an overwritten store frees counts as well as what a resumed one keeps.
    if free.saturating_add(there) >= needed(prepared, tokens) {
        return Ok(());
    }
    Err(too_small(path, prepared, tokens, there)?)
}

fn needed(prepared: &Prepared, tokens: &Tokens) -> u64 {
    tokens.counts.tokens * (prepared.row_bytes() as u64 + TABLE_BYTES)
}

fn too_small(
    path: &Path,
    prepared: &Prepared,
    tokens: &Tokens,
    there: u64,
) -> Result<CliError, CliError> {
    let free = shared::resources::free_space(path)?.saturating_add(there);
    let layers = prepared.layers() as u64;
    let halves = prepared.row_bytes() as u64 == layers * prepared.shape.hidden as u64 * 2;
    let fitting = what_fits(
        free,
        tokens.counts.tokens,
        prepared.row_bytes() as u64,
        layers,
    );
    let mut hints = vec![fitting];
    if !halves {
        hints.push("--store-dtype f16 takes half of it".to_owned());
    }
    Ok(CliError::space(path, needed(prepared, tokens), free, hints))
}

/// How many of the layers have room in `free` bytes.
fn what_fits(free: u64, tokens: u64, row_bytes: u64, layers: u64) -> String {
    let layer = (tokens * row_bytes / layers).max(1);
    match free.saturating_sub(tokens * TABLE_BYTES) / layer {
        0 => format!(
            "a single layer takes {}: choose another --out, or make room",
            bytes(layer)
        ),
        fitting => format!(
            "{fitting} of the {layers} layers would fit (--layers), {} each",
            bytes(layer)
        ),
    }
}

/// Bytes of all files below a folder; what other processes take away meanwhile does not count.
fn size_on_disk(folder: &Path) -> std::io::Result<u64> {
    let there = |result: std::io::Result<u64>| match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        result => result,
    };
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += there(size_on_disk(&entry.path()))?;
        } else if kind.is_file() {
            bytes += there(entry.metadata().map(|file| file.len()))?;
        }
    }
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(tokens: u64, speed: f64) -> Result<f64, CliError> {
    if speed.is_finite() && speed > 0.0 {
        return Ok(tokens as f64 / speed);
    }
    Err(CliError::usage(
        format!("--tokens-per-second {speed} is no speed"),
        "give what `extractor` reported at the end of a run",
    ))
}

#[cfg(test)]
mod tests {
    use super::what_fits;

    #[test]
    fn where_not_all_layers_fit_it_says_how_many_do() {
        // 1000 tokens of 25 layers, 2048 bytes each: 2 MB a layer, and 32 kB of tables.
        assert!(what_fits(10_000_000, 1000, 25 * 2048, 25).starts_with("4 of the 25 layers"));
        assert!(what_fits(2_080_000, 1000, 25 * 2048, 25).starts_with("1 of the 25 layers"));
        assert!(
            what_fits(2_070_000, 1000, 25 * 2048, 25).starts_with("a single layer takes 2.0 MB")
        );
    }
}
