//! Writing a store, and reading it in every mode: bytes of hidden states a second.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::path::Path;

use benchmarks::Sample;
use cache::{Io, Store, StoreDtype, verify};
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use shared::datasets::SplitName;

/// The shape of `MiniLM`, about 107 MB.
fn sample() -> Sample {
    Sample::new(20_000, 7, 384, StoreDtype::F16)
}

fn store(criterion: &mut Criterion) {
    let sample = sample();
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Bytes(sample.bytes()));
    group.sample_size(10);
    let path = folder.path().join("store.zarr");
    group.bench_function("write, synced", |bencher| write(bencher, &sample, &path));
    // What the program takes, without a disk.
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let path = memory.path().join("store.zarr");
        group.bench_function("write, in memory", |bencher| write(bencher, &sample, &path));
    }
    for (name, io) in [("mmap", Io::Mmap), ("read", Io::Read), ("ram", Io::Ram)] {
        let store = Store::open(&path, io).unwrap();
        let split = store.split(SplitName::Train).unwrap();
        // A stride that visits every sentence, none after its neighbour: as training does.
        let order: Vec<usize> = (0..split.len())
            .map(|sequence| sequence * 7919 % split.len())
            .collect();
        group.bench_function(format!("every byte, shuffled, {name}"), |bencher| {
            bencher.iter(|| {
                let mut sum = 0_u64;
                for &sequence in &order {
                    for piece in split.hidden_states(sequence).unwrap().pieces() {
                        let words = piece.as_chunks::<8>().0.iter();
                        sum = words
                            .fold(sum, |sum, &word| sum.wrapping_add(u64::from_le_bytes(word)));
                    }
                }
                sum
            });
        });
    }
    group.bench_function("verify", |bencher| {
        bencher.iter(|| verify::verify(&path, false, &|_, _| ()).unwrap());
    });
    group.finish();
    let mut group = criterion.benchmark_group("store, opening");
    group.bench_function("open", |bencher| {
        bencher.iter(|| Store::open(&path, Io::Mmap).unwrap());
    });
    group.finish();
}

fn write(bencher: &mut Bencher<'_>, sample: &Sample, path: &Path) {
    let remove = || {
        if path.exists() {
            fs_err::remove_dir_all(path).unwrap();
        }
    };
    bencher.iter_batched(
        remove,
        |()| sample.write(path).unwrap(),
        BatchSize::PerIteration,
    );
}

criterion_group!(benches, store);
criterion_main!(benches);
