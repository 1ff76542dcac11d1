//! Checking the files of hidden states: every chunk's checksum, the index, the statistics.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use super::{DonePart, Meter, Problem, ProblemKind};
use crate::layout::record::{FileRecord, record_path};
use crate::layout::shard;
use crate::read::chunks;
use crate::rows::{self, rounded};
use crate::{LayerStatistics, LayerSummary, Manifest, SplitLayout, StoreDtype, StoreError};

/// What a file of hidden states turned out to be.
enum Checked {
    /// Sound, with these statistics.
    Sound(Vec<LayerStatistics>),
    Wrong(ProblemKind, String),
}

/// Checks the files of all finished parts in parallel; gives the bytes read and the problems.
pub(super) fn check(
    store: &Path,
    manifest: &Manifest,
    parts: &[DonePart],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(u64, Vec<Problem>), StoreError> {
    let total = parts
        .iter()
        .flat_map(|part| &part.record.files)
        .map(|file| file.length)
        .sum();
    let meter = Meter {
        checked: AtomicU64::new(0),
        total,
        report: progress,
    };
    let dtype = manifest.store_dtype;
    let problems: Vec<Vec<Problem>> = parts
        .par_iter()
        .map(|part| {
            let numbers: Vec<u64> = part.layout.files_of_part(part.index).collect();
            let checked: Vec<Checked> = numbers
                .par_iter()
                .zip(&part.record.files)
                .map(|(&number, record)| check_file(store, &part.layout, number, record, &meter))
                .collect::<Result<_, _>>()?;
            Ok(part_problems(store, part, &numbers, checked, dtype))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok((total, problems.into_iter().flatten().collect()))
}

/// What is wrong with the files of a part or, if they are sound, with its statistics.
fn part_problems(
    store: &Path,
    part: &DonePart,
    numbers: &[u64],
    checked: Vec<Checked>,
    dtype: StoreDtype,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut layers = vec![LayerStatistics::default(); part.layout.layers];
    for (&number, checked) in numbers.iter().zip(checked) {
        match checked {
            Checked::Sound(statistics) => {
                layers
                    .iter_mut()
                    .zip(&statistics)
                    .for_each(|(layer, other)| layer.merge(other));
            }
            Checked::Wrong(kind, detail) => {
                problems.push(Problem::new(part.layout.file_path(number), kind, detail));
            }
        }
    }
    if problems.is_empty() {
        let wrong = (0..).zip(layers.iter().zip(&part.record.statistics));
        problems.extend(
            wrong
                .filter(|(_, (found, recorded))| !agree(dtype, found, recorded))
                .map(|(layer, (found, recorded))| {
                    let found = LayerSummary::from(found);
                    let detail = format!(
                        "layer {layer} has other statistics than recorded: {found:?}, {recorded:?}"
                    );
                    let path = record_path(store, part.layout.split, part.index);
                    let path = path.strip_prefix(store).map(Path::to_owned).unwrap_or(path);
                    Problem::new(path, ProblemKind::Damaged, detail)
                }),
        );
    }
    for problem in &mut problems {
        problem.part = Some((part.layout.split, part.index));
    }
    problems
}

#[expect(
    clippy::float_cmp,
    reason = "rounding keeps order: extremes must be the same bits"
)]
/// Whether statistics of stored values are those of the values before they were rounded.
fn agree(dtype: StoreDtype, found: &LayerStatistics, recorded: &LayerSummary) -> bool {
    let counts = (found.values, found.nan, found.infinite);
    let same_counts = counts == (recorded.values, recorded.nan, recorded.infinite);
    if dtype == StoreDtype::I4 {
        return same_counts && within_error(found, recorded);
    }
    if dtype == StoreDtype::I8 {
        // Every value, and so extremes and mean, moves by at most half a step of the largest vector.
        let largest = recorded.minimum.abs().max(recorded.maximum.abs());
        let step = f64::from(largest) / f64::from(rows::STEPS) * 0.5001 + 1e-37;
        let close = |one: f64, other: f64| (one - other).abs() <= step;
        return same_counts
            && close(found.minimum().into(), recorded.minimum.into())
            && close(found.maximum().into(), recorded.maximum.into())
            && close(found.mean_absolute(), recorded.mean_absolute);
    }
    // Rounding keeps order, so the extremes round to each other; the mean moves by less than one rounding.
    let tolerance = match dtype {
        StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => 1e-6,
        StoreDtype::F16 => 1e-3,
        StoreDtype::Bf16 => 1e-2,
    };
    let mean = found.mean_absolute();
    found.minimum() == rounded(dtype, recorded.minimum)
        && found.maximum() == rounded(dtype, recorded.maximum)
        && same_counts
        && (mean - recorded.mean_absolute).abs() <= tolerance * mean.abs() + 1e-7
}

/// Whether the mean moved no further than the error that is recorded with it allows: the mean of the differences is at
/// most their root mean square, which is at most the error times the largest value. Extremes may move by more.
fn within_error(found: &LayerStatistics, recorded: &LayerSummary) -> bool {
    let largest = f64::from(recorded.minimum.abs().max(recorded.maximum.abs()));
    let moved = (found.mean_absolute() - recorded.mean_absolute).abs();
    let known = recorded.error.is_some_and(f64::is_finite) || recorded.values == 0;
    known && moved <= recorded.error.unwrap_or_default() * largest * 1.001 + 1e-7
}

fn check_file(
    store: &Path,
    layout: &SplitLayout,
    number: u64,
    record: &FileRecord,
    meter: &Meter<'_>,
) -> Result<Checked, StoreError> {
    let path = store.join(layout.file_path(number));
    let file = match fs_err::File::open(&path) {
        Ok(file) => file.into_file(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            meter.add(record.length);
            return Ok(Checked::Wrong(
                ProblemKind::Missing,
                "is missing".to_owned(),
            ));
        }
        Err(error) => return Err(StoreError::io(error)),
    };
    let failed = |error| crate::error::named(&path, error);
    let found = file.metadata().map_err(failed)?.len();
    if found != record.length {
        meter.add(record.length);
        let detail = format!("has {found} bytes, expected {}", record.length);
        return Ok(Checked::Wrong(ProblemKind::Damaged, detail));
    }
    check_chunks(&file, layout, number, record, meter).map_err(failed)
}

fn check_chunks(
    file: &File,
    layout: &SplitLayout,
    number: u64,
    record: &FileRecord,
    meter: &Meter<'_>,
) -> std::io::Result<Checked> {
    let wrong = |detail| Ok(Checked::Wrong(ProblemKind::Damaged, detail));
    let Some(stated) = chunks::read_chunks(layout, number, file, record.length)? else {
        meter.add(record.length);
        return wrong("the index is damaged".to_owned());
    };
    let mut statistics = vec![LayerStatistics::default(); layout.layers];
    let mut damaged = Vec::new();
    let mut stored = Vec::new();
    for (place, chunk) in (0..).zip(&stated) {
        stored.resize(chunk.length(), 0);
        file.read_exact_at(&mut stored, chunk.bytes.start)?;
        meter.add(chunk.bytes.end - chunk.bytes.start + shard::CHECKSUM_BYTES);
        if !chunk.is_sound(&stored) {
            damaged.push(place);
        } else if layout.codec.is_none() {
            count(layout, number, place, &stored, &mut statistics);
        } else {
            match chunks::decode(layout, &stored) {
                Ok(rows) => count(layout, number, place, &rows, &mut statistics),
                Err(what) => return wrong(format!("inner chunk {place} {what}")),
            }
        }
    }
    meter.add(layout.index_bytes());
    match damaged[..] {
        [] => {}
        [chunk] => return wrong(chunks::damaged_chunk(layout, number, chunk)),
        _ => {
            let present = stated.len();
            return wrong(format!(
                "wrong checksum of the inner chunks {damaged:?} of {present}"
            ));
        }
    }
    let found = chunks::file_checksum(&stated);
    if found != record.crc32c {
        return wrong(chunks::other_file(&found, &record.crc32c));
    }
    Ok(Checked::Sound(statistics))
}

/// Counts the values of the rows in an inner chunk of a file, without what fills up the last one.
fn count(
    layout: &SplitLayout,
    file: u64,
    chunk: u64,
    rows: &[u8],
    statistics: &mut [LayerStatistics],
) {
    let tokens = layout.tokens_of_file(file);
    let first = tokens.start + chunk * layout.chunk_tokens;
    let kept = usize::try_from((tokens.end - first).min(layout.chunk_tokens)).unwrap_or(usize::MAX);
    let row_bytes = usize::try_from(layout.row_bytes).unwrap_or(usize::MAX);
    let mut values = vec![0.0; layout.hidden];
    for row in rows.chunks_exact(row_bytes).take(kept) {
        let layers = row.chunks_exact(row_bytes / layout.layers);
        for (layer, stats) in layers.zip(&mut *statistics) {
            rows::decode(layout.dtype, layout.hidden, layer, &mut values);
            stats.add(&values, f32::INFINITY);
        }
    }
}
