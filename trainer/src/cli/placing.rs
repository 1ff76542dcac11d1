//! Where the activations of a store go: heads on the CPU read them where they lie; for a graphics card they are kept in its
//! memory if training and validation fit, else they are brought there batch by batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache::{Io, Reading, SplitReader, Store};
use shared::datasets::SplitName;
use shared::terminal::Terminal;
use tch::Device;

use super::CommandError;
use super::options::StoreArgs;
use crate::activations::device::SplitMeans;
use crate::batches::{BatchSize, Placement, Resident, Stream, fits};
use crate::device::{self, memory};

/// How training reads; evaluation, which reads everything once, has its batches brought.
const RESIDENT: [SplitName; 2] = [SplitName::Train, SplitName::Validation];

/// Where the activations of each split are.
pub(super) struct Places {
    device: Device,
    resident: BTreeMap<SplitName, Arc<Resident>>,
}

impl Places {
    /// For what goes over the store once.
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
            _ => room(store, options, batch_sizes, device, terminal)?,
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
                    _ => resident.without_means(),
                };
                places.resident.insert(reader.name(), Arc::new(resident));
            }
            progress.finish();
        }
        Ok(places)
    }

    /// Where the activations of a split are.
    pub(super) fn of(&self, reader: &SplitReader) -> Placement {
        match (self.device, self.resident.get(&reader.name())) {
            (Device::Cpu, _) => Placement::Stored,
            (_, Some(resident)) => Placement::Resident(Arc::clone(resident)),
            (device, None) => Placement::Streamed(Stream::new(reader, device)),
        }
    }
}

/// What a GPU has room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// One batch after another.
    Batches,
    /// The activations that training looks at.
    Activations,
    /// And their means, which the adapter looks at.
    Means,
}

/// What is kept in the memory of a GPU.
fn room(
    store: &Store,
    options: &StoreArgs,
    batch_sizes: &[BatchSize],
    device: Device,
    terminal: &Terminal,
) -> Result<Room, CommandError> {
    if !matches!(options.io.as_str(), "auto" | "device") {
        return Ok(Room::Batches);
    }
    let asked_for = options.io == "device";
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
                "{message}; activations are brought to it batch by batch"
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
        gibibytes(resident),
        gibibytes(free)
    );
    if asked_for && room == Room::Batches {
        return Err(CommandError::Option(format!(
            "--io device: {} has no room for training and validation split and the work on them ({sizes}); without --io device, \
             activations are brought to it batch by batch",
            device::name(device)
        )));
    }
    let how = if room == Room::Batches {
        "brought to it batch by batch"
    } else {
        "kept in its memory"
    };
    terminal.status(format!("{}: {sizes}, {how}", device::name(device)));
    Ok(room)
}

/// About the most sub-words of a batch: batches of sentences vary around their mean.
fn batch_tokens(store: &Store, size: BatchSize) -> u64 {
    match size {
        BatchSize::Tokens(tokens) => tokens as u64,
        BatchSize::Sentences(sentences) => {
            let of = store.manifest().splits.get(&SplitName::Train);
            let mean = of.map_or(0, |split| split.tokens.div_ceil(split.sentences.max(1)));
            2 * mean * sentences as u64
        }
    }
}

/// How the files of a store are best read for a device: what `auto` is for a CPU, but what is kept on the card is not kept in
/// main memory too.
pub(super) fn reading(io: &str) -> Io {
    match io {
        "mmap" => Io::Mmap,
        "read" | "device" => Io::Read,
        "ram" => Io::Ram,
        _ => Io::Auto,
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
