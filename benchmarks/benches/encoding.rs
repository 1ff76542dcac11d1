//! From words to hidden states: cutting, batching, running the graph. `MINILM_DIR` names the folder of
//! all-MiniLM-L6-v2, as `cargo xtask test` fetches it.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::path::PathBuf;

use benchmarks::sentence_length;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use extractor::batch::{Budget, batches};
use extractor::encoder::{Batch, Device, Encoder, EncoderOptions, Provider};
use extractor::model::ModelFiles;
use extractor::tokenizer::Tokenizer;
use shared::datasets::{Source, SplitName};
use testing::random::Random;

fn batching(criterion: &mut Criterion) {
    let mut random = Random::new(7);
    let mut offsets = vec![0_u64];
    for _ in 0..14_000 {
        offsets.push(offsets[offsets.len() - 1] + sentence_length(&mut random) as u64);
    }
    let sequences = offsets.len() - 1;
    let mut group = criterion.benchmark_group("batching");
    group.throughput(Throughput::Elements(offsets[sequences]));
    group.sample_size(20);
    group.bench_function("a part of CoNLL-2003's size", |bencher| {
        bencher.iter(|| batches(0..sequences, &offsets, Budget::new(2048, Provider::Cpu)));
    });
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let Some(folder) = std::env::var_os("MINILM_DIR").map(PathBuf::from) else {
        eprintln_skipped();
        return;
    };
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/example-ner");
    let data = Source::new(example).load().unwrap();
    let sentences = &data.split(SplitName::Train).unwrap().sentences;
    let words: Vec<Vec<&str>> = (0..sentences.len())
        .map(|sentence| sentences.words(sentence).collect())
        .collect();
    let tokenizer = Tokenizer::in_folder(&folder).unwrap();
    let ids: Vec<Vec<u32>> = words
        .iter()
        .map(|words| tokenizer.encode(words).unwrap().ids)
        .collect();
    let tokens = ids.iter().map(Vec::len).sum::<usize>() as u64;
    let mut group = criterion.benchmark_group("encoding");
    group.sample_size(10);
    group.throughput(Throughput::Elements(tokens));
    group.bench_function("tokenising, one thread", |bencher| {
        bencher.iter(|| {
            let cut = words.iter().map(|words| tokenizer.encode(words).unwrap());
            cut.map(|sub_words| sub_words.ids.len()).sum::<usize>()
        });
    });
    let files = ModelFiles::in_folder(&folder).unwrap();
    let options = EncoderOptions {
        device: Device::Cpu,
        threads: shared::resources::threads(),
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::load(&files, &options).unwrap();
    // Thirty-two sequences of 32 tokens: no padding, the graph alone.
    let sequence: Vec<u32> = (1000..1032).collect();
    let batch: Vec<&[u32]> = vec![&sequence; 32];
    group.throughput(Throughput::Elements(32 * 32));
    group.bench_function("graph, MiniLM, 32 x 32, all layers", |bencher| {
        bencher.iter_batched(
            || Batch::padded(&batch).unwrap(),
            |batch| encoder.encode(&batch).unwrap().layer(0)[[0, 0, 0]],
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

#[expect(clippy::print_stderr, reason = "a bench tells what it skips")]
fn eprintln_skipped() {
    eprintln!("skipped: tokenising and the graph (MINILM_DIR names no folder of all-MiniLM-L6-v2)");
}

criterion_group!(benches, batching, encoding);
criterion_main!(benches);
