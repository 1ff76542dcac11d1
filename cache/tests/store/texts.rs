//! Numbers, sets and pairs of texts in a store: read back, verified, and seen by another Zarr reader.

use std::sync::Arc;

use cache::storage::MappedStorage;
use cache::{Io, Labels, Store, StoreDtype, TextLabels};
use shared::datasets::SplitName;
use shared::tasks::{Level, NO_SET, Task};
use zarrs::array::{Array, ArrayBytes};

use testing::fixture::{Fixture, scramble};

fn labels(task: Task, classes: &[&str], texts: TextLabels) -> Labels {
    Labels {
        task,
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        level: Level::Sentence,
        ids: Vec::new(),
        heads: None,
        texts: Some(texts),
    }
}

/// A number a sentence, some missing.
fn numbers(sentences: usize) -> Vec<f32> {
    let number = |sentence: usize| match sentence % 7 {
        3 => f32::NAN,
        rest => f32::from(u8::try_from(rest).unwrap()) - 2.25,
    };
    (0..sentences).map(number).collect()
}

/// Three classes a sentence, some missing.
fn sets(sentences: usize) -> Vec<u8> {
    let set = |sentence: usize| {
        let random = scramble(sentence as u64);
        [0, 1, 2].map(|class| match random % 5 {
            0 => NO_SET,
            _ => u8::from(random >> (8 + class) & 1 == 1),
        })
    };
    (0..sentences).flat_map(set).collect()
}

/// Where the second text of each sentence begins; none in every third.
fn second_texts(fixture: &Fixture, split: SplitName) -> Vec<u32> {
    let words = fixture.table(split).words.iter().enumerate();
    let second = |(sentence, words): (usize, &Vec<String>)| match sentence % 3 {
        0 => 0,
        _ => u32::try_from(words.len() / 2).unwrap(),
    };
    words.map(second).collect()
}

fn fixture() -> Fixture {
    let mut fixture = Fixture::usual(StoreDtype::F16);
    for split in [SplitName::Train, SplitName::Test] {
        let second = second_texts(&fixture, split);
        let table = fixture.tables.iter_mut().find(|table| table.name == split);
        let table = table.unwrap();
        let sentences = table.words.len();
        table.second_text = second;
        let scores = TextLabels::Numbers(numbers(sentences));
        table.labels.push(labels(Task::Regression, &[], scores));
    }
    fixture
}

#[test]
fn numbers_sets_and_pairs_are_read_back() {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let sentences = |split| fixture.table(split).words.len();
    // Sets are added to the finished store.
    let added = [SplitName::Train, SplitName::Test].map(|split| {
        let sets = TextLabels::Sets(sets(sentences(split)));
        (split, labels(Task::Multilabel, &["a", "b", "ü"], sets))
    });
    Store::add_labels(folder.path(), &added).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let store = Store::open(folder.path(), io).unwrap();
        for (split, _) in &added {
            let reader = store.split(*split).unwrap();
            reader.check_tables().unwrap();
            let tasks: Vec<Task> = reader.tasks().collect();
            assert_eq!(tasks, [Task::Pos, Task::Multilabel, Task::Regression]);
            let table = reader.labels(Task::Regression).unwrap();
            let bits = |numbers: &[f32]| -> Vec<u32> {
                numbers.iter().map(|number| number.to_bits()).collect()
            };
            assert_eq!(bits(&table.numbers), bits(&numbers(sentences(*split))));
            assert!(table.ids.is_empty() && table.sets.is_empty());
            let table = reader.labels(Task::Multilabel).unwrap();
            assert_eq!(table.sets[..], sets(sentences(*split))[..]);
            assert_eq!(table.classes, ["a", "b", "ü"]);
            assert!(reader.has_pairs());
            for (sentence, second) in second_texts(&fixture, *split).into_iter().enumerate() {
                let second = (second > 0).then_some(second as usize);
                assert_eq!(reader.second_text(sentence), second, "{sentence}");
            }
        }
    }
    let verified = cache::verify::verify(folder.path(), false, &|_, _| ()).unwrap();
    assert_eq!(verified.problems, []);
}

