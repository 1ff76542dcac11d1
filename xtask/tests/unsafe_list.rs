//! `docs/unsafe.md` lists every `unsafe` block, function and implementation of the sources, and no other.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders with Rust sources of the project.
const SOURCES: [&str; 6] = [
    "shared",
    "cache",
    "extractor",
    "trainer",
    "benchmarks",
    "xtask",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

#[test]
fn every_unsafe_place_is_listed_with_its_reason() {
    let page = fs_err::read_to_string(root().join("docs/unsafe.md")).unwrap();
    assert_eq!(
        listed(&page),
        found(&root()),
        "docs/unsafe.md, then the sources"
    );
}

/// The table of the page: file to the number of places.
fn listed(page: &str) -> BTreeMap<String, usize> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (file, rest) = row.split_once("` | ").unwrap();
            let places = rest.split(" |").next().unwrap().parse();
            (file.to_owned(), places.expect("a number of places"))
        })
        .collect()
}

/// What the sources hold.
fn found(root: &Path) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() && !name.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let count = count(&fs_err::read_to_string(&path).unwrap());
                if count > 0 {
                    places.insert(name, count);
                }
            }
        }
    }
    places
}

/// Places where the keyword stands before a block, a function or an implementation; comments do not count.
fn count(source: &str) -> usize {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let keyword =
                |word: &str| word.trim_start_matches(|c: char| !c.is_alphabetic()) == "unsafe";
            let opens = |word: &str| {
                ["{", "fn", "extern"].contains(&word) || word == "impl" || word.starts_with("impl<")
            };
            words
                .windows(2)
                .filter(|pair| keyword(pair[0]) && opens(pair[1]))
                .count()
        })
        .sum()
}

#[test]
fn places_are_told_from_talk() {
    // Put together here, lest this file be listed itself.
    let source =
        "// KEY { in a comment\nlet map = KEY { map() };\n  KEY fn two() {}\nsay(\"KEY code\");";
    assert_eq!(count(&source.replace("KEY", "unsafe")), 2);
}
