//! Checking the files of hidden states: every chunk's checksum, the index, the statistics.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use super::{DonePart, Meter, Problem, ProblemKind};
use crate::LayerSummary;
use crate::record::{FileRecord, record_path};
use crate::rows::{self, rounded};
use crate::{LayerStatistics, Manifest, SplitLayout, StoreDtype, StoreError, shard};

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
                .map(|(&number, record)| {
                    check_file(store, &part.layout, number, record, dtype, &meter)
                })
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
    // Rounding keeps order, so the extremes round to each other; the mean moves by less than one rounding.
    let tolerance = match dtype {
        StoreDtype::F32 => 1e-6,
        StoreDtype::F16 => 1e-3,
        StoreDtype::Bf16 => 1e-2,
    };
    let mean = found.mean_absolute();
    found.minimum() == rounded(dtype, recorded.minimum)
        && found.maximum() == rounded(dtype, recorded.maximum)
        && (found.values, found.nan, found.infinite)
            == (recorded.values, recorded.nan, recorded.infinite)
        && (mean - recorded.mean_absolute).abs() <= tolerance * mean.abs() + 1e-7
}

fn check_file(
    store: &Path,
    layout: &SplitLayout,
    number: u64,
    record: &FileRecord,
    dtype: StoreDtype,
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
    let failed = |error| crate::storage::named(&path, error);
    let found = file.metadata().map_err(failed)?.len();
    if found != record.length {
        meter.add(record.length);
        let detail = format!("has {found} bytes, expected {}", record.length);
        return Ok(Checked::Wrong(ProblemKind::Damaged, detail));
    }
    check_chunks(&file, layout, number, record, dtype, meter).map_err(failed)
}

fn check_chunks(
    file: &File,
    layout: &SplitLayout,
    number: u64,
    record: &FileRecord,
    dtype: StoreDtype,
    meter: &Meter<'_>,
) -> std::io::Result<Checked> {
    let present = layout.chunks_of_file(number);
    let tokens = layout.tokens_of_file(number);
    let mut statistics = vec![LayerStatistics::default(); layout.layers];
    let mut damaged = Vec::new();
    let mut checksums = Vec::new();
    let mut slot = vec![0; usize::try_from(layout.slot_bytes()).unwrap_or(usize::MAX)];
    let mut values = vec![0.0; layout.hidden];
    let row_bytes = usize::try_from(layout.row_bytes).unwrap_or(usize::MAX);
    for chunk in 0..present {
        file.read_exact_at(&mut slot, chunk * layout.slot_bytes())?;
        let (bytes, stated) = slot.split_at(slot.len() - 4);
        let checksum = crc32c::crc32c(bytes);
        if checksum.to_le_bytes() != stated {
            damaged.push(chunk);
        }
        checksums.push(checksum);
        let first = tokens.start + chunk * layout.chunk_tokens;
        let rows =
            usize::try_from((tokens.end - first).min(layout.chunk_tokens)).unwrap_or(usize::MAX);
        for row in bytes.chunks_exact(row_bytes).take(rows) {
            for (layer, stats) in row
                .chunks_exact(row_bytes / layout.layers)
                .zip(&mut statistics)
            {
                rows::decode(dtype, layer, &mut values);
                stats.add(&values, f32::INFINITY);
            }
        }
        meter.add(layout.slot_bytes());
    }
    let expected = shard::index(layout.file_chunks, present, layout.slot_bytes());
    let mut index = vec![0; expected.len()];
    file.read_exact_at(&mut index, present * layout.slot_bytes())?;
    meter.add(expected.len() as u64);
    let found = shard::checksum_text(shard::file_checksum(checksums));
    let wrong = |detail| Ok(Checked::Wrong(ProblemKind::Damaged, detail));
    if !damaged.is_empty() {
        return wrong(format!(
            "wrong checksum of the inner chunks {damaged:?} of {present}"
        ));
    }
    if index != expected {
        return wrong("the index is damaged".to_owned());
    }
    if found != record.crc32c {
        return wrong(format!(
            "is not the file that was written (checksum {found}, expected {})",
            record.crc32c
        ));
    }
    Ok(Checked::Sound(statistics))
}
