//! Which file is which split: by the name, as people call them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{DatasetError, Format, SplitName};

/// Names of splits; those of the CoNLL-2003 files (`eng.testa`) among them.
const NAMES: [(&str, SplitName); 11] = [
    ("train", SplitName::Train),
    ("training", SplitName::Train),
    ("validation", SplitName::Validation),
    ("valid", SplitName::Validation),
    ("val", SplitName::Validation),
    ("dev", SplitName::Validation),
    ("devel", SplitName::Validation),
    ("development", SplitName::Validation),
    ("testa", SplitName::Validation),
    ("test", SplitName::Test),
    ("testb", SplitName::Test),
];

/// The files of a data set.
pub(super) struct Found {
    pub(super) id: String,
    /// The files of each split, in the order of their numbers.
    pub(super) files: BTreeMap<SplitName, Vec<PathBuf>>,
}

/// A file, with its number and how many there are if it is one of several.
type Part = (PathBuf, Option<(usize, usize)>);

/// What a file's name says.
struct Named {
    split: SplitName,
    /// Whether it says nothing else.
    is_exact: bool,
    /// Its number and how many there are, for one of several files of a split.
    shard: Option<(usize, usize)>,
}

/// The files that were `named`, else those that `path` is or holds.
pub(super) fn find(
    path: &Path,
    named: &BTreeMap<SplitName, PathBuf>,
) -> Result<Found, DatasetError> {
    if let Some(first) = named.values().next() {
        if let Some(missing) = named.values().find(|path| !path.is_file()) {
            return Err(DatasetError::NotFound(missing.clone()));
        }
        let folder = if path.as_os_str().is_empty() {
            first.parent().unwrap_or(first)
        } else {
            path
        };
        return Ok(Found {
            id: name_of(folder),
            files: named
                .iter()
                .map(|(split, path)| (*split, vec![path.clone()]))
                .collect(),
        });
    }
    if path.is_dir() {
        return Ok(Found {
            id: name_of(path),
            files: in_folder(path)?,
        });
    }
    if !path.exists() {
        return Err(DatasetError::NotFound(path.to_path_buf()));
    }
    // `wnut17/train.conll` is a part of wnut17, `mails.conll` a data set by itself.
    let (id, split) = match split_of(path) {
        Some(Named { split, .. }) => (
            name_of(path.canonicalize()?.parent().unwrap_or(path)),
            split,
        ),
        None => (stem(path).to_owned(), SplitName::Train),
    };
    Ok(Found {
        id,
        files: BTreeMap::from([(split, vec![path.to_path_buf()])]),
    })
}

fn in_folder(folder: &Path) -> Result<BTreeMap<SplitName, Vec<PathBuf>>, DatasetError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut files: BTreeMap<SplitName, Vec<PathBuf>> = BTreeMap::new();
    // A file called just `train` goes before one that also has other words in its name.
    for exact in [true, false] {
        let mut found: BTreeMap<SplitName, Vec<Part>> = BTreeMap::new();
        for path in paths.iter().filter(|path| path.is_file()) {
            let Some(Named {
                split,
                is_exact,
                shard,
            }) = split_of(path)
            else {
                continue;
            };
            if is_exact != exact || files.contains_key(&split) {
                continue;
            }
            found.entry(split).or_default().push((path.clone(), shard));
        }
        for (split, parts) in found {
            files.insert(split, in_order(split, parts)?);
        }
    }
    if files.is_empty() {
        return Err(DatasetError::NoSplits {
            folder: folder.to_path_buf(),
            endings: Format::endings(),
        });
    }
    Ok(files)
}

/// The files of a split in the order of their numbers: one file, or all of those that say of how many
/// they are.
fn in_order(split: SplitName, mut parts: Vec<Part>) -> Result<Vec<PathBuf>, DatasetError> {
    parts.sort_by_key(|(_, shard)| *shard);
    let total = parts[0].1.map(|(_, total)| total);
    for (index, (path, shard)) in parts.iter().enumerate() {
        let fits = match shard {
            None => parts.len() == 1,
            Some((number, of)) => Some(*of) == total && *number == index,
        };
        if fits {
            continue;
        }
        return Err(match (shard, total) {
            (Some((_, of)), Some(total)) if *of == total && parts.len() < total => {
                DatasetError::MissingShard {
                    path: path.clone(),
                    missing: index,
                    total,
                }
            }
            _ => DatasetError::TwoFiles {
                split,
                first: parts[index.saturating_sub(1)].0.clone(),
                second: parts[index.max(1).min(parts.len() - 1)].0.clone(),
            },
        });
    }
    if let (Some(total), Some((last, _))) = (total, parts.last())
        && parts.len() < total
    {
        return Err(DatasetError::MissingShard {
            path: last.clone(),
            missing: parts.len(),
            total,
        });
    }
    Ok(parts.into_iter().map(|(path, _)| path).collect())
}

/// The number of a file and how many there are, from a name such as `train-00000-of-00002`, and
/// what stands before them.
fn shard_of(name: &str) -> (&str, Option<(usize, usize)>) {
    let found = || {
        let (rest, total) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once(['-', '_', '.'])?;
        let total = total
            .parse()
            .ok()
            .filter(|total| (1..100_000).contains(total))?;
        Some((stem, Some((number.parse().ok()?, total))))
    };
    found().unwrap_or((name, None))
}

