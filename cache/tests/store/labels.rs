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
        texts: None,
    };
    let error = Store::add_labels(folder.path(), &[(SplitName::Train, table)]).unwrap_err();
    assert!(error.to_string().contains("got 3"), "{error}");
    assert_eq!(tree(folder.path()), before);
}
