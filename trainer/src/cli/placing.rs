//! Where the activations of a store are kept: heads on the CPU read them from the store; for a GPU they
//! are kept in its memory if the training and validation split fit, else they are copied there batch by
//! batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache::{Io, Reading, SplitReader, Store};
use shared::datasets::SplitName;
use shared::size::format_bytes;
use shared::terminal::Terminal;
use tch::Device;
use trainer_options::{IoChoice, StoreArgs};

use super::CommandError;
use crate::activations::device::SplitMeans;
use crate::batches::{BatchSize, Placement, Resident, Stream, fits};
use crate::device::{self, memory};

/// The splits that training reads again and again, and that are kept on a GPU; others are read once.
const RESIDENT: [SplitName; 2] = [SplitName::Train, SplitName::Validation];

/// Where the activations of each split are.
pub(super) struct Places {
    device: Device,
    resident: BTreeMap<SplitName, Arc<Resident>>,
}

impl Places {
    /// For one pass over the store.
    pub(super) const fn streaming(device: Device) -> Self {
        Self {
            device,
            resident: BTreeMap::new(),
        }
    }

    /// For trainings with batches of these sizes.
    pub(super) fn for_training(
        store: &Store,
        options: &StoreArgs,
        batch_sizes: &[BatchSize],
        device: Device,
        terminal: &Terminal,
    ) -> Result<Self, CommandError> {
        let mut places = Self::streaming(device);
        let room = match device {
            Device::Cpu => Room::Batches,
            Device::Cuda(_) | Device::Mps | Device::Vulkan => {
                room(store, options, batch_sizes, device, terminal)?
            }
        };
        if room != Room::Batches {
            let opened;
            let source = if store.io() == Io::Ram {
                let reading = Reading {
                    io: Io::Read,
                    checksums: !options.no_checksums,
                };
                opened = Store::open(store.path(), reading)?;
                &opened
            } else {
                store
            };
            let readers = RESIDENT.iter().filter_map(|&split| source.split(split));
            let readers: Vec<&SplitReader> = readers.collect();
            let tokens = readers.iter().map(|reader| reader.tokens() as u64).sum();
            let progress = terminal.progress("Loading", tokens, "tokens");
            for reader in readers {
                let resident = Resident::load(reader, device, |tokens| progress.inc(tokens))?;
                let resident = match room {
                    Room::Means => resident,
                    Room::Activations | Room::Batches => resident.without_means(),
                };
                places.resident.insert(reader.name(), Arc::new(resident));
            }
            progress.finish();
        }
        Ok(places)
    }

    /// Where the activations of a split are.
    pub(super) fn placement(&self, reader: &SplitReader) -> Placement {
        match (self.device, self.resident.get(&reader.name())) {
            (Device::Cpu, _) => Placement::Stored,
            (_, Some(resident)) => Placement::Resident(Arc::clone(resident)),
            (device, None) => Placement::Streamed(Stream::new(reader, device)),
        }
    }
}

/// What a GPU has enough memory for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Single batches.
    Batches,
    /// The activations of the splits in [`RESIDENT`].
    Activations,
    /// These and their means, which the adapter needs.
    Means,
}

/// What is to be kept in the memory of a GPU.
fn room(
    store: &Store,
    options: &StoreArgs,
    batch_sizes: &[BatchSize],
    device: Device,
    terminal: &Terminal,
) -> Result<Room, CommandError> {
    let asked_for = match options.io {
        IoChoice::Auto => false,
        IoChoice::Device => true,
        IoChoice::Mmap | IoChoice::Read | IoChoice::Ram => return Ok(Room::Batches),
    };
    let readers = RESIDENT.iter().filter_map(|&split| store.split(split));
    let resident = readers.map(|reader| reader.layout().bytes()).sum();
    let free = match memory::free(device) {
        Ok(free) => free,
        Err(why) => {
            let message = format!(
                "how much memory of {} is free is not known: {why}",
                device::name(device)
            );
            if asked_for {
                terminal.warn(message);
                return Ok(Room::Activations);
            }
            terminal.warn(format!(
                "{message}; activations are copied to it batch by batch"
            ));
            return Ok(Room::Batches);
        }
    };
    let manifest = store.manifest();
    let (layers, hidden) = (manifest.layers.len() as u64, manifest.hidden as u64);
    let tokens = batch_sizes.iter().map(|&size| batch_tokens(store, size));
    let tokens = tokens.max().unwrap_or(0);
    let fits = |bytes| fits(bytes, free, tokens, layers, hidden);
    let means = RESIDENT.iter().filter_map(|&split| store.split(split));
    let means = means.map(|reader| {
        let (tokens, sequences) = (reader.tokens() as u64, reader.len() as u64);
        SplitMeans::bytes(tokens, sequences, layers, hidden)
    });
    let room = if fits(resident + means.sum::<u64>()) {
        Room::Means
    } else if fits(resident) {
        Room::Activations
    } else {
        Room::Batches
    };
    let sizes = format!(
        "{} of activations, {} free",
        format_bytes(resident),
        format_bytes(free)
    );
    if asked_for && room == Room::Batches {
        return Err(CommandError::Option(format!(
            "--io device: {} has no room for training and validation split and the work on them ({sizes}); without --io device, \
             activations are copied to it batch by batch",
            device::name(device)
        )));
    }
    let how = if room == Room::Batches {
        "copied to it batch by batch"
    } else {
        "kept in its memory"
    };
    terminal.status(format!("{}: {sizes}, {how}", device::name(device)));
    Ok(room)
}

/// About the most sub-words of a batch: twice the mean for batches of a number of sentences.
fn batch_tokens(store: &Store, size: BatchSize) -> u64 {
    match size {
        BatchSize::Tokens(tokens) => tokens as u64,
        BatchSize::Sentences(sentences) => {
            let train = store.manifest().splits.get(&SplitName::Train);
            let mean = train.map_or(0, |split| split.tokens.div_ceil(split.sentences.max(1)));
            2 * mean * sentences as u64
        }
    }
}

/// How the files of a store are read. What is kept in the memory of a GPU is not kept in main memory
/// too.
pub(super) const fn reading(io: IoChoice) -> Io {
    match io {
        IoChoice::Auto => Io::Auto,
        IoChoice::Mmap => Io::Mmap,
        IoChoice::Read | IoChoice::Device => Io::Read,
        IoChoice::Ram => Io::Ram,
    }
}
