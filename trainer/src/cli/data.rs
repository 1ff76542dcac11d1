//! What every command opens first: the device, then the store.

use std::path::Path;

use cache::{Io, Store};
use shared::dataset::{SplitName, Task};
use shared::terminal::Terminal;
use tch::Device;

use super::CommandError;
use super::options::{MachineArgs, StoreArgs};
use crate::batches::LabelledSplit;
use crate::device::{self, DeviceChoice};

/// Settles on a device and a number of threads. Must come before the first tensor.
pub(super) fn device(options: &MachineArgs) -> Result<Device, CommandError> {
    let threads = options
        .threads
        .map_or_else(shared::resources::threads, usize::from);
    let choice: DeviceChoice = options
        .device
        .parse()
        .map_err(|why| CommandError::Option(format!("--device {}: {why}", options.device)))?;
    let cuda = shared::native::torch()
        .ok()
        .and_then(|libraries| libraries.cuda);
    let device = device::open(choice, cuda.as_deref())?;
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    // Only the first call counts; a later one in the same process finds the pool made.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    Ok(device)
}

/// Opens the store that the options mean.
pub(super) fn store(options: &StoreArgs, terminal: &Terminal) -> Result<Store, CommandError> {
    let io = match options.io.as_str() {
        "mmap" => Io::Mmap,
        "read" => Io::Read,
        "ram" => Io::Ram,
        _ => Io::Auto,
    };
    let root = options.cache.as_deref().unwrap_or(Path::new("."));
    let path = cache::find_store(root, options.model.as_deref(), options.dataset.as_deref())?;
    let store = Store::open(&path, io)?;
    let manifest = store.manifest();
    let sizes: Vec<String> = manifest
        .splits
        .iter()
        .map(|(name, size)| format!("{name} {}", size.sentences))
        .collect();
    terminal.status(format!(
        "Store {}: {} on {}, {} layers x {}, {}; sentences: {}",
        path.display(),
        manifest.model.id,
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

/// A split with labels; none if the store has no such split.
pub(super) fn optional_split(
    store: &Store,
    name: SplitName,
    task: Task,
) -> Result<Option<LabelledSplit<'_>>, CommandError> {
    if store.split(name).is_none() {
        Ok(None)
    } else {
        Ok(Some(LabelledSplit::of(store, name, task)?))
    }
}
