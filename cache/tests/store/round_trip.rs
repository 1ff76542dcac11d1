//! What is written is read: any ragged set of sequences, any number format, any file sizes, every way of reading.

use cache::verify::verify;
use cache::{ByteLimits, Codec, Io, LabelTable, Reading, Store, StoreDtype, rotation};
use half::{bf16, f16};
use proptest::prelude::*;
use shared::datasets::SplitName;
use shared::tasks::Task;

use testing::fixture::{Fixture, scramble, token_labels};

const EVERY_IO: [Io; 4] = [Io::Auto, Io::Mmap, Io::Read, Io::Ram];

fn dtypes() -> impl Strategy<Value = StoreDtype> {
    prop_oneof![
        Just(StoreDtype::F16),
        Just(StoreDtype::F32),
        Just(StoreDtype::Bf16),
        Just(StoreDtype::I8),
        Just(StoreDtype::I4)
    ]
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::None), Just(Codec::Zstd), Just(Codec::Blosc)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_store_is_read_as_it_was_written(
        train in prop::collection::vec(1_usize..14, 1..40),
        test in prop::collection::vec(1_usize..5, 0..4),
        (dtype, codec) in (dtypes(), codecs()),
        (layers, hidden) in (1_usize..4, 1_usize..40),
        (chunk, files, parts) in (1_u64..700, 1_u64..4, 1_u64..3),
        (seed, checksums) in (any::<u64>(), any::<bool>()),
    ) {
        let lengths = vec![(SplitName::Train, train), (SplitName::Test, test)];
        let limits = ByteLimits { chunk, file: chunk * files, part: chunk * files * parts };
        let fixture = Fixture::new(&lengths, dtype, layers, hidden, limits).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.zarr");
        fixture.fill(&path, seed);
        prop_assert_eq!(verify(&path, false, &|_, _| ()).unwrap().problems, []);
        for io in EVERY_IO {
            check(&fixture, &Store::open(&path, Reading { io, checksums }).unwrap(), seed);
        }
    }
}

/// Every array of every split, and every sequence in an order that `seed` chooses.
fn check(fixture: &Fixture, store: &Store, seed: u64) {
    assert_eq!(store.manifest(), &fixture.manifest);
    for table in &fixture.tables {
        let split = store.split(table.name).unwrap();
        assert_eq!(split.offsets(), table.offsets);
        assert_eq!(split.sentence_of(), table.sentence_of);
        assert_eq!(split.input_ids(), table.input_ids);
        assert_eq!(split.word_ids(), table.word_ids);
        assert_eq!(
            (split.len(), split.tokens()),
            (table.sentence_of.len(), table.input_ids.len())
        );
        let words: Vec<_> = (0..split.sentences())
            .map(|sentence| split.words(sentence))
            .collect();
        assert_eq!(words, table.words);
        let LabelTable {
            task,
            classes,
            level,
            ids,
            words,
            heads,
            ..
        } = split.labels(Task::Pos).unwrap();
        assert!(heads.is_none());
        let expected = &table.labels[0];
        assert_eq!(
            (task, classes, level, &ids[..], words.as_deref().unwrap()),
            (
                &expected.task,
                &expected.classes,
                &expected.level,
                &token_labels(table)[..],
                &expected.ids[..]
            )
        );
        let mut sequences: Vec<usize> = (0..split.len()).collect();
        sequences.sort_by_key(|&sequence| scramble(seed ^ sequence as u64));
        check_range(fixture, store, table.name, seed);
        for sequence in sequences {
            split.will_need(sequence);
            check_sequence(fixture, store, table.name, sequence);
        }
        assert!(split.hidden_states(split.len()).is_err());
    }
}

/// All rows at once, and some from the middle, across sequences.
fn check_range(fixture: &Fixture, store: &Store, split: SplitName, seed: u64) {
    let reader = store.split(split).unwrap();
    let tokens = reader.tokens() as u64;
    let start = seed % (tokens + 1);
    let end = start + seed / 7 % (tokens - start + 1);
    for range in [0..tokens, start..end] {
        let (expected, _) = fixture.rows(split, range.clone(), &(0..0));
        let rows = reader.rows(range).unwrap();
        assert_eq!(rows.pieces().collect::<Vec<_>>().concat(), expected);
    }
}