#[test]
fn another_zarr_reader_sees_their_shapes_and_values() {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let sentences = fixture.table(SplitName::Train).words.len();
    let sets = TextLabels::Sets(sets(sentences));
    let added = labels(Task::Multilabel, &["a", "b", "ü"], sets.clone());
    Store::add_labels(folder.path(), &[(SplitName::Train, added)]).unwrap();
    let storage = Arc::new(MappedStorage::new(folder.path()));
    let read = |name: &str| {
        let array = Array::open(Arc::clone(&storage), &format!("/train/{name}")).unwrap();
        let all: ArrayBytes<'_> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        let dimensions = array.dimension_names().clone().unwrap();
        let dimensions = dimensions.into_iter().flatten().collect::<Vec<String>>();
        let bytes = all.into_fixed().unwrap().into_owned();
        (array.shape().to_vec(), dimensions.join(" "), bytes)
    };
    let count = sentences as u64;
    let TextLabels::Sets(sets) = sets else {
        panic!("no sets");
    };
    let expected = (vec![count, 3], "sentences classes".to_owned(), sets);
    assert_eq!(read("labels/multilabel"), expected);
    let bytes = bytemuck::cast_slice(&numbers(sentences)).to_vec();
    let expected = (vec![count], "sentences".to_owned(), bytes);
    assert_eq!(read("labels/regression"), expected);
    let second = second_texts(&fixture, SplitName::Train);
    let bytes = bytemuck::cast_slice(&second).to_vec();
    assert_eq!(
        read("second_text"),
        (vec![count], "sentences".to_owned(), bytes)
    );
}

#[test]
fn a_flipped_bit_is_found() {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let sentences = fixture.table(SplitName::Train).words.len();
    let added = labels(
        Task::Multilabel,
        &["a", "b", "c"],
        TextLabels::Sets(sets(sentences)),
    );
    Store::add_labels(folder.path(), &[(SplitName::Train, added)]).unwrap();
    for name in ["labels/regression", "labels/multilabel", "second_text"] {
        let file = if name.ends_with("multilabel") {
            "c.0.0"
        } else {
            "c.0"
        };
        let path = folder.path().join("train").join(name).join(file);
        let whole = fs_err::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[1] ^= 4;
        fs_err::write(&path, damaged).unwrap();
        let verified = cache::verify::verify(folder.path(), false, &|_, _| ()).unwrap();
        let problems = format!("{:?}", verified.problems);
        assert!(
            problems.contains(name) && verified.problems.len() == 1,
            "{problems}"
        );
        let store = Store::open(folder.path(), Io::Mmap).unwrap();
        let error = store.split(SplitName::Train).unwrap().check_tables();
        assert!(error.unwrap_err().to_string().contains(name));
        drop(store);
        fs_err::write(&path, whole).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let sentences = fixture.table(SplitName::Train).words.len();
    let refused = |labels: Labels, told: &str| {
        let error = Store::add_labels(folder.path(), &[(SplitName::Train, labels)]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    };
    let wrong = TextLabels::Numbers(vec![1.0; sentences]);
    refused(
        labels(Task::Multilabel, &["a"], wrong),
        "expected those of output Set",
    );
    let short = TextLabels::Sets(vec![1; sentences * 2 - 1]);
    refused(labels(Task::Multilabel, &["a", "b"], short), "expected");
    let mut two = vec![0; sentences * 2];
    two[3] = 2;
    refused(
        labels(Task::Multilabel, &["a", "b"], TextLabels::Sets(two)),
        "sentence 1",
    );
    let mut half = vec![0; sentences * 2];
    half[4] = NO_SET;
    refused(
        labels(Task::Multilabel, &["a", "b"], TextLabels::Sets(half)),
        "sentence 2",
    );
    let mut infinite = numbers(sentences);
    infinite[5] = f32::INFINITY;
    refused(
        labels(Task::Regression, &[], TextLabels::Numbers(infinite)),
        "inf",
    );
}