/// What a file's name says of its split: `train.conll` says nothing else, `en_ewt-ud-train.conllu`
/// and `eng.train` say more. None for names that are no data.
fn split_of(path: &Path) -> Option<Named> {
    let lower = path.file_name()?.to_str()?.to_lowercase();
    // Hidden files are what editors and archivers leave behind.
    if lower.starts_with('.') {
        return None;
    }
    let name = if Format::by_ending(path).is_some_and(Format::is_text) {
        stem(Path::new(&lower)).to_owned()
    } else {
        lower
    };
    let known = |text: &str| {
        NAMES
            .iter()
            .find(|(known, _)| *known == text)
            .map(|(_, split)| *split)
    };
    let (name, shard) = shard_of(&name);
    let (split, is_exact) = known(name).map(|split| (split, true)).or_else(|| {
        let (_, last) = name.rsplit_once(['.', '-', '_'])?;
        known(last).map(|split| (split, false))
    })?;
    Some(Named {
        split,
        is_exact,
        shard,
    })
}

/// A file's name without its ending, and without `.gz`.
fn stem(path: &Path) -> &str {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("data");
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit_once('.')
        .map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem })
}

/// A folder's name, also for `.` and `..`.
fn name_of(folder: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    folder.file_name().map_or_else(
        || "data".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[&str]) -> Result<Vec<(SplitName, String)>, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs_err::write(folder.path().join(file), "").unwrap();
        }
        let found = find(folder.path(), &BTreeMap::new())?;
        assert_eq!(
            found.id,
            folder.path().file_name().unwrap().to_str().unwrap()
        );
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(found
            .files
            .into_iter()
            .flat_map(|(split, paths)| paths.into_iter().map(move |path| (split, path)))
            .map(|(split, path)| (split, name(path)))
            .collect())
    }

    #[test]
    fn splits_are_known_by_their_usual_names() {
        use SplitName::{Test, Train, Validation};
        let owned = |list: &[(SplitName, &str)]| {
            list.iter()
                .map(|(split, name)| (*split, (*name).to_owned()))
                .collect::<Vec<_>>()
        };
        let found = names(&["LICENSE.txt", "train.conll.gz", "dev.iob2", "test.txt"]).unwrap();
        assert_eq!(
            found,
            owned(&[
                (Train, "train.conll.gz"),
                (Validation, "dev.iob2"),
                (Test, "test.txt")
            ])
        );
        let found = names(&["eng.train", "eng.testa", "eng.testb", "readme"]).unwrap();
        assert_eq!(
            found,
            owned(&[
                (Train, "eng.train"),
                (Validation, "eng.testa"),
                (Test, "eng.testb")
            ])
        );
        let found = names(&["en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu"]).unwrap();
        assert_eq!(
            found,
            owned(&[
                (Train, "en_ewt-ud-train.conllu"),
                (Validation, "en_ewt-ud-dev.conllu")
            ])
        );
    }

    #[test]
    fn parquet_is_no_split_of_text() {
        let error = names(&["train.parquet", "test.parquet"]).unwrap_err();
        assert!(matches!(error, DatasetError::NoSplits { .. }), "{error}");
    }

    #[test]
    fn plain_names_go_first_and_hidden_files_are_left_alone() {
        let found = names(&[
            "train.conll",
            "train-old-train.conll",
            "my-dev.conll",
            "._train.conll",
        ])
        .unwrap();
        let found: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(found, ["train.conll", "my-dev.conll"]);
    }

    #[test]
    fn no_file_and_two_files_are_errors() {
        assert!(matches!(
            names(&["LICENSE.txt"]),
            Err(DatasetError::NoSplits { .. })
        ));
        assert!(matches!(
            names(&["dev.conll", "valid.conll"]),
            Err(DatasetError::TwoFiles { .. })
        ));
    }

    #[test]
    fn several_files_of_a_split_are_joined_in_order_and_all_must_be_there() {
        let shards = ["train-00001-of-00002.jsonl", "train-00000-of-00002.jsonl"];
        let found = names(&[shards[0], shards[1], "test-00000-of-00001.jsonl"]).unwrap();
        let found: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(found, [shards[1], shards[0], "test-00000-of-00001.jsonl"]);
        for missing in 0..3 {
            let there: Vec<String> = (0..3)
                .filter(|number| *number != missing)
                .map(|number| format!("train-0000{number}-of-00003.csv"))
                .collect();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            let error = names(&there).unwrap_err().to_string();
            assert!(error.contains(&format!("file {missing} of 3")), "{error}");
        }
    }

    #[test]
    fn a_single_file_is_a_data_set_or_a_part_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["mails.conll", "test.conll"] {
            fs_err::write(folder.join(name), "").unwrap();
        }
        assert_eq!(
            find(&folder.join("mails.conll"), &BTreeMap::new())
                .unwrap()
                .id,
            "mails"
        );
        let part = find(&folder.join("test.conll"), &BTreeMap::new()).unwrap();
        assert_eq!(part.id, folder.file_name().unwrap().to_str().unwrap());
        assert!(part.files.contains_key(&SplitName::Test));
        assert!(matches!(
            find(&folder.join("nothing"), &BTreeMap::new()),
            Err(DatasetError::NotFound(_))
        ));
    }
}
