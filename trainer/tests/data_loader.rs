//! The data loader: every consumer gets every batch, once and in order, also when others are slow, break
//! or fail.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

use std::ops::ControlFlow;
use std::time::Duration;

use cache::{Store, StoreError};
use shared::datasets::SplitName;
use shared::tasks::Task;
use testing::labelled::{Recipe, build};
use trainer::batches::{self, BatchSize, LabelledSplit, LoadError};

struct Consumer {
    number: usize,
    got: Vec<usize>,
}

#[derive(Debug)]
enum Trouble {
    Own,
}

/// What six consumers got of the batches from `first` on; the third leaves and the fourth fails at batch 5.
fn taken(split: &LabelledSplit<'_>, first: usize, workers: usize) -> (Vec<Vec<usize>>, Vec<bool>) {
    let cut = batches::cut(&split.members(), BatchSize::Sentences(7), |_| 1);
    let mut consumers: Vec<Consumer> = (0..6)
        .map(|number| Consumer {
            number,
            got: Vec::new(),
        })
        .collect();
    let ended = batches::for_each_batch(
        split,
        &cut,
        first,
        &mut consumers,
        workers,
        |consumer, batch| {
            assert_eq!(batch.sentences, cut[batch.index]);
            consumer.got.push(batch.index);
            // Some are slow, each at other batches.
            if (batch.index + consumer.number).is_multiple_of(5) {
                std::thread::sleep(Duration::from_millis(2));
            }
            match (consumer.number, batch.index) {
                (2, 5) => Ok(ControlFlow::Break(())),
                (3, 5) => Err(Trouble::Own),
                _ => Ok(ControlFlow::Continue(())),
            }
        },
    );
    let got = consumers.into_iter().map(|consumer| consumer.got).collect();
    let ended = ended.unwrap();
    (got, ended.iter().map(Result::is_ok).collect())
}

#[test]
fn everyone_gets_every_batch_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), &Recipe::default());
    let store = Store::open(&path, cache::Io::Auto).unwrap();
    let split = LabelledSplit::open(&store, SplitName::Train, Task::Ner).unwrap();
    for (first, workers) in [(0, 1), (0, 2), (3, 3), (0, 9), (28, 2), (40, 2)] {
        let (got, ended) = taken(&split, first, workers);
        let all: Vec<usize> = (first..29).collect();
        let some: Vec<usize> = (first..6).collect();
        for (number, got) in got.iter().enumerate() {
            let leaves = [2, 3].contains(&number) && first < 6;
            assert_eq!(
                got,
                if leaves { &some } else { &all },
                "{number} of {workers} from {first}"
            );
        }
        let fails = |number: usize| number == 3 && first < 6;
        assert_eq!(
            ended,
            (0..6).map(|number| !fails(number)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_worker_that_panics_lets_nobody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), &Recipe::default());
    let store = Store::open(&path, cache::Io::Auto).unwrap();
    let split = LabelledSplit::open(&store, SplitName::Train, Task::Ner).unwrap();
    let cut = batches::cut(&split.members(), BatchSize::Sentences(7), |_| 1);
    for workers in [1, 2] {
        let shared = std::panic::catch_unwind(|| {
            let mut consumers = [0, 1, 2];
            batches::for_each_batch(
                &split,
                &cut,
                0,
                &mut consumers,
                workers,
                |consumer, batch| {
                    assert!((*consumer, batch.index) != (1, 4), "as it happens");
                    Ok::<_, LoadError>(ControlFlow::Continue(()))
                },
            )
        });
        assert!(shared.is_err());
    }
}

#[test]
fn a_store_that_cannot_be_read_ends_it_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), &Recipe::default());
    let store = Store::open(&path, cache::Io::Auto).unwrap();
    let split = LabelledSplit::open(&store, SplitName::Train, Task::Ner).unwrap();
    // A sentence that is not there stands for a disk that fails.
    let cut = vec![vec![0], vec![1], vec![]];
    let mut consumers = [0, 0];
    let failed = batches::for_each_batch(&split, &cut, 0, &mut consumers, 2, |consumer, _| {
        *consumer += 1;
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    });
    assert!(matches!(failed, Err(LoadError::Batch(_))));
    assert!(consumers.iter().all(|&taken| taken <= 2));
}
