//! Labels of another task, added to a finished store.

use cache::{Io, Labels, Store, StoreDtype};
use shared::datasets::SplitName;
use shared::tasks::{Level, Task};

use testing::files::tree;
use testing::fixture::Fixture;

#[test]
fn labels_are_added_without_touching_the_rest() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let before = tree(folder.path());
    let identity = Store::open(folder.path(), Io::Mmap).unwrap().identity();
    let sentences = |split| fixture.table(split).words.len();
    let table = |split| Labels {
        task: Task::Sequence,
        classes: vec!["negative".to_owned(), "positive".to_owned()],
        level: Level::Sentence,
        ids: (0..sentences(split))
            .map(|sentence| i32::from(sentence % 3 == 0))
            .collect(),
        heads: None,
        texts: None,
    };
    let labels = [SplitName::Train, SplitName::Test].map(|split| (split, table(split)));
    Store::add_labels(folder.path(), &labels).unwrap();
    let after = tree(folder.path());
    assert!(before.iter().all(|(path, bytes)| after[path] == *bytes));
    let store = Store::open(folder.path(), Io::Mmap).unwrap();
    assert_eq!(store.identity(), identity);
    for (split, table) in &labels {
        let read = store.split(*split).unwrap().labels(Task::Sequence).unwrap();
        assert_eq!(
            (&read.ids[..], &read.classes),
            (&table.ids[..], &table.classes)
        );
        assert_eq!(
            store.split(*split).unwrap().tasks().collect::<Vec<_>>(),
            [Task::Pos, Task::Sequence]
        );
    }
    assert_eq!(
        cache::verify::verify(folder.path(), false, &|_, _| ())
            .unwrap()
            .problems,
        []
    );
    let inspection = cache::inspect::inspect(folder.path()).unwrap();
    assert_eq!(inspection.splits[&SplitName::Train].tasks.len(), 2);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let before = tree(folder.path());
    let table = Labels {
        task: Task::Ner,
        classes: vec!["O".to_owned()],
        level: Level::Token,
        ids: vec![0; 3],
        heads: None,
        texts: None,
    };
    let error = Store::add_labels(folder.path(), &[(SplitName::Train, table)]).unwrap_err();
    assert!(error.to_string().contains("got 3"), "{error}");
    assert_eq!(tree(folder.path()), before);
}

/// Heads that count up and down: each word hangs on the one before it, the first on none.
fn heads(words: &[Vec<String>]) -> Vec<i32> {
    let of_sentence = |words: &Vec<String>| -1..i32::try_from(words.len()).unwrap() - 1;
    words.iter().flat_map(of_sentence).collect()
}

#[test]
fn heads_stand_beside_relations() {
    let fixture = Fixture::usual(StoreDtype::F16);
    let folder = tempfile::tempdir().unwrap();
    fixture.fill(folder.path(), 0);
    let split = SplitName::Train;
    let words = &fixture.table(split).words;
    let heads = heads(words);
    let table = Labels {
        task: Task::Dep,
        classes: vec!["dep".to_owned(), "root".to_owned()],
        level: Level::Token,
        ids: heads.iter().map(|&head| i32::from(head == -1)).collect(),
        heads: Some(heads.clone()),
        texts: None,
    };
    Store::add_labels(folder.path(), &[(split, table.clone())]).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let store = Store::open(folder.path(), io).unwrap();
        let reader = store.split(split).unwrap();
        let read = reader.labels(Task::Dep).unwrap();
        assert_eq!(read.heads.as_ref().unwrap()[..], heads[..]);
        assert_eq!(read.words.as_ref().unwrap()[..], table.ids[..]);
        assert!(reader.labels(Task::Pos).unwrap().heads.is_none());
        reader.check_tables().unwrap();
    }
    let problems = || {
        let found = cache::verify::verify(folder.path(), false, &|_, _| ());
        found.unwrap().problems
    };
    assert_eq!(problems(), []);

    let refused = |change: &dyn Fn(&mut Vec<i32>)| {
        let mut other = table.clone();
        let mut own = heads.clone();
        change(&mut own);
        other.heads = Some(own);
        let error = Store::add_labels(folder.path(), &[(split, other)]);
        error.unwrap_err().to_string()
    };
    assert!(refused(&|heads| heads.truncate(4)).contains("got 4"));
    let length = words[0].len();
    let told = refused(&|heads| heads[0] = i32::try_from(length).unwrap());
    let expected = format!("word {length} of sentence 0, which has {length} words");
    assert!(told.contains(&expected), "{told}");
    let without = Labels {
        heads: None,
        ..table.clone()
    };
    let error = Store::add_labels(folder.path(), &[(split, without)]).unwrap_err();
    assert!(error.to_string().contains("dep labels need heads"));

    // A flipped bit, and heads that are gone.
    let file = folder.path().join("train/heads/dep/c.0");
    let sound = fs_err::read(&file).unwrap();
    let mut flipped = sound.clone();
    flipped[0] ^= 1;
    fs_err::write(&file, flipped).unwrap();
    let found = problems();
    assert_eq!(found.len(), 1);
    assert!(found[0].path.ends_with("train/heads/dep/c.0"), "{found:?}");
    let store = Store::open(folder.path(), Io::Read).unwrap();
    assert!(store.split(split).unwrap().check_tables().is_err());
    fs_err::remove_file(&file).unwrap();
    assert!(Store::open(folder.path(), Io::Read).is_err());
}
