//! Opening a complete store, and finding it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared::datasets::SplitName;
use shared::resources;

use crate::LayerSummary;
use crate::layout::metadata;
use crate::layout::record::{Done, progress};
use crate::{Io, Manifest, Reading, SplitLayout, SplitReader, StoreError, model_name};

/// A complete store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    manifest: Manifest,
    identity: String,
    io: Io,
    splits: BTreeMap<SplitName, SplitReader>,
    statistics: BTreeMap<SplitName, Vec<LayerSummary>>,
}

impl Store {
    /// Opens a complete store. Costs the same for every size: hidden states are not touched.
    ///
    /// ```
    /// use cache::{Io, Store};
    /// use shared::datasets::SplitName;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("store");
    /// # testing::fixture::Fixture::usual(cache::StoreDtype::F16).fill(&path, 0);
    /// let store = Store::open(&path, Io::Auto)?;
    /// let train = store.split(SplitName::Train).ok_or("no train split")?;
    /// println!("{:?}", train.words(0));
    ///
    /// let hidden = train.hidden_states(0)?;
    /// let mut values = vec![0.0; hidden.tokens() * hidden.layers() * hidden.hidden()];
    /// hidden.to_f32(&mut values); // [tokens, layers, hidden]
    /// # assert!(values.iter().all(|value| value.abs() <= 20.0) && values.iter().any(|&value| value != 0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::NoStore`], [`StoreError::NewerVersion`], [`StoreError::Incomplete`] with how far it got,
    /// [`StoreError::EditedManifest`], [`StoreError::Damaged`] for a small array that is not what it should be,
    /// [`StoreError::Memory`] if it is to be kept in memory and the job may not have so much,
    /// [`StoreError::Io`].
    pub fn open(path: &Path, how: impl Into<Reading>) -> Result<Self, StoreError> {
        let Reading { io, checksums } = how.into();
        let (manifest, identity) = metadata::read_manifest(path)?;
        let Some(done) = Done::read(path)? else {
            let (done, total) = progress(path, &manifest);
            return Err(StoreError::Incomplete {
                path: path.to_owned(),
                done,
                total,
            });
        };
        done.check(path, &manifest, &identity)?;
        let layouts: Vec<_> = manifest
            .splits
            .keys()
            .filter_map(|&split| SplitLayout::of(&manifest, split))
            .collect();
        let bytes = layouts.iter().map(SplitLayout::bytes).sum();
        let io = match io {
            Io::Auto => choose(path, &manifest, bytes)?,
            io => io,
        };
        if io == Io::Ram {
            check_room(path, bytes, resources::memory_limit())?;
        }
        let reading = Reading { io, checksums };
        let mut splits = BTreeMap::new();
        for layout in layouts {
            let Some(record) = done.splits.get(&layout.split) else {
                continue;
            };
            splits.insert(
                layout.split,
                SplitReader::open(path, &manifest, layout, record, reading)?,
            );
        }
        let statistics = done
            .splits
            .into_iter()
            .map(|(split, record)| (split, record.statistics))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            manifest,
            identity,
            io,
            splits,
            statistics,
        })
    }

    /// The folder of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the activations depend on.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest.
    #[must_use]
    pub fn identity(&self) -> String {
        self.identity.clone()
    }

    /// How hidden states are read: what [`Io::Auto`] became.
    #[must_use]
    pub fn io(&self) -> Io {
        self.io
    }

    /// A split, if the store has it.
    #[must_use]
    pub fn split(&self, name: SplitName) -> Option<&SplitReader> {
        self.splits.get(&name)
    }

    /// All splits.
    pub fn splits(&self) -> impl Iterator<Item = &SplitReader> {
        self.splits.values()
    }

    /// Statistics of each layer of a split, in the manifest's order of layers.
    #[must_use]
    pub fn statistics(&self, split: SplitName) -> Option<&[LayerSummary]> {
        self.statistics.get(&split).map(Vec::as_slice)
    }
}

/// The kernel ends a job that takes more memory than it may, without a word.
fn check_room(path: &Path, bytes: u64, limit: Option<u64>) -> Result<(), StoreError> {
    match limit {
        Some(limit) if limit < bytes => Err(StoreError::Memory {
            path: path.to_owned(),
            bytes,
            limit,
        }),
        _ => Ok(()),
    }
}

/// What [`Io::Auto`] means for a store of `bytes` bytes of hidden states.
fn choose(path: &Path, manifest: &Manifest, bytes: u64) -> Result<Io, StoreError> {
    let network = resources::file_system(path)
        .map_err(StoreError::io)?
        .is_network();
    let compressed = !manifest.codec.is_none();
    Ok(best(
        network,
        compressed,
        bytes,
        resources::memory_available(),
    ))
}

