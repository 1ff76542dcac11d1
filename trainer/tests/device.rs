//! Training on activations in a device's memory, here the CPU's: kept there whole or brought there
//! batch by batch, a head alone or several as one, it is the training that the kernels of the CPU
//! give.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cache::{Io, Store, StoreDtype};
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::signals::StopFlag;
use shared::tasks::Task;
use shared::terminal::{Terminal, Verbosity};
use tch::Device;
use testing::labelled::{Recipe, build};
use trainer::batches::{self, BatchSize, LabelledSplit, LoadError, Placement, Resident, Stream};
use trainer::evaluation;
use trainer::head::{self, AnyHead, HeadKind, HeadOptions};
use trainer::metrics::{self, Event};
use trainer::run::{self, Existing, Settings};
use trainer::schedule::ScheduleKind;
use trainer::training::{self, Data, Job, Order, Outcome, TrainingError};

/// Where the activations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Store,
    Resident,
    /// Without the means of the whole split.
    Bare,
    Streamed,
}

fn split(store: &Store, name: SplitName, place: Where) -> LabelledSplit<'_> {
    let split = LabelledSplit::open(store, name, Task::Ner).unwrap();
    let placement = match place {
        Where::Store => Placement::Stored,
        Where::Resident | Where::Bare => {
            let (mut tokens, mut pieces) = (0, 0);
            let resident = Resident::load(split.reader, Device::Cpu, |loaded| {
                tokens += loaded;
                pieces += 1;
            });
            assert_eq!((tokens, pieces), (split.reader.tokens() as u64, 4));
            let resident = resident.unwrap();
            Placement::Resident(Arc::new(match place {
                Where::Bare => resident.without_means(),
                _ => resident,
            }))
        }
        Where::Streamed => Placement::Streamed(Stream::new(split.reader, Device::Cpu)),
    };
    split.placed(placement)
}

fn settings(seed: u64, learning_rate: f64) -> Settings {
    Settings {
        epochs: 3,
        learning_rate,
        schedule: ScheduleKind::OneCycle,
        warm_up: None,
        batch_size: BatchSize::Sentences(8),
        gradient_clip: 1.0,
        weight_decay: 0.0,
        seed,
        order_seed: Some(5),
        shuffle: true,
        patience: None,
        limit_train: None,
        init_weights: None,
    }
}

/// A run: its head and how it is trained.
type Planned = (HeadOptions, Settings);

fn planned(kind: &str, settings: Settings) -> Planned {
    let kind: HeadKind = kind.parse().unwrap();
    (HeadOptions::new(kind, vec![0, 1, 2], 8, 5), settings)
}

/// Trains runs that share their batches into `folder/0`, `folder/1`, ...
fn train(
    folder: &Path,
    store: &Store,
    place: Where,
    runs: &[Planned],
    stop: &StopFlag,
) -> Vec<Result<Outcome, TrainingError>> {
    tch::set_num_threads(1);
    let (train, validation) = (
        split(store, SplitName::Train, place),
        split(store, SplitName::Validation, place),
    );
    let mut heads = Vec::new();
    for (place, (options, settings)) in runs.iter().enumerate() {
        let classes = train.table.classes.clone();
        let config = run::config(Task::Ner, classes, options.clone(), settings.clone(), store);
        let folder = folder.join(place.to_string());
        run::prepare(&folder, &config, Existing::Resume).unwrap();
        let head: Box<AnyHead> = head::build(options, Device::Cpu, settings.seed).unwrap();
        heads.push((folder, config, head));
    }
    let jobs = heads.iter_mut().map(|(folder, config, head)| Job {
        folder,
        config,
        head: head.as_mut(),
        name: Some("run"),
    });
    let data = Data {
        train: &train,
        validation: Some(&validation),
    };
    let (order, terminal) = (
        Order::from_settings(&runs[0].1),
        Terminal::new(Verbosity::Quiet, false),
    );
    let trained = training::train(jobs.collect(), order, &data, 1, &terminal, stop).unwrap();
    let outcome = |trained: Result<training::Trained, _>| trained.map(|trained| trained.outcome);
    trained.into_iter().map(outcome).collect()
}

