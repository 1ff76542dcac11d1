//! Whether the disk has room for a store, and what would fit where it has not.

use std::path::Path;

use super::error::CliError;
use super::prepare::Prepared;
use crate::job::bytes;
use crate::plan::Tokens;

/// What words, ids, offsets and labels take for a token, roughly.
const TABLE_BYTES: u64 = 32;

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

/// Bytes of the finished store.
pub(super) fn needed(prepared: &Prepared, tokens: &Tokens) -> u64 {
    tokens.counts.tokens * (prepared.row_bytes() as u64 + TABLE_BYTES)
}

/// The error that says what is missing and what would fit; `there` bytes count as free.
pub(super) fn too_small(
    path: &Path,
    prepared: &Prepared,
    tokens: &Tokens,
    there: u64,
) -> Result<CliError, CliError> {
    let free = shared::resources::free_space(path)?.saturating_add(there);
    let layers = prepared.layers() as u64;
    let more_than_halves = prepared.row_bytes() as u64 > layers * prepared.shape.hidden as u64 * 2;
    let fitting = what_fits(
        free,
        tokens.counts.tokens,
        prepared.row_bytes() as u64,
        layers,
    );
    let mut hints = vec![fitting];
    if more_than_halves {
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
            "{fitting} of the {layers} layers would fit, {} each: --layers with a list such as 0,4-8,-1",
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