fn check_sequence(fixture: &Fixture, store: &Store, split: SplitName, sequence: usize) {
    let reader = store.split(split).unwrap();
    let hidden = reader.hidden_states(sequence).unwrap();
    let tokens = reader.tokens_of(sequence).unwrap();
    let (expected, _) = fixture.rows(split, tokens.clone(), &(0..0));
    assert_eq!(hidden.pieces().collect::<Vec<_>>().concat(), expected);
    for (token, row) in expected
        .chunks_exact(fixture.manifest.row_bytes())
        .enumerate()
    {
        assert_eq!(hidden.row(token), row);
    }
    let mut values = vec![0.0; hidden.tokens() * hidden.layers() * hidden.hidden()];
    hidden.to_f32(&mut values);
    let rounded: Vec<f32> = tokens
        .flat_map(|token| fixture.values(split, token))
        .map(|value| match hidden.dtype() {
            StoreDtype::F16 => f16::from_f32(value).to_f32(),
            StoreDtype::Bf16 => bf16::from_f32(value).to_f32(),
            StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => value,
        })
        .collect();
    let vectors = values
        .chunks_exact(hidden.hidden())
        .zip(rounded.chunks_exact(hidden.hidden()));
    match hidden.dtype() {
        StoreDtype::I8 => vectors.for_each(|(back, vector)| check_int8(back, vector)),
        StoreDtype::I4 => vectors.for_each(|(back, vector)| check_int4(back, vector)),
        _ => assert_eq!(values, rounded),
    }
}

/// Each value is off by at most half a step.
fn check_int8(back: &[f32], vector: &[f32]) {
    let largest = vector
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    for (back, value) in back.iter().zip(vector) {
        assert!(
            (back - value).abs() <= largest / 254.0 * 1.000_1,
            "{back} {value}"
        );
    }
}

/// All values together are off by at most half a step of the widest scale for each.
fn check_int4(back: &[f32], vector: &[f32]) {
    let mut rotated = vector.to_vec();
    rotation::rotate(&mut rotated);
    let largest = rotated
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    let step = f64::from(largest) / 7.5;
    let apart = back.iter().zip(vector);
    let apart = apart.map(|(&back, &value)| (f64::from(back) - f64::from(value)).powi(2));
    let allowed = back.iter().map(|_| (step / 2.0).powi(2)).sum::<f64>();
    assert!(
        apart.sum::<f64>() <= allowed * 1.000_1,
        "{back:?} {vector:?}"
    );
}

#[test]
fn statistics_do_not_depend_on_the_order_of_writing() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        folder.path().join("one.zarr"),
        folder.path().join("other.zarr"),
    );
    fixture.fill(&one, 1);
    fixture.fill(&other, 2);
    testing::files::assert_same(&one, &other);
    let store = Store::open(&one, Io::Mmap).unwrap();
    let statistics = store.statistics(SplitName::Train).unwrap();
    let tokens = u64::try_from(store.split(SplitName::Train).unwrap().tokens()).unwrap();
    let all: Vec<f32> = (0..tokens)
        .flat_map(|token| fixture.values(SplitName::Train, token)[..8].to_vec())
        .collect();
    let mean = all.iter().map(|value| f64::from(value.abs())).sum::<f64>()
        / f64::from(u32::try_from(all.len()).unwrap());
    assert!(
        (statistics[0].mean_absolute - mean).abs() < 1e-6,
        "{} {mean}",
        statistics[0].mean_absolute
    );
    assert_eq!(
        statistics[0].minimum.to_bits(),
        all.iter().copied().fold(f32::MAX, f32::min).to_bits()
    );
    assert_eq!(
        statistics[0].maximum.to_bits(),
        all.iter().copied().fold(f32::MIN, f32::max).to_bits()
    );
}

#[test]
fn a_mapped_sequence_is_not_copied() {
    let fixture = Fixture::usual(StoreDtype::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.zarr");
    fixture.fill(&path, 0);
    let store = Store::open(&path, Io::Mmap).unwrap();
    let split = store.split(SplitName::Train).unwrap();
    let at = |sequence| {
        split
            .hidden_states(sequence)
            .unwrap()
            .pieces()
            .next()
            .unwrap()
            .as_ptr()
    };
    assert_eq!(
        at(7),
        at(7),
        "two readings of a sequence are the same memory"
    );
}