/// Loss and gradient norm of every step, and the validation score of every epoch.
fn measured(folder: &Path) -> (Vec<(f64, f64)>, Vec<f64>) {
    let (mut steps, mut scores) = (Vec::new(), Vec::new());
    for event in metrics::read(folder).unwrap() {
        match event {
            Event::Step(step) => {
                assert_eq!(step.step, steps.len() as u64 + 1);
                steps.push((step.loss, step.gradient_norm));
            }
            Event::Epoch(epoch) => {
                assert!(epoch.seconds > 0.0 && epoch.tokens_per_second > 0.0);
                scores.push(epoch.validation.unwrap().value);
            }
            Event::Final(_) => {}
        }
    }
    (steps, scores)
}

fn assert_near(what: &str, got: &Path, expected: &Path) {
    let ((steps, scores), (expected, expected_scores)) = (measured(got), measured(expected));
    assert_eq!(steps.len(), expected.len(), "{what}");
    for (step, (got, expected)) in steps.iter().zip(&expected).enumerate() {
        let near = |got: f64, expected: f64| (got - expected).abs() <= 1e-4 * expected;
        assert!(
            near(got.0, expected.0) && near(got.1, expected.1),
            "{what}, step {step}: {got:?} for {expected:?}"
        );
    }
    // A token whose best classes are as good as equal may go either way.
    for (got, expected) in scores.iter().zip(&expected_scores) {
        assert!(
            (got - expected).abs() <= 0.01,
            "{what}: {scores:?} for {expected_scores:?}"
        );
    }
}

fn toy(sentences: usize, store_dtype: StoreDtype) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        sentences,
        store_dtype,
        ..Recipe::default()
    };
    let path = build(folder.path(), &recipe);
    let store = Store::open(&path, Io::Auto).unwrap();
    (folder, store)
}

#[test]
fn a_training_is_the_same_wherever_the_activations_are() {
    same_everywhere(
        StoreDtype::F16,
        &[
            "adapter",
            "attention-fusion",
            "scalar-mix",
            "last",
            "concat:0,2",
        ],
    );
}

#[test]
fn a_training_is_the_same_in_every_number_format() {
    for dtype in [
        StoreDtype::F32,
        StoreDtype::Bf16,
        StoreDtype::I8,
        StoreDtype::I4,
    ] {
        same_everywhere(dtype, &["adapter"]);
    }
}

fn same_everywhere(dtype: StoreDtype, kinds: &[&str]) {
    let (folder, store) = toy(150, dtype);
    for kind in kinds {
        let runs = [planned(kind, settings(1, 1e-2))];
        let others = [Where::Bare, Where::Streamed];
        for place in [Where::Store, Where::Resident].into_iter().chain(others) {
            let folder = folder.path().join(format!("{kind}-{place:?}"));
            let done = train(&folder, &store, place, &runs, &StopFlag::default());
            assert!(matches!(done.as_slice(), [Ok(Outcome::Done)]), "{kind}");
        }
        let of = |place: Where| folder.path().join(format!("{kind}-{place:?}/0"));
        assert_near(kind, &of(Where::Resident), &of(Where::Store));
        for other in others {
            assert_eq!(
                measured(&of(Where::Resident)),
                measured(&of(other)),
                "{kind}"
            );
        }
    }
}

/// Seeds, learning rates and limits of norms in any combination, and a head of another shape among them.
#[test]
fn heads_as_one_are_trained_as_each_alone() {
    let (folder, store) = toy(150, StoreDtype::F16);
    let mut runs: Vec<Planned> = [(1, 1e-2), (2, 1e-2), (2, 3e-3), (9, 1e-3)]
        .map(|(seed, rate)| planned("adapter", settings(seed, rate)))
        .into();
    runs[3].1.gradient_clip = 0.0;
    runs[2].1.weight_decay = 0.1;
    runs.insert(2, planned("scalar-mix", settings(3, 1e-2)));
    let grouped = folder.path().join("grouped");
    let done = train(
        &grouped,
        &store,
        Where::Resident,
        &runs,
        &StopFlag::default(),
    );
    assert!(
        done.iter().all(|done| matches!(done, Ok(Outcome::Done))),
        "{done:?}"
    );
    for (place, run) in runs.iter().enumerate() {
        let alone = folder.path().join(format!("alone-{place}"));
        let run = std::slice::from_ref(run);
        let done = train(&alone, &store, Where::Store, run, &StopFlag::default());
        assert!(matches!(done.as_slice(), [Ok(Outcome::Done)]));
        let what = format!("run {place}");
        assert_near(&what, &grouped.join(place.to_string()), &alone.join("0"));
    }
}

