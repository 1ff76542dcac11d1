//! Training: gathering batches, and a step of each head. BERT-base's shape: 13 hidden states of width 768.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::convert::Infallible;
use std::ops::ControlFlow;

use benchmarks::{CLASSES, Sample};
use cache::{Io, Store, StoreDtype};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shared::datasets::SplitName;
use shared::tasks::Task;
use tch::Device;
use trainer::batches::{self, BatchSize, LabelledBatch, LabelledSplit};
use trainer::head::{self, Dropout, HeadOptions};
use trainer::optimiser::{Adam, AdamOptions, clip_gradient_norm};

const LAYERS: usize = 13;
const HIDDEN: usize = 768;
const HEADS: [&str; 6] = [
    "adapter",
    "attention-fusion",
    "scalar-mix",
    "last",
    "layer:6",
    "concat:0,6,12",
];

/// Those that read all layers, as stores of another number format are compared with float16.
const READ_ALL: [&str; 2] = ["adapter", "scalar-mix"];

fn heads(criterion: &mut Criterion) {
    measure(criterion, "training", StoreDtype::F16, &HEADS);
    measure(criterion, "training, int4", StoreDtype::I4, &READ_ALL);
}

fn measure(criterion: &mut Criterion, name: &str, dtype: StoreDtype, heads: &[&str]) {
    let threads = shared::resources::threads();
    tch::set_num_threads(i32::try_from(threads).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.zarr");
    let sample = Sample::new(8_000, LAYERS, HIDDEN, dtype);
    sample.write(&path).unwrap();
    let store = Store::open(&path, Io::Mmap).unwrap();
    let split = LabelledSplit::open(&store, SplitName::Train, Task::Pos).unwrap();
    let order = batches::shuffled(&split.members(), 1, 1);
    let length = |sentence: usize| split.tokens(sentence).len();
    let cut = batches::cut(&order, BatchSize::Sentences(32), length);

    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(sample.tokens()));
    group.sample_size(10);
    group.bench_function("gather", |bencher| {
        bencher.iter(|| {
            let mut tokens = 0;
            each(&split, &cut, |batch| tokens += batch.activations.tokens());
            tokens
        });
    });
    for &name in heads {
        let options = HeadOptions::new(
            name.parse().unwrap(),
            (0..LAYERS).collect(),
            HIDDEN,
            CLASSES,
        );
        let mut head = head::build(&options, Device::Cpu, 1).unwrap();
        let mut adam = Adam::new(head.parameters(), AdamOptions::default());
        group.bench_function(format!("logits, {name}"), |bencher| {
            bencher.iter(|| {
                let head = &mut head;
                each(&split, &cut, move |batch| {
                    drop(head.logits(&batch.activations).unwrap());
                });
            });
        });
        let mut step = 0;
        group.bench_function(format!("epoch, {name}"), |bencher| {
            bencher.iter(|| {
                let (head, adam, step) = (&mut head, &mut adam, &mut step);
                each(&split, &cut, move |batch| {
                    let dropout = Some(Dropout::at(1, *step));
                    let mut learned = head
                        .loss_and_gradients(&batch.activations, &batch.targets, dropout)
                        .unwrap();
                    clip_gradient_norm(&mut learned.gradients, 1.0).unwrap();
                    adam.step(head.parameters(), &learned.gradients, 1e-3, Some(0.9))
                        .unwrap();
                    *step += 1;
                });
            });
        });
    }
    group.finish();
}

/// Every batch of an epoch, gathered ahead in another thread.
fn each(
    split: &LabelledSplit<'_>,
    cut: &[Vec<usize>],
    mut use_it: impl FnMut(&LabelledBatch<'_>) + Send,
) {
    let taken = batches::for_each_batch(split, cut, 0, &mut [&mut use_it], 1, |use_it, batch| {
        use_it(batch);
        Ok::<_, Infallible>(ControlFlow::Continue(()))
    });
    taken.unwrap();
}

criterion_group!(benches, heads);
criterion_main!(benches);
