//! What every command opens first: the device, then the store.

use std::path::Path;

use cache::{Reading, Store, StoreError};
use shared::datasets::SplitName;
use shared::tasks::{Output, Task};
use shared::terminal::Terminal;
use tch::Device;
use trainer_options::{IoChoice, MachineArgs, StoreArgs};

use super::CommandError;
use super::placing::{self, Places};
use crate::batches::{LabelledSplit, SplitError};
use crate::device::{self, Opened};
use crate::training::Data;

/// The threads that the options allow.
pub(super) fn threads(options: &MachineArgs) -> usize {
    options
        .threads
        .map_or_else(shared::resources::threads, usize::from)
}

/// The device of a single head: see [`devices`].
pub(super) fn device(
    options: &MachineArgs,
    threads: usize,
    terminal: &Terminal,
) -> Result<Device, CommandError> {
    if options.device.may_be_several() {
        return Err(CommandError::Option(format!(
            "--device {}: one head is computed on one GPU; `trainer sweep` trains the heads of a sweep on several",
            options.device
        )));
    }
    let devices = devices(options, threads, terminal)?;
    Ok(devices.first().copied().unwrap_or(Device::Cpu))
}

/// Opens the devices that the options name, at least one, and sets the number of threads. Must come
/// before the first tensor is made.
pub(super) fn devices(
    options: &MachineArgs,
    threads: usize,
    terminal: &Terminal,
) -> Result<Vec<Device>, CommandError> {
    let cuda = shared::native::torch()
        .ok()
        .and_then(|libraries| libraries.cuda);
    let Opened { devices, note } = device::open(&options.device, cuda.as_deref())?;
    if let Some(why) = note {
        terminal.warn(format!(
            "this machine has a GPU, but the CPU is used: {why}; --device cuda makes this an error"
        ));
    }
    for &device in &devices {
        check_environment(options, device)?;
    }
    // Threads compute the parts of a batch, each with libtorch on its own.
    tch::set_num_threads(1);
    // Only the first call in a process counts.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    Ok(devices)
}

/// Refuses `--deterministic` without the variable of cuBLAS, which reads it when libtorch starts, before
/// any option is read.
fn check_environment(options: &MachineArgs, device: Device) -> Result<(), CommandError> {
    let Some((variable, value)) = options.environment() else {
        return Ok(());
    };
    let set = std::env::var(variable).ok();
    match set.as_deref() {
        _ if device == Device::Cpu => Ok(()),
        // The two that cuBLAS documents.
        Some(":4096:8" | ":16:8") => Ok(()),
        set => Err(CommandError::Option(format!(
            "--deterministic needs {variable}={value} in the environment, found {}; `trainer` sets it if nothing else is set",
            set.unwrap_or("nothing")
        ))),
    }
}

/// Opens the store that the options mean.
pub(super) fn store(
    options: &StoreArgs,
    device: Device,
    terminal: &Terminal,
) -> Result<Store, CommandError> {
    if options.io == IoChoice::Device && device == Device::Cpu {
        return Err(CommandError::Option(
            "--io device keeps the activations in the memory of a GPU, but this runs on the CPU: \
             --io ram keeps them in main memory, --device cuda asks for a GPU"
                .to_owned(),
        ));
    }
    let io = placing::reading(options.io);
    let root = options.cache.as_deref().unwrap_or(Path::new("."));
    let found = cache::find_store(root, options.model.as_deref(), options.dataset.as_deref());
    let path = found.map_err(|error| match error {
        StoreError::Ambiguous { .. } => {
            CommandError::Option(format!("{error}; or choose with --model and --dataset"))
        }
        other => other.into(),
    })?;
    let checksums = !options.no_checksums;
    let store = Store::open(&path, Reading { io, checksums })?;
    let manifest = store.manifest();
    let sizes: Vec<String> = manifest
        .splits
        .iter()
        .map(|(name, size)| format!("{name} {}", size.sentences))
        .collect();
    terminal.status(format!(
        "Store {}: {} on {}, {} layers x {}, {}; sentences: {}",
        path.display(),
        manifest.model.name(),
        manifest.dataset.id,
        manifest.layers.len(),
        manifest.hidden,
        manifest.store_dtype,
        sizes.join(", "),
    ));
    terminal.detail(format!(
        "Store identity {}, read by {:?}",
        store.identity(),
        store.io()
    ));
    Ok(store)
}

/// The splits of a store with their labels of one task.
pub(super) struct Splits<'s> {
    /// What is learned from.
    pub(super) train: LabelledSplit<'s>,
    /// What is scored on after each epoch.
    pub(super) validation: Option<LabelledSplit<'s>>,
    /// What is scored on in the end.
    pub(super) test: Option<LabelledSplit<'s>>,
}

impl<'s> Splits<'s> {
    /// The splits of `store` with their activations where `places` says. Only the training split must be
    /// there, but those that are there must have labels.
    pub(super) fn open(
        store: &'s Store,
        task: Task,
        places: &Places,
    ) -> Result<Self, CommandError> {
        let split = |name| {
            let split = LabelledSplit::open(store, name, task)?;
            let placement = places.placement(split.reader);
            Ok::<_, SplitError>(split.placed(placement))
        };
        let optional = |name| {
            let there = store.split(name).is_some();
            there.then(|| split(name)).transpose()
        };
        Ok(Self {
            train: split(SplitName::Train)?,
            validation: optional(SplitName::Validation)?,
            test: optional(SplitName::Test)?,
        })
    }

    /// The splits that training uses.
    pub(super) fn data(&self) -> Data<'_, 's> {
        Data {
            train: &self.train,
            validation: self.validation.as_ref(),
        }
    }

    /// What a trained head is scored on.
    pub(super) fn scored(&self) -> impl Iterator<Item = &LabelledSplit<'s>> {
        [self.validation.as_ref(), self.test.as_ref()]
            .into_iter()
            .flatten()
    }

    /// Warns of classes that are not in the training split: they cannot be learned; and of a split of
    /// one class alone, which teaches nothing.
    pub(super) fn warn_of_unseen(&self, terminal: &Terminal) {
        let seen = |split: &LabelledSplit<'_>, class: usize| match split.output() {
            Output::Set => {
                let sets = split.table.sets.chunks_exact(split.outputs());
                sets.into_iter().any(|set| set[class] == 1)
            }
            Output::Class | Output::Number => {
                let mut ids = split.table.ids.iter();
                ids.any(|&id| usize::try_from(id) == Ok(class))
            }
        };
        let of_train =
            (0..self.train.table.classes.len()).filter(|&class| seen(&self.train, class));
        if let ([only], Output::Class) = (&of_train.collect::<Vec<_>>()[..], self.train.output()) {
            terminal.warn(format!(
                "every label of the training split is `{}`: a head can learn nothing from it",
                self.train.table.classes[*only]
            ));
        }
        let classes = self.train.table.classes.iter().enumerate();
        let unseen = classes.filter(|&(class, _)| {
            !seen(&self.train, class) && self.scored().any(|split| seen(split, class))
        });
        let unseen: Vec<&str> = unseen.map(|(_, name)| name.as_str()).collect();
        if !unseen.is_empty() {
            terminal.warn(format!(
                "never in the training split, so never learned: {}",
                unseen.join(", ")
            ));
        }
    }
}
