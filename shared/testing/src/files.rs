//! Folders as wholes: what is in them, and whether two are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below a folder with its bytes.
pub fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                files.insert(
                    entry.strip_prefix(path).unwrap().to_owned(),
                    fs_err::read(&entry).unwrap(),
                );
            }
        }
    }
    files
}

/// Both folders hold the same files with the same bytes.
pub fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (tree(one), tree(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    let differing: Vec<_> = one
        .iter()
        .filter(|(path, bytes)| other[*path] != **bytes)
        .map(|(path, _)| path)
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}
