//! What a store holds, complete or not, as data that a program can print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shared::datasets::SplitName;
use shared::tasks::{Level, Task};

use crate::LayerSummary;
use crate::layout::metadata;
use crate::layout::record::{Done, PartRecord, SplitRecord};
use crate::read::split::read_label_attributes;
use crate::{Manifest, SplitLayout, SplitSize, StoreError};

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The store.
    pub path: PathBuf,
    /// Whether all parts are done.
    pub complete: bool,
    /// Parts that are done.
    pub parts_done: u64,
    /// Parts of the store.
    pub parts: u64,
    /// SHA-256 of the manifest.
    pub identity: String,
    /// Bytes of hidden states of the complete store, without compression.
    pub bytes: u64,
    /// Bytes that the files of the parts that are done take.
    pub stored_bytes: u64,
    /// What the activations depend on.
    pub manifest: Manifest,
    /// The splits.
    pub splits: BTreeMap<SplitName, SplitInspection>,
}

/// What a split holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitInspection {
    /// Sentences, sequences, tokens, words.
    #[serde(flatten)]
    pub size: SplitSize,
    /// Shape of `hidden_states`, `[tokens, layers, hidden]`.
    pub shape: [u64; 3],
    /// Bytes of hidden states of the complete split.
    pub bytes: u64,
    /// Files of hidden states of the complete split.
    pub files: u64,
    /// Bytes of an inner chunk.
    pub chunk_bytes: u64,
    /// Labels, by task.
    pub tasks: BTreeMap<Task, TaskInspection>,
    /// One entry a layer, over the parts that are done.
    pub layers: Vec<LayerInspection>,
}

/// Labels of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskInspection {
    /// What a label belongs to.
    pub level: Level,
    /// The classes.
    pub classes: Vec<String>,
}

/// Statistics of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerInspection {
    /// Number of the layer in the model, 0 being the embeddings.
    pub layer: usize,
    /// Its statistics.
    #[serde(flatten)]
    pub statistics: LayerSummary,
}

/// Looks at a store without reading hidden states.
///
/// # Errors
/// [`StoreError::NoStore`], [`StoreError::NewerVersion`], [`StoreError::EditedManifest`], [`StoreError::Damaged`],
/// [`StoreError::Io`].
pub fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    let (manifest, identity) = metadata::read_manifest(path)?;
    let done = Done::read(path)?;
    if let Some(done) = &done {
        done.check(path, &manifest, &identity)?;
    }
    let (mut parts_done, mut parts, mut bytes, mut stored_bytes) = (0, 0, 0, 0);
    let mut splits = BTreeMap::new();
    for (&split, &size) in &manifest.splits {
        let Some(layout) = SplitLayout::of(&manifest, split) else {
            continue;
        };
        let record = done
            .as_ref()
            .and_then(|done| done.splits.get(&split))
            .cloned();
        let record = record.unwrap_or_else(|| recorded(path, &layout));
        parts_done += record.parts.len() as u64;
        parts += layout.parts();
        bytes += layout.bytes();
        stored_bytes += record.bytes();
        splits.insert(
            split,
            SplitInspection::new(path, &manifest, &layout, size, &record)?,
        );
    }
    let complete = done.is_some();
    Ok(Inspection {
        path: path.to_owned(),
        complete,
        parts_done,
        parts,
        identity,
        bytes,
        stored_bytes,
        manifest,
        splits,
    })
}

/// Bytes that the hidden states of a complete store take on disk; none if it is not complete.
#[must_use]
pub fn stored_bytes(path: &Path) -> Option<u64> {
    let done = Done::read(path).ok()??;
    Some(done.splits.values().map(SplitRecord::bytes).sum())
}

/// The parts of a split that are done so far.
fn recorded(path: &Path, layout: &SplitLayout) -> SplitRecord {
    let parts = (0..layout.parts()).filter_map(|part| PartRecord::read(path, layout, part));
    SplitRecord::new(layout.layers, parts.collect())
}

impl SplitInspection {
    fn new(
        path: &Path,
        manifest: &Manifest,
        layout: &SplitLayout,
        size: SplitSize,
        record: &SplitRecord,
    ) -> Result<Self, StoreError> {
        let labels = read_label_attributes(&path.join(layout.split.to_string()))?;
        let tasks = labels
            .into_iter()
            .map(|(task, level, classes)| (task, TaskInspection { level, classes }));
        let layers = manifest.layers.iter().zip(&record.statistics);
        Ok(Self {
            size,
            shape: [layout.tokens, layout.layers as u64, layout.hidden as u64],
            bytes: layout.bytes(),
            files: layout.files(),
            chunk_bytes: layout.chunk_bytes(),
            tasks: tasks.collect(),
            layers: layers
                .map(|(&layer, &statistics)| LayerInspection { layer, statistics })
                .collect(),
        })
    }
}
