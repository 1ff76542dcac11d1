//! Where heads find the activations of a split: in the store, for heads on the CPU; else in the memory of
//! a GPU, either all of them or, where there is no room, batch by batch.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use cache::{Hidden, SplitReader, StoreDtype};
use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use super::LoadError;
use crate::activations::device::{DeviceRows, Format, Layout, Picked, SplitMeans, stored_kind};
use crate::activations::memory::{Shared, pinned, with_bytes_mut};
use crate::activations::{Batch, BatchError};

/// Where heads find the activations of a split.
#[derive(Debug, Default)]
pub enum Placement {
    /// In the store.
    #[default]
    Stored,
    /// All in the memory of a device.
    Resident(Arc<Resident>),
    /// Copied to a device batch by batch.
    Streamed(Stream),
}

/// Most bytes of a split that are copied to a device at once.
const PIECE: usize = 256 << 20;
/// Fewest pieces in which a split is copied.
const PIECES: usize = 4;

/// Parts of a piece that are read and checked side by side.
const PARTS: usize = 32;

/// Bytes that a thread copies at once.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Pinned buffers of a [`Stream`]: one is filled while the GPU reads the others.
const BUFFERS: usize = 3;

/// Memory that training needs besides the store, in times of a batch's activations as float32: five
/// batches that are prefetched, and what attention fusion, or a head group, computes from one.
const BATCHES: u64 = 24;

/// Room for libtorch's kernels, the head and its optimiser.
const WORKSPACE: u64 = 1 << 30;

/// Whether `resident` bytes of activations, as stored, can be kept on a GPU with `free` bytes in a
/// training with batches of `batch_tokens` tokens.
#[must_use]
pub const fn fits(resident: u64, free: u64, batch_tokens: u64, layers: u64, hidden: u64) -> bool {
    let batch = batch_tokens.saturating_mul(layers * hidden * 4);
    let working = batch.saturating_mul(BATCHES).saturating_add(WORKSPACE);
    resident.saturating_add(working) <= free
}

/// Vectors of a store as a tensor has them.
#[derive(Clone, Copy, Debug)]
struct Shape {
    dtype: StoreDtype,
    layers: usize,
    hidden: usize,
}

impl Shape {
    fn from_reader(reader: &SplitReader) -> Self {
        let layout = reader.layout();
        Self {
            dtype: layout.dtype,
            layers: layout.layers,
            hidden: layout.hidden,
        }
    }

    fn row_bytes(self) -> usize {
        self.layers * self.dtype.vector_bytes(self.hidden)
    }

    /// Room for so many rows.
    fn empty(self, rows: usize, device: Device) -> Result<Tensor, TchError> {
        let (kind, numbers) = self.kind();
        let shape =
            [rows, self.layers, numbers].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        Tensor::f_empty(shape, (kind, device))
    }

    fn kind(self) -> (Kind, usize) {
        stored_kind(self.dtype, self.hidden)
    }

    fn format(self) -> Format {
        Format::new(self.dtype, self.hidden)
    }
}

/// A whole split in the memory of a device, in the store's number format.
#[derive(Debug)]
pub struct Resident {
    /// `[tokens, layers, as stored]`
    rows: Shared,
    format: Format,
    device: Device,
    /// None where there is no room for them.
    means: Option<Arc<SplitMeans>>,
}

impl Resident {
    /// Copies all activations of a split to `device`, with checksums if the store was opened so; `loaded`
    /// is called with the number of tokens of every piece.
    ///
    /// # Errors
    /// The store cannot be read, or the device has no room.
    pub fn load(
        reader: &SplitReader,
        device: Device,
        mut loaded: impl FnMut(u64),
    ) -> Result<Self, LoadError> {
        let shape = Shape::from_reader(reader);
        let tokens = reader.tokens();
        let at_once = PIECE / shape.row_bytes().max(1);
        let at_once = at_once.min(tokens.div_ceil(PIECES)).max(1);
        let rows = shape.empty(tokens, device).map_err(LoadError::Device)?;
        let buffer = shape.empty(at_once, Device::Cpu);
        let buffer = buffer
            .and_then(|buffer| pinned(&buffer, device))
            .map_err(LoadError::Device)?;
        for first in (0..tokens).step_by(at_once) {
            let end = tokens.min(first + at_once);
            let part = (end - first).div_ceil(PARTS);
            let parts = (first..end).into_par_iter().step_by(part);
            let parts = parts.map(|first| reader.rows(first as u64..end.min(first + part) as u64));
            let stored: Vec<Hidden<'_>> = parts.collect::<Result<_, _>>()?;
            let copied = fill(&buffer, &stored, end - first)
                .and_then(|filled| narrow(&rows, first, end - first)?.f_copy_(&filled));
            copied.map_err(LoadError::Device)?;
            loaded((end - first) as u64);
        }
        let (layers, hidden) = (shape.layers, shape.hidden);
        let offsets = reader.offsets().to_vec();
        let means = SplitMeans::new(&rows, shape.dtype, (layers, hidden), offsets);
        Ok(Self {
            rows: Shared::new(rows),
            format: shape.format(),
            device,
            means: Some(Arc::new(means)),
        })
    }

