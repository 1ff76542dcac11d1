//! Every parser that meets foreign bytes, under libFuzzer: `FUZZ_TARGET` names the one that gets the inputs (libFuzzer
//! keeps the command line for itself). A panic, an overflow, a hang, or memory beyond ten times the input is a find.
//! `benchmarks/fuzz/run` builds this and runs one target or all.

#![no_main]

mod bytes;
mod data;
mod memory;
mod model;
mod place;
mod store;
mod sweep;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use crate::memory::Allowance;

/// A parser: what it is called, what it may take beyond ten times its input, and how it is fed.
struct Target {
    name: &'static str,
    allowance: Allowance,
    feed: fn(&[u8]),
}

const fn target(name: &'static str, megabytes: usize, feed: fn(&[u8])) -> Target {
    Target {
        name,
        allowance: Allowance::megabytes(megabytes),
        feed,
    }
}

/// The allowances are buffers and fixed tables of the parsers; that of parquet is the decoded page
/// of a file whose pages are compressed.
const TARGETS: [Target; 21] = [
    target("columns", 2, data::columns),
    target("conllu", 2, data::conllu),
    target("jsonl", 2, data::jsonl),
    target("spans", 2, data::spans),
    target("tags", 2, data::tags),
    target("misc", 2, data::misc),
    target("csv", 2, data::csv),
    target("tsv", 2, data::tsv),
    target("label_text", 2, data::label_text),
    target("parquet", 64, data::parquet),
    target("card", 2, data::card),
    target("config", 2, model::config),
    target("safetensors", 2, model::safetensors),
    target("index", 2, model::index),
    target("tokenizer", 8, model::tokenizer),
    target("run", 2, model::run),
    target("manifest", 4, store::manifest),
    target("done", 4, store::done),
    target("progress", 4, store::progress),
    target("arrays", 4, store::arrays),
    target("sweep", 64, sweep::file),
];

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
            eprintln!(
                "FUZZ_TARGET must be one of {}, not {name:?}",
                names.join(" ")
            );
            std::process::exit(1);
        };
        target
    })
}

fuzz_target!(|input: &[u8]| {
    let target = chosen();
    target.allowance.watch(input.len(), || (target.feed)(input));
});