#[test]
fn a_flipped_bit_is_found_on_the_way_to_a_device() {
    let (_folder, store) = toy(150, StoreDtype::F16);
    let file = store.path().join("train/hidden_states/c.0.0.0");
    let mut bytes = fs_err::read(&file).unwrap();
    bytes[1000] ^= 4;
    fs_err::write(&file, bytes).unwrap();
    for io in [Io::Mmap, Io::Read, Io::Ram] {
        let store = Store::open(store.path(), io).unwrap();
        let reader = store.split(SplitName::Train).unwrap();
        let told = Resident::load(reader, Device::Cpu, |_| ()).unwrap_err();
        assert_eq!(told.exit_status(), ExitStatus::Machine);
        assert!(
            told.to_string().contains("train/hidden_states/c.0.0.0"),
            "{told}"
        );
        let split = split(&store, SplitName::Train, Where::Streamed);
        let batches = [vec![0], vec![1]];
        let taken = batches::for_each_batch(&split, &batches, 0, &mut [()], 1, |(), _| {
            Ok::<_, LoadError>(ControlFlow::Continue(()))
        });
        let told = taken.unwrap_err().to_string();
        assert!(told.contains("sentence 1 of train"), "{told}");
    }
}

#[test]
fn heads_as_one_predict_what_each_predicts_alone() {
    let (_folder, store) = toy(100, StoreDtype::F16);
    let kinds = [
        "adapter",
        "last",
        "adapter",
        "attention-fusion",
        "adapter",
        "last",
    ];
    let heads = kinds.iter().zip(1..).map(|(kind, seed)| {
        let (options, _) = planned(kind, settings(seed, 1e-2));
        head::build(&options, Device::Cpu, seed).unwrap()
    });
    let mut heads: Vec<Box<AnyHead>> = heads.collect();
    let of = |place| split(&store, SplitName::Validation, place);
    let size = BatchSize::Sentences(7);
    let all = heads.iter_mut().map(AsMut::as_mut).collect();
    let (on_device, never) = (of(Where::Resident), StopFlag::default());
    let grouped = evaluation::predict_all(all, &on_device, size, 1, &never).unwrap();
    assert_eq!(grouped.len(), kinds.len());
    let stored = of(Where::Store);
    let mut different = Vec::new();
    for (grouped, head) in grouped.into_iter().zip(&mut heads) {
        let (grouped, alone) = (
            grouped.unwrap(),
            evaluation::predict(head.as_mut(), &stored, size).unwrap(),
        );
        assert_eq!(grouped.labels(&stored), alone.labels(&stored));
        assert!((grouped.loss - alone.loss).abs() < 1e-5 * alone.loss);
        different.push(grouped.loss);
    }
    different.dedup();
    assert_eq!(different.len(), kinds.len(), "each head has its own");
}

#[test]
fn a_head_that_diverges_ends_alone() {
    let (folder, store) = toy(100, StoreDtype::F16);
    let mut runs: Vec<Planned> = [1, 2, 3]
        .map(|seed| planned("adapter", settings(seed, 1e-2)))
        .into();
    runs[1].1.learning_rate = 1e30;
    runs[1].1.gradient_clip = 0.0;
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    let done = train(&with, &store, Where::Resident, &runs, &StopFlag::default());
    let Err(TrainingError::Diverged { step, epoch, .. }) = &done[1] else {
        panic!("{:?}", done[1])
    };
    assert!(*epoch == 1 && *step < 13, "step {step} of epoch {epoch}");
    assert_eq!(measured(&with.join("1")).0.len() as u64, step - 1);
    runs.remove(1);
    let done = train(
        &without,
        &store,
        Where::Resident,
        &runs,
        &StopFlag::default(),
    );
    assert!(done.iter().all(Result::is_ok));
    assert_near("first", &with.join("0"), &without.join("0"));
    assert_near("last", &with.join("2"), &without.join("1"));
}

