//! Other Zarr readers see the same numbers: `zarrs`, and zarr-python where there is one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cache::storage::MappedStorage;
use cache::{Codec, Io, SplitTables, Store, StoreDtype};
use serde_json::{Value, json};
use zarrs::array::{Array, ArrayBytes};

use testing::fixture::{Fixture, token_labels};

#[test]
fn zarrs_reads_every_array() {
    for (dtype, codec) in [
        (StoreDtype::F16, Codec::None),
        (StoreDtype::F32, Codec::Zstd),
        (StoreDtype::Bf16, Codec::Blosc),
        (StoreDtype::I8, Codec::None),
        (StoreDtype::I4, Codec::Blosc),
    ] {
        let fixture = Fixture::usual(dtype).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        fixture.fill(folder.path(), 0);
        let storage = Arc::new(MappedStorage::new(folder.path()));
        let read = |split, name: &str| {
            let array = Array::open(Arc::clone(&storage), &format!("/{split}/{name}")).unwrap();
            let all: ArrayBytes<'_> = array.retrieve_array_subset(&array.subset_all()).unwrap();
            (
                array.shape().to_vec(),
                all.into_fixed().unwrap().into_owned(),
            )
        };
        for table in &fixture.tables {
            let tokens = table.input_ids.len() as u64;
            let (shape, bytes) = read(table.name, "hidden_states");
            assert_eq!(shape, [tokens, 3, width(dtype)]);
            assert_eq!(bytes, fixture.rows(table.name, 0..tokens, &(0..0)).0);
            assert_eq!(
                read(table.name, "offsets").1,
                bytemuck::cast_slice::<_, u8>(&table.offsets)
            );
            assert_eq!(
                read(table.name, "input_ids").1,
                bytemuck::cast_slice::<_, u8>(&table.input_ids)
            );
            assert_eq!(
                read(table.name, "labels/pos").1,
                bytemuck::cast_slice::<_, u8>(&token_labels(table))
            );
            assert_eq!(
                read(table.name, "word_labels/pos").1,
                bytemuck::cast_slice::<_, u8>(&table.labels[0].ids)
            );
            assert_eq!(
                read(table.name, "word_bytes").1,
                table.words.concat().concat().as_bytes()
            );
        }
    }
}

/// Elements of a vector of eight values: with the four bytes of their scale in int8; in int4 four and four bytes.
fn width(dtype: StoreDtype) -> u64 {
    if dtype == StoreDtype::I8 { 12 } else { 8 }
}

#[test]
fn zarrs_reads_small_arrays_of_several_inner_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = vec![(shared::datasets::SplitName::Train, vec![100; 11_000])];
    let fixture = Fixture::new(
        &lengths,
        StoreDtype::F16,
        1,
        1,
        cache::ByteLimits::default(),
    );
    fixture.fill(folder.path(), 0);
    let array = Array::open(
        Arc::new(MappedStorage::new(folder.path())),
        "/train/input_ids",
    )
    .unwrap();
    let all: ArrayBytes<'_> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    assert_eq!(
        all.into_fixed().unwrap(),
        bytemuck::cast_slice::<_, u8>(&fixture.tables[0].input_ids)
    );
}

/// The decoder in the document is the one that zarr-python is tested with.
#[test]
fn the_decoder_of_the_document_is_the_tested_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs_err::read_to_string(root.join("tests/fixtures/read_store.py")).unwrap();
    let page = fs_err::read_to_string(root.join("../docs/format.md")).unwrap();
    let start = script.find("def signs_of(").unwrap();
    let length = script[start..].find("\n\n\ndef values_of(").unwrap();
    let decoder: Vec<&str> = script[start..start + length].lines().collect();
    assert!(decoder.len() <= 25, "{}", decoder.len());
    let indented = decoder.iter().map(|line| match line.len() {
        0 => String::new(),
        _ => format!("    {line}"),
    });
    let indented: Vec<String> = indented.collect();
    assert!(
        page.contains(&indented.join("\n")),
        "{}",
        indented.join("\n")
    );
}

#[test]
fn zarr_python_reads_the_same_numbers() {
    let Some(python) = std::env::var_os("PYTHON_WITH_ZARR") else {
        println!(
            "skipped: PYTHON_WITH_ZARR names no Python with zarr (`cargo xtask test` sets it)"
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/read_store.py");
    for (dtype, codec) in [
        (StoreDtype::F16, Codec::None),
        (StoreDtype::F32, Codec::None),
        (StoreDtype::F16, Codec::Zstd),
        (StoreDtype::F16, Codec::Blosc),
        (StoreDtype::F32, Codec::Blosc),
        (StoreDtype::I8, Codec::None),
        (StoreDtype::I8, Codec::Blosc),
        (StoreDtype::I4, Codec::None),
        (StoreDtype::I4, Codec::Zstd),
    ] {
        let fixture = Fixture::usual(dtype).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        fixture.fill(folder.path(), 0);
        let output = Command::new(&python)
            .arg(&script)
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["identity"], fixture.manifest.identity());
        for table in &fixture.tables {
            assert_eq!(
                found["splits"][table.name.to_string()],
                expected(&fixture, table)
            );
        }
    }
}

/// Sum of all values as they come back from the store, in thousandths.
fn sum_of_values(fixture: &Fixture, table: &SplitTables) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let store = Store::open(folder.path(), Io::Mmap).unwrap();
    let split = store.split(table.name).unwrap();
    let rows = split.rows(0..table.input_ids.len() as u64).unwrap();
    let mut values = vec![0.0; rows.tokens() * rows.layers() * rows.hidden()];
    rows.to_f32(&mut values);
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand values")]
    let sum = (values.iter().copied().map(f64::from).sum::<f64>() * 1e3).round() as i64;
    sum
}

/// What the script prints about a split.
fn expected(fixture: &Fixture, table: &SplitTables) -> Value {
    let tokens = table.input_ids.len() as u64;
    let sha256 = |bytes: &[u8]| shared::files::sha256_bytes(bytes);
    let classes = &table.labels[0].classes;
    let named = |ids: &[i32]| -> Vec<_> {
        ids.iter()
            .map(|&id| usize::try_from(id).ok().map(|id| &classes[id]))
            .collect()
    };
    json!({
        "shape": [tokens, 3, width(fixture.manifest.store_dtype)],
        "values": sum_of_values(fixture, table),
        "dtype": match fixture.manifest.store_dtype {
            StoreDtype::I4 => "uint8".to_owned(),
            dtype => dtype.to_string(),
        },
        "hidden_states": sha256(&fixture.rows(table.name, 0..tokens, &(0..0)).0),
        "offsets": table.offsets,
        "sentence_of": table.sentence_of,
        "input_ids": table.input_ids,
        "word_ids": table.word_ids,
        "words": table.words,
        "pos": named(&token_labels(table)),
        "word_pos": named(&table.labels[0].ids),
        "second_sequence": sha256(&fixture.rows(table.name, table.offsets[1]..table.offsets[2], &(0..0)).0),
    })
}