    /// The same without the means of the whole split: every batch has its own computed.
    #[must_use]
    pub fn without_means(self) -> Self {
        Self {
            means: None,
            ..self
        }
    }

    /// The rows of these sequences, whose tokens are `tokens`.
    fn batch(
        &self,
        sequences: &[usize],
        tokens: &[Range<u64>],
        offsets: &[usize],
    ) -> Result<DeviceRows, TchError> {
        let mut places: Vec<i64> = Vec::new();
        places.extend(tokens.iter().cloned().flatten().map(u64::cast_signed));
        let count = places.len();
        if let Some(means) = &self.means {
            places.extend(means.places(sequences));
        }
        let (layout, places) = Layout::with(offsets, &places, self.device)?;
        let stored = self.rows.get();
        let stored = stored.f_index_select(0, &narrow(&places, 0, count)?)?;
        let rows = self.format.widened(&stored)?;
        let picked = Picked {
            places: Shared::new(places),
            tokens: count,
        };
        let means = self.means.as_ref().map(|means| (Arc::clone(means), picked));
        Ok(DeviceRows::laid_out(rows, layout, means))
    }
}

/// Copies batches to a device through pinned buffers, of which it reads one while the next is filled.
#[derive(Debug)]
pub struct Stream {
    ring: Mutex<Ring>,
    shape: Shape,
    format: Format,
    device: Device,
}

#[derive(Debug, Default)]
struct Ring {
    buffers: Vec<Tensor>,
    /// The next one to be filled.
    next: usize,
    /// What was copied to the device last.
    last: Option<Tensor>,
}

impl Stream {
    /// For the batches of this split.
    #[must_use]
    pub fn new(reader: &SplitReader, device: Device) -> Self {
        let shape = Shape::from_reader(reader);
        Self {
            ring: Mutex::default(),
            format: shape.format(),
            shape,
            device,
        }
    }

    /// The rows of `sequences`. The copy may still be under way; what is computed with them waits for it.
    fn batch(&self, sequences: &[Hidden<'_>], offsets: &[usize]) -> Result<DeviceRows, TchError> {
        let tokens = offsets.last().copied().unwrap_or(0);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = ring.buffer(tokens, self.shape, self.device)?;
        let filled = fill(&buffer, sequences, tokens)?;
        let stored = filled.f_to_device_(self.device, self.shape.kind().0, true, true)?;
        ring.last = Some(stored.shallow_clone());
        drop(ring);
        let rows = self.format.widened(&stored)?;
        DeviceRows::new(rows, offsets)
    }
}

impl Ring {
    /// A buffer for so many rows that the device does not read any more.
    fn buffer(&mut self, rows: usize, shape: Shape, device: Device) -> Result<Tensor, TchError> {
        if self.next == BUFFERS {
            self.wait()?;
            self.next = 0;
        }
        let place = self.next;
        self.next += 1;
        let large =
            |buffer: &&Tensor| buffer.size().first() >= Some(&i64::try_from(rows).unwrap_or(0));
        if let Some(buffer) = self.buffers.get(place).filter(large) {
            return Ok(buffer.shallow_clone());
        }
        // Some rows more than needed, so that not every batch that is the largest so far needs a new buffer.
        let buffer = pinned(&shape.empty(rows + rows / 4, Device::Cpu)?, device)?;
        self.buffers.truncate(place);
        self.buffers.push(buffer.shallow_clone());
        Ok(buffer)
    }