/// Pages of a network file system may be taken from under a map, and a compressed chunk is decoded whole for a single
/// token: both are better read once, where there is room. `available` is what the job's control group leaves.
fn best(network: bool, compressed: bool, bytes: u64, available: Option<u64>) -> Io {
    let fits = available.is_some_and(|available| bytes <= available / 2);
    match (network, compressed) {
        (true, _) | (_, true) if fits => Io::Ram,
        (true, _) => Io::Read,
        (false, _) => Io::Mmap,
    }
}

/// Where the store of a model and a data set goes under a cache root: `ROOT/<model>--<dataset>.zarr`.
#[must_use]
pub fn store_path(root: &Path, model: &str, dataset: &str) -> PathBuf {
    root.join(format!("{}--{}.zarr", slug(model), slug(dataset)))
}

fn slug(id: &str) -> String {
    id.trim_matches('/').replace('/', "--")
}

/// The store at a path, or the only one under a root that fits; `model` is a name as
/// [`ModelIdentity::name`](crate::ModelIdentity::name) gives it, `dataset` an id as in the manifest.
///
/// # Errors
/// [`StoreError::NoStore`] if there is none, [`StoreError::Ambiguous`] with their names if there are several.
pub fn find_store(
    root_or_store: &Path,
    model: Option<&str>,
    dataset: Option<&str>,
) -> Result<PathBuf, StoreError> {
    let path = root_or_store;
    if path.join("zarr.json").exists() {
        return Ok(path.to_owned());
    }
    if !path.is_dir() {
        return Err(StoreError::no_store(path, "no such folder"));
    }
    let mut stores = Vec::new();
    for entry in fs_err::read_dir(path).map_err(StoreError::io)? {
        let candidate = entry.map_err(StoreError::io)?.path();
        if candidate
            .extension()
            .is_none_or(|extension| extension != "zarr")
        {
            continue;
        }
        let Some(value) = metadata::read_attribute(&candidate.join("zarr.json"))? else {
            continue;
        };
        let id = |pointer: &str| value.pointer(pointer).and_then(|id| id.as_str());
        let seed = value
            .pointer("/model/random_seed")
            .and_then(serde_json::Value::as_u64);
        let fits = |wanted: Option<&str>, id: Option<String>| {
            wanted.is_none_or(|wanted| Some(slug(wanted)) == id.as_deref().map(slug))
        };
        let model_id = id("/model/id").map(|id| model_name(id, seed));
        if fits(model, model_id) && fits(dataset, id("/dataset/id").map(str::to_owned)) {
            stores.push(candidate);
        }
    }
    stores.sort();
    match stores.len() {
        0 => Err(StoreError::no_store(path, "no *.zarr in it fits")),
        1 => Ok(stores.remove(0)),
        _ => Err(StoreError::Ambiguous {
            path: path.to_owned(),
            stores,
        }),
    }
}

#[cfg(test)]
mod tests {
    use shared::exit::HasExitStatus as _;

    use super::*;

    #[test]
    fn a_store_that_the_job_has_no_memory_for_is_told_with_what_would_do() {
        let path = Path::new("cache/large.zarr");
        assert!(check_room(path, 5 << 30, None).is_ok());
        assert!(check_room(path, 5 << 30, Some(5 << 30)).is_ok());
        let error = check_room(path, 5 << 30, Some(4 << 30)).unwrap_err();
        let message = error.to_string();
        for word in ["cache/large.zarr", "5.4 GB", "4.3 GB", "--io mmap"] {
            assert!(message.contains(word), "{word} in {message}");
        }
        assert_eq!(error.exit_status(), shared::exit::ExitStatus::Machine);
    }

    #[test]
    fn auto_maps_local_files_and_keeps_in_memory_what_fits_in_half_of_it() {
        let gigabyte = 1 << 30;
        let choices = [
            // (network, compressed, size, memory), what is chosen
            ((false, false, gigabyte, Some(64 * gigabyte)), Io::Mmap),
            ((false, false, 99 * gigabyte, Some(gigabyte)), Io::Mmap),
            ((true, false, gigabyte, Some(2 * gigabyte)), Io::Ram),
            ((true, false, gigabyte + 1, Some(2 * gigabyte)), Io::Read),
            ((true, false, gigabyte, None), Io::Read),
            ((false, true, gigabyte, Some(2 * gigabyte)), Io::Ram),
            ((false, true, 9 * gigabyte, Some(2 * gigabyte)), Io::Mmap),
            ((true, true, 9 * gigabyte, Some(2 * gigabyte)), Io::Read),
        ];
        for ((network, compressed, bytes, available), chosen) in choices {
            assert_eq!(
                best(network, compressed, bytes, available),
                chosen,
                "network {network}, compressed {compressed}, {bytes} bytes, memory {available:?}"
            );
        }
    }
}
