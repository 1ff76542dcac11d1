//! What a conversion is to make: the manifest of the new store and where it goes. A store of float32 numbers holds what
//! the encoder gave, so that its conversion is the store that an extraction gives, with the same identity; one of
//! other numbers, or in parts of other tokens, says what it was made of.

use std::path::{Path, PathBuf};

use cache::{ByteLimits, Codec, ConvertedFrom, Manifest, SplitLayout, Store, StoreDtype};
use shared::size::format_bytes;

use super::error::ConvertError;
use crate::encoder::{LayerSelection, Provider};
use crate::extract::{free_for_store, store_bytes};

/// What is asked for; what is not said stays as it is in the source.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Root folder of the stores.
    pub out: PathBuf,
    /// Number format.
    pub store_dtype: Option<StoreDtype>,
    /// Hidden states to keep.
    pub layers: LayerSelection,
    /// Compression.
    pub codec: Option<Codec>,
    /// Sizes of chunks, files and parts.
    pub limits: ByteLimits,
}

/// The store to be made.
#[derive(Debug)]
pub struct Target {
    /// Where it goes.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where its layers are among those of the source.
    pub(super) places: Vec<usize>,
}

impl Target {
    /// The store that becomes of `source`.
    ///
    /// # Errors
    /// A layer that the source does not have, nothing that would change, or a place that is the source's own.
    pub fn new(source: &Store, wanted: &Wanted) -> Result<Self, ConvertError> {
        let theirs = source.manifest();
        let (layers, places) = layers_of(source, &wanted.layers)?;
        let path = cache::store_path(&wanted.out, &theirs.model.name(), &theirs.dataset.id);
        if is_same(&path, source.path()) {
            return Err(ConvertError::OntoItself { path });
        }
        let mut manifest = theirs.clone();
        manifest.layers = layers;
        manifest.store_dtype = wanted.store_dtype.unwrap_or(theirs.store_dtype);
        manifest.codec = wanted.codec.unwrap_or(theirs.codec);
        let changed = (manifest.store_dtype, manifest.codec, &manifest.layers)
            != (theirs.store_dtype, theirs.codec, &theirs.layers);
        if !changed {
            return Err(ConvertError::Unchanged {
                path: source.path().to_owned(),
                what: format!(
                    "{}, layers {:?}, compression {}",
                    theirs.store_dtype, theirs.layers, theirs.codec
                ),
            });
        }
        let units = wanted.limits.units(manifest.row_bytes());
        manifest.chunk_tokens = units.chunk_tokens;
        manifest.file_tokens = units.file_tokens;
        manifest.part_files = units.part_files;
        if !is_as_extracted(theirs, &manifest) {
            manifest.converted_from = Some(ConvertedFrom {
                identity: source.identity(),
                store_dtype: theirs.store_dtype,
            });
        }
        let version = env!("CARGO_PKG_VERSION");
        if theirs.versions.get("extractor").map(String::as_str) != Some(version) {
            let versions = &mut manifest.versions;
            versions.insert("extractor convert".to_owned(), version.to_owned());
        }
        Ok(Self {
            path,
            manifest,
            places,
        })
    }

    /// Bytes of the finished store, without compression.
    #[must_use]
    pub fn needed_space(&self) -> u64 {
        let tokens: u64 = self
            .manifest
            .splits
            .values()
            .map(|split| split.tokens)
            .sum();
        store_bytes(tokens, self.manifest.row_bytes() as u64)
    }

    /// An error if the disk has no room for what is still to be written.
    ///
    /// # Errors
    /// [`ConvertError::Space`].
    pub fn check_space(&self) -> Result<(), ConvertError> {
        let free = free_for_store(&self.path)?;
        let needed = self.needed_space();
        if free >= needed {
            return Ok(());
        }
        Err(ConvertError::Space {
            path: self.path.clone(),
            needed: format_bytes(needed),
            free: format_bytes(free),
        })
    }
}

/// The layers that are selected, and their places in the source.
fn layers_of(
    source: &Store,
    selection: &LayerSelection,
) -> Result<(Vec<usize>, Vec<usize>), ConvertError> {
    let Manifest { layers, model, .. } = source.manifest();
    if *selection == LayerSelection::all() {
        return Ok((layers.clone(), (0..layers.len()).collect()));
    }
    let selected = selection.resolve(model.layers_in_model)?;
    let place = |&layer: &usize| {
        let place = layers.iter().position(|&kept| kept == layer);
        place.ok_or_else(|| ConvertError::NoSuchLayer {
            path: source.path().to_owned(),
            layer,
            layers: layers.clone(),
        })
    };
    let places = selected.iter().map(place).collect::<Result<_, _>>()?;
    Ok((selected, places))
}

/// Whether an extraction with the options of `wanted` gives the same bytes: the source holds what the encoder gave,
/// which was the CPU's, and the same sequences were encoded with each other, since rounding depends on that.
fn is_as_extracted(source: &Manifest, wanted: &Manifest) -> bool {
    let parts = |manifest: &Manifest| -> Vec<(u64, u64)> {
        let layouts = manifest.splits.keys();
        let layouts = layouts.filter_map(|&split| SplitLayout::of(manifest, split));
        layouts
            .map(|layout| match layout.parts() {
                0 | 1 => (1, layout.tokens),
                parts => (parts, layout.part_tokens()),
            })
            .collect()
    };
    source.store_dtype == StoreDtype::F32
        && source.converted_from.is_none()
        && source.provider == Provider::Cpu.to_string()
        && parts(source) == parts(wanted)
}

/// Whether two paths are one place.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| fs_err::canonicalize(path).ok();
    whole(one).is_some_and(|one| Some(one) == whole(other))
}

#[cfg(test)]
mod tests {
    use testing::fixture::Fixture;

    use super::*;

    #[test]
    fn only_what_an_extraction_would_give_has_its_identity() {
        let source = Fixture::usual(StoreDtype::F32).manifest;
        let mut wanted = source.clone();
        wanted.store_dtype = StoreDtype::I4;
        assert!(is_as_extracted(&source, &wanted));
        // Parts of other tokens: their sequences were encoded with others.
        wanted.part_files += 1;
        assert!(!is_as_extracted(&source, &wanted));
        // All in one part, in both.
        let whole = |mut manifest: Manifest, part_files| {
            manifest.part_files = part_files;
            manifest
        };
        let [one, other] = [(&source, 10_000), (&wanted, 20_000)]
            .map(|(manifest, files)| whole(manifest.clone(), files));
        assert!(is_as_extracted(&one, &other));
        let gpu = Manifest {
            provider: "cuda".to_owned(),
            ..one.clone()
        };
        assert!(!is_as_extracted(&gpu, &other));
        let rounded = Manifest {
            store_dtype: StoreDtype::F16,
            ..one.clone()
        };
        assert!(!is_as_extracted(&rounded, &other));
        let converted = Manifest {
            converted_from: Some(ConvertedFrom {
                identity: String::new(),
                store_dtype: StoreDtype::F16,
            }),
            ..one
        };
        assert!(!is_as_extracted(&converted, &other));
    }
}