    /// Waits until everything has been copied: to fetch a number waits for all operations before it.
    fn wait(&mut self) -> Result<(), TchError> {
        if let Some(last) = self.last.take().filter(|last| last.numel() > 0) {
            let first = last.f_flatten(0, -1)?.f_narrow(0, 0, 1)?;
            drop(first.f_to_device(Device::Cpu)?);
        }
        Ok(())
    }
}

/// Fills the first `rows` rows of a buffer, which are returned.
fn fill(buffer: &Tensor, sequences: &[Hidden<'_>], rows: usize) -> Result<Tensor, TchError> {
    let mut filled = narrow(buffer, 0, rows)?;
    let done = with_bytes_mut(&mut filled, |bytes| {
        let mut rest = bytes;
        let mut copies = Vec::new();
        let pieces = sequences.iter().flat_map(Hidden::pieces);
        for piece in pieces.flat_map(|piece| piece.chunks(COPIED_AT_ONCE)) {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(piece.len());
            copies.push((own, piece));
            rest = others;
        }
        copies
            .into_par_iter()
            .for_each(|(own, piece)| own.copy_from_slice(piece));
    });
    done.ok_or_else(|| TchError::Shape("a buffer that is not in main memory".to_owned()))?;
    Ok(filled)
}

fn narrow(rows: &Tensor, first: usize, count: usize) -> Result<Tensor, TchError> {
    let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    rows.f_narrow(0, number(first), number(count))
}

/// The text that `config.json` records.
impl fmt::Display for Placement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stored => "in the store",
            Self::Resident(_) => "in the device's memory",
            Self::Streamed(_) => "brought to the device",
        })
    }
}

impl Placement {
    /// Whether heads find the activations on a device.
    #[must_use]
    pub const fn is_on_device(&self) -> bool {
        !matches!(self, Self::Stored)
    }

    /// The batch of some sequences on the device; nothing for those in the store.
    pub(super) fn batch<'s>(
        &self,
        reader: &SplitReader,
        sequences: &[usize],
    ) -> Result<Option<Batch<'s>>, LoadError> {
        if !self.is_on_device() {
            return Ok(None);
        }
        let tokens = sequences.iter().map(|&sequence| reader.tokens_of(sequence));
        let tokens: Vec<Range<u64>> = tokens.collect::<Result<_, _>>()?;
        let mut offsets = vec![0];
        for tokens in &tokens {
            let count = usize::try_from(tokens.end - tokens.start).unwrap_or(usize::MAX);
            offsets.push(offsets[offsets.len() - 1] + count);
        }
        let rows = match self {
            Self::Stored => return Ok(None),
            Self::Resident(resident) => resident.batch(sequences, &tokens, &offsets),
            Self::Streamed(stream) => {
                let states = sequences
                    .iter()
                    .map(|&sequence| reader.hidden_states(sequence));
                stream.batch(&states.collect::<Result<Vec<_>, _>>()?, &offsets)
            }
        };
        let shape = Shape::from_reader(reader);
        Ok(Some(Batch::laid_out(
            rows.map_err(BatchError::from)?,
            &offsets,
            (shape.layers, shape.hidden),
            shape.dtype,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BERT-large on CoNLL-2003, training and validation: 280,000 tokens of 25 layers of 1024 numbers in float16.
    #[test]
    fn a_store_is_kept_where_it_fits_with_room_for_training() {
        let resident = 280_000 * 25 * 1024 * 2;
        let on = |gib: u64, batch_tokens| fits(resident, gib << 30, batch_tokens, 25, 1024);
        assert!(on(139, 1_000) && on(24, 1_000) && on(17, 1_000));
        assert!(!on(16, 1_000), "14.3 GB, and 3.5 GB to work with");
        assert!(on(139, 32_000) && !on(80, 32_000), "a batch takes 3 GB");
        // The means of 15,000 sentences take 1.6 GB and 1.1 GB.
        let means = SplitMeans::bytes(280_000, 15_000, 25, 1024);
        assert_eq!(means, 4 * 1024 * (280_000 + 15_000 * 25));
        assert!(!fits(resident + means, 19 << 30, 1_000, 25, 1024));
        assert!(fits(resident + means, 20 << 30, 1_000, 25, 1024));
        assert!(!fits(0, 1 << 60, u64::MAX, 25, 1024));
        assert!(fits(0, WORKSPACE, 0, 1, 1) && !fits(1, WORKSPACE, 0, 1, 1));
    }
}