/// One step an epoch, and weights that are a hundred thousand times as large each time: the
/// validation comes to it first.
#[test]
fn a_head_whose_validation_loss_is_nan_ends_alone() {
    let (folder, store) = toy(100, StoreDtype::F16);
    let mut runs: Vec<Planned> = [1, 2]
        .map(|seed| planned("layer:1", settings(seed, 1e-3)))
        .into();
    runs[1].1.weight_decay = 1e8;
    for (options, settings) in &mut runs {
        options.classifier_size = 0;
        settings.epochs = 20;
        settings.schedule = ScheduleKind::Constant;
        settings.batch_size = BatchSize::Sentences(1000);
    }
    let done = train(
        folder.path(),
        &store,
        Where::Resident,
        &runs,
        &StopFlag::default(),
    );
    assert!(matches!(done[0], Ok(Outcome::Done)), "{:?}", done[0]);
    let Err(TrainingError::Diverged { what, epoch, .. }) = &done[1] else {
        panic!("{:?}", done[1])
    };
    assert_eq!(*what, "validation loss");
    let (steps, scores) = measured(&folder.path().join("1"));
    assert_eq!((steps.len(), scores.len()), (*epoch, epoch - 1));
}

#[test]
fn heads_as_one_that_are_stopped_end_as_if_they_never_were() {
    let (folder, store) = toy(150, StoreDtype::F16);
    let runs: Vec<Planned> = [1, 2]
        .map(|seed| planned("adapter", settings(seed, 1e-2)))
        .into();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    train(&whole, &store, Where::Resident, &runs, &StopFlag::default());
    let mut stops: u64 = 0;
    loop {
        // Each time a little later: before the first step, in the middle of epochs, during validation.
        let stop = StopFlag::default();
        let wait = Duration::from_millis(20 * stops);
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(wait);
                stop.stop();
            });
            train(&stopped, &store, Where::Streamed, &runs, &stop)
        });
        if done.iter().all(|done| matches!(done, Ok(Outcome::Done))) {
            break;
        }
        assert!(
            done.iter().all(|done| matches!(done, Ok(Outcome::Stopped))),
            "{done:?}"
        );
        stops += 1;
    }
    assert!(stops > 0);
    for run in ["0", "1"] {
        assert_eq!(
            measured(&stopped.join(run)),
            measured(&whole.join(run)),
            "{stops} stops"
        );
        let weights =
            |folder: &Path| fs_err::read(folder.join(run).join("adapter.safetensors")).unwrap();
        assert_eq!(weights(&stopped), weights(&whole), "{stops} stops");
    }
}

/// cuBLAS looks for its variable when libtorch starts: the launcher sets it before, unless the user has.
#[test]
fn the_launcher_sets_what_deterministic_runs_need() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let launcher = folder.path().join("trainer");
    fs_err::copy(assert_cmd::cargo::cargo_bin!("trainer"), &launcher).unwrap();
    let program = folder.path().join("trainer-torch");
    fs_err::write(&program, "#!/bin/sh\necho \"[$CUBLAS_WORKSPACE_CONFIG]\"\n").unwrap();
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let said = |arguments: &[&str], set: Option<&str>| {
        let mut command = Command::new(&launcher);
        command.arg("doctor").args(arguments);
        command.env("LIBTORCH", shared::native::torch().unwrap().folder);
        match set {
            Some(value) => command.env("CUBLAS_WORKSPACE_CONFIG", value),
            None => command.env_remove("CUBLAS_WORKSPACE_CONFIG"),
        };
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said(&["--deterministic"], None), "[:4096:8]\n");
    assert_eq!(said(&["--deterministic"], Some(":16:8")), "[:16:8]\n");
    assert_eq!(said(&[], None), "[]\n");
}
