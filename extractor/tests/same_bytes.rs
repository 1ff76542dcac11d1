//! Stores keep their bytes. What depends on the encoder's arithmetic differs between kinds of CPUs, so
//! it is compared on one machine: in every number format and compression, of all layers or some, with
//! long sentences in windows or cut off, a store that several processes filled is that of one. What
//! depends on text and tokenizer alone is compared with recorded digests.
//!
//! `INSTA_UPDATE=always cargo test -p extractor --test same_bytes` records them anew.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use cache::{Codec, StoreDtype};
use clap::ValueEnum;
use common::{Toy, stderr, tree};
use shared::files::sha256_file;

/// Many parts of a few sentences.
const SMALL: [&str; 6] = [
    "--part-bytes",
    "16000",
    "--max-batch-tokens",
    "64",
    "--max-length",
    "8",
];

fn extract(toy: &Toy, root: &Path, options: &str) {
    let output = toy
        .program()
        .args(toy.arguments(root))
        .args(SMALL)
        .args(options.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{options}: {}", stderr(&output));
}

/// The options for every way to store hidden states, found by the names that the command line takes.
fn ways() -> Vec<String> {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned())
    };
    let dtypes = StoreDtype::value_variants().iter();
    let dtypes = dtypes.filter_map(|dtype| name(&|| dtype.to_possible_value()));
    let codecs = Codec::value_variants().iter();
    let codecs = codecs.filter_map(|codec| name(&|| codec.to_possible_value()));
    let mut ways: Vec<String> = dtypes
        .map(|dtype| format!("--store-dtype {dtype}"))
        .collect();
    ways.extend(codecs.map(|codec| format!("--compression {codec}")));
    ways.push("--layers 0,-1".to_owned());
    ways.push("--long truncate".to_owned());
    ways
}

#[test]
fn a_store_of_any_kind_has_the_same_bytes_from_several_processes() {
    let toy = Toy::new();
    let ways = ways();
    assert!(ways.len() >= 8, "{ways:?}");
    for (number, way) in ways.iter().enumerate() {
        let [whole, shared] =
            ["whole", "shared"].map(|name| toy.path().join(format!("{name}-{number}")));
        extract(&toy, &whole, way);
        // A share of the parts, and another process that does the rest.
        extract(&toy, &shared, &format!("{way} --shard 2/2"));
        let part_of = tree(&shared);
        assert!(
            !part_of.keys().any(|file| file.ends_with("done.json")),
            "{way}"
        );
        extract(&toy, &shared, way);
        let (whole, shared) = (tree(&whole), tree(&shared));
        assert!(whole.len() > 20, "{way}");
        assert!(whole.keys().eq(shared.keys()), "{way}");
        for (file, bytes) in &whole {
            assert!(shared[file] == *bytes, "{way}: {file} differs");
        }
    }
}

#[test]
fn what_does_not_depend_on_arithmetic_has_the_recorded_bytes() {
    let toy = Toy::new();
    let folder = toy.path().display().to_string();
    for long in ["split", "truncate"] {
        let root = toy.path().join(long);
        extract(&toy, &root, &format!("--long {long}"));
        let store = root.join("toy-bert--names.zarr");
        let mut recorded = String::new();
        for file in tree(&store).keys() {
            let depends_on_arithmetic = file.contains("hidden_states")
                || file.starts_with("progress")
                || file.ends_with("done.json")
                || file == "zarr.json";
            if !depends_on_arithmetic {
                let digest = sha256_file(store.join(file)).unwrap();
                writeln!(recorded, "{digest} {file}").unwrap();
            }
        }
        let root = fs_err::read_to_string(store.join("zarr.json")).unwrap();
        let mut root: serde_json::Value = serde_json::from_str(&root).unwrap();
        let manifest = &mut root["attributes"]["activation_cache"];
        manifest.as_object_mut().unwrap().remove("versions");
        let manifest = serde_json::to_string_pretty(manifest).unwrap();
        recorded.push_str(&manifest.replace(&folder, "FOLDER"));
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(format!("bytes-long-{long}"), recorded);
        });
    }
}
