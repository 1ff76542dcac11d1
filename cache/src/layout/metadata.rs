//! The `zarr.json` files: groups and arrays as `zarrs` describes them, so that every Zarr reader understands them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use shared::tasks::Level;
use zarrs::array::codec::Crc32cCodec;
use zarrs::array::{ArrayBuilder, ChunkKeySeparator, DataType, data_type};
use zarrs::metadata::FillValueMetadata;
use zarrs::metadata::v3::GroupMetadataV3;

use super::column::ColumnShape;
use crate::{Manifest, SplitLayout, StoreDtype, StoreError};

/// Name of the attribute that holds what Zarr does not know: the manifest in the root group, the checksum in small
/// arrays.
pub(crate) const ATTRIBUTE: &str = "activation_cache";

/// `zarr.json` of the root group.
pub(crate) fn root_group(manifest: &Manifest) -> Vec<u8> {
    group(attributes(manifest.to_value()))
}

/// `zarr.json` of a group without attributes.
pub(crate) fn plain_group() -> Vec<u8> {
    group(Map::new())
}

fn group(attributes: Map<String, Value>) -> Vec<u8> {
    pretty(&GroupMetadataV3::default().with_attributes(attributes))
}

fn attributes(value: Value) -> Map<String, Value> {
    Map::from_iter([(ATTRIBUTE.to_owned(), value)])
}

/// JSON as it is written to disk.
pub(crate) fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    // Plain data with string keys: nothing that JSON could refuse.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// `zarr.json` of `hidden_states`, `[tokens, layers, hidden]`.
pub(crate) fn hidden_states(layout: &SplitLayout) -> Result<Vec<u8>, StoreError> {
    let layers = layout.layers as u64;
    // With the scale that int8 and int4 vectors carry.
    let hidden = layout.row_bytes / layers / layout.dtype.bytes() as u64;
    let compression = layout
        .codec
        .zarr(layout.dtype)
        .map_err(|what| StoreError::Metadata {
            path: "hidden_states".into(),
            what,
        })?;
    let mut codecs: Vec<_> = compression.into_iter().collect();
    codecs.push(Arc::new(Crc32cCodec::new()));
    let data_type = match layout.dtype {
        StoreDtype::F16 => data_type::float16(),
        StoreDtype::F32 => data_type::float32(),
        StoreDtype::Bf16 => data_type::bfloat16(),
        StoreDtype::I8 => data_type::int8(),
        StoreDtype::I4 => data_type::uint8(),
    };
    let zero: FillValueMetadata = match layout.dtype {
        StoreDtype::I8 | StoreDtype::I4 => 0.into(),
        _ => 0.0.into(),
    };
    let mut builder = ArrayBuilder::new(
        vec![layout.tokens, layers, hidden],
        vec![layout.file_tokens(), layers, hidden],
        data_type,
        zero,
    );
    builder
        .subchunk_shape(vec![layout.chunk_tokens, layers, hidden])
        .bytes_to_bytes_codecs(codecs)
        .chunk_key_encoding_default_separator(ChunkKeySeparator::Dot)
        .dimension_names(["tokens", "layers", "hidden"].into());
    build(&builder, "hidden_states")
}

/// What is to be said about a small array; one of two dimensions has `classes` as its second.
pub(crate) struct ColumnMetadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) dimension: &'a str,
    /// The second dimension, if there is one.
    pub(crate) columns: Option<&'a str>,
    pub(crate) data_type: DataType,
    pub(crate) shape: ColumnShape,
    pub(crate) file: &'a [u8],
    pub(crate) labels: Option<(Level, &'a [String])>,
}

/// `zarr.json` of a small array.
pub(crate) fn column(column: &ColumnMetadata<'_>) -> Result<Vec<u8>, StoreError> {
    let shape = &column.shape;
    let mut attribute = json!({ "bytes": column.file.len(), "crc32c": crate::layout::shard::checksum_text(crc32c::crc32c(column.file)) });
    if let Some((level, classes)) = &column.labels {
        attribute["level"] = json!(level);
        attribute["classes"] = json!(classes);
    }
    let sizes = |rows: u64| match column.columns {
        Some(_) => vec![rows, shape.width],
        None => vec![rows],
    };
    let zero: FillValueMetadata = if column.data_type == data_type::float32() {
        0.0.into()
    } else {
        0.into()
    };
    let mut builder = ArrayBuilder::new(
        sizes(shape.length),
        sizes(shape.shard),
        column.data_type.clone(),
        zero,
    );
    let names: Vec<&str> = [Some(column.dimension), column.columns]
        .into_iter()
        .flatten()
        .collect();
    builder
        .subchunk_shape(sizes(shape.inner))
        .chunk_key_encoding_default_separator(ChunkKeySeparator::Dot)
        .dimension_names(names.into())
        .attributes(attributes(attribute));
    build(&builder, column.name)
}

fn build(builder: &ArrayBuilder, name: &str) -> Result<Vec<u8>, StoreError> {
    let metadata = builder
        .build_metadata()
        .map_err(|error| StoreError::Metadata {
            path: name.into(),
            what: error.to_string(),
        })?;
    Ok(pretty(&metadata))
}

/// The attribute `activation_cache` of a group or array, none if the file is not there.
pub(crate) fn read_attribute(zarr_json: &Path) -> Result<Option<Value>, StoreError> {
    let bytes = match fs_err::read(zarr_json) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(error)),
    };
    let mut metadata: Value = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::damaged(zarr_json, format!("is no JSON: {error}")))?;
    Ok(metadata
        .pointer_mut(&format!("/attributes/{ATTRIBUTE}"))
        .map(Value::take))
}

/// The manifest of a store and its identity.
pub(crate) fn read_manifest(store: &Path) -> Result<(Manifest, String), StoreError> {
    let zarr_json = store.join("zarr.json");
    let Some(value) = read_attribute(&zarr_json)? else {
        let reason = if zarr_json.exists() {
            "zarr.json has no manifest"
        } else {
            "no zarr.json"
        };
        return Err(StoreError::no_store(store, reason));
    };
    let found = value
        .get("format_version")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if found > u64::from(crate::FORMAT_VERSION) {
        return Err(StoreError::NewerVersion {
            path: store.to_owned(),
            found,
        });
    }
    let identity = crate::manifest::identity_of(&value);
    let manifest: Manifest = serde_json::from_value(value).map_err(|error| {
        StoreError::damaged(&zarr_json, format!("the manifest cannot be read: {error}"))
    })?;
    if manifest.layers.is_empty() || manifest.hidden == 0 || manifest.chunk_tokens == 0 {
        let what = format!(
            "the manifest has {} layers of width {} and chunks of {} tokens: this program cannot read that",
            manifest.layers.len(),
            manifest.hidden,
            manifest.chunk_tokens,
        );
        return Err(StoreError::damaged(&zarr_json, what));
    }
    Ok((manifest, identity))
}
