//! Whether the disk has room for a store, and what would fit where it has not.

use std::path::Path;

use cache::StoreDtype;
use shared::size::format_bytes;

use super::error::ExtractError;
use super::extraction::Extraction;
use crate::plan::Tokens;

/// What words, ids, offsets and labels take for a token, roughly.
const TABLE_BYTES: u64 = 32;

/// An error if the disk has no room for what is still to be written at `path`.
///
/// # Errors
/// [`ExtractError::Space`], with what would fit.
pub fn check_space(
    path: &Path,
    extraction: &Extraction,
    tokens: &Tokens,
) -> Result<(), ExtractError> {
    let free = free_for_store(path)?;
    if free >= needed_space(extraction, tokens) {
        return Ok(());
    }
    Err(too_little_space(path, extraction, tokens, free))
}

/// Bytes of the finished store.
#[must_use]
pub fn needed_space(extraction: &Extraction, tokens: &Tokens) -> u64 {
    store_bytes(tokens.counts.tokens, extraction.row_bytes() as u64)
}

/// Bytes of a finished store of so many tokens, without compression.
#[must_use]
pub fn store_bytes(tokens: u64, row_bytes: u64) -> u64 {
    tokens * (row_bytes + TABLE_BYTES)
}

/// Bytes that the disk has for a store at `path`: what an overwritten store frees counts as well as
/// what a resumed one keeps.
///
/// # Errors
/// The file system fails.
pub fn free_for_store(path: &Path) -> std::io::Result<u64> {
    let there = if path.is_dir() {
        size_on_disk(path)?
    } else {
        0
    };
    Ok(shared::resources::free_space(path)?.saturating_add(there))
}

/// The error that says what is missing where `free` bytes are free, and what would fit.
#[must_use]
pub fn too_little_space(
    path: &Path,
    extraction: &Extraction,
    tokens: &Tokens,
    free: u64,
) -> ExtractError {
    let layers = extraction.model.layers.len() as u64;
    let row_bytes = extraction.row_bytes() as u64;
    let mut hints = vec![what_fits(free, tokens.counts.tokens, row_bytes, layers)];
    if row_bytes > layers * extraction.model.hidden as u64 * 2 {
        hints.push("--store-dtype f16 takes half of it".to_owned());
    }
    let smallest = layers * StoreDtype::I4.vector_bytes(extraction.model.hidden) as u64;
    if row_bytes > smallest {
        let bytes = format_bytes(store_bytes(tokens.counts.tokens, smallest));
        hints.push(format!("--store-dtype i4 takes {bytes}"));
    }
    ExtractError::Space {
        path: path.to_owned(),
        needed: needed_space(extraction, tokens),
        free,
        hints,
    }
}

/// How many of the layers have room in `free` bytes.
fn what_fits(free: u64, tokens: u64, row_bytes: u64, layers: u64) -> String {
    let layer = (tokens * row_bytes / layers).max(1);
    match free.saturating_sub(tokens * TABLE_BYTES) / layer {
        0 => format!(
            "a single layer takes {}: choose another --out, or make room",
            format_bytes(layer)
        ),
        fitting => format!(
            "{fitting} of the {layers} layers would fit, {} each: --layers with a list such as 0,4-8,-1",
            format_bytes(layer)
        ),
    }
}

/// Bytes of all files below a folder; what other processes take away meanwhile does not count.
///
/// # Errors
/// The file system fails.
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
