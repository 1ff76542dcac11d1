//! Which split a file belongs to, by the names that people and the hub's tools use:
//! `train.parquet`, `data/validation-00000-of-00002.parquet`, `conll2003/test/0000.parquet`.

use std::path::Path;

use crate::datasets::SplitName;

/// A file's place in a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The configuration: the folders above, `default` if there are none but `data`.
    pub config: String,
    /// The split by its own name, such as `train` or `validation_matched`.
    pub split: String,
}

/// The place of a parquet file by its relative path with `/`; none for other files.
#[must_use]
pub fn place(path: &str) -> Option<Place> {
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.strip_suffix(".parquet")?;
    let mut folders: Vec<&str> = folders
        .split('/')
        .filter(|folder| !folder.is_empty())
        .collect();
    let split = if stem.bytes().all(|byte| byte.is_ascii_digit()) {
        // The hub's conversion: <config>/<split>/0000.parquet, `partial-` where a split was cut.
        let folder = folders.pop()?;
        folder.strip_prefix("partial-").unwrap_or(folder)
    } else {
        // The split, then what numbers its files: train-00000-of-00002,
        // train-00000-of-00001-8f04ab.
        stem.split_once("-0").map_or(stem, |(split, _)| split)
    };
    if folders.first() == Some(&"data") {
        folders.remove(0);
    }
    let config = if folders.is_empty() {
        "default".to_owned()
    } else {
        folders.join("/")
    };
    Some(Place {
        config,
        split: split.to_owned(),
    })
}

/// The split that goes by a name, if it is one of the three.
#[must_use]
pub fn usual(name: &str) -> Option<SplitName> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(SplitName::Train),
        "validation" | "valid" | "val" | "dev" | "devel" | "development" => {
            Some(SplitName::Validation)
        }
        "test" | "testing" => Some(SplitName::Test),
        _ => None,
    }
}

/// Whether a file is parquet by its name.
#[must_use]
pub fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        let cases = [
            ("train.parquet", "default", "train"),
            ("data/train-00000-of-00001.parquet", "default", "train"),
            (
                "data/test-00001-of-00012-8f04abc.parquet",
                "default",
                "test",
            ),
            ("en/validation-00000-of-00001.parquet", "en", "validation"),
            ("data/en/dev.parquet", "en", "dev"),
            ("conll2003/test/0000.parquet", "conll2003", "test"),
            ("default/partial-train/0003.parquet", "default", "train"),
            (
                "mnli/validation_matched-00000-of-00001.parquet",
                "mnli",
                "validation_matched",
            ),
        ];
        for (path, config, split) in cases {
            assert_eq!(
                place(path),
                Some(Place {
                    config: config.to_owned(),
                    split: split.to_owned()
                }),
                "{path}"
            );
        }
        assert_eq!(place("train.csv"), None);
        assert_eq!(place("0000.parquet"), None);
    }

    #[test]
    fn the_usual_names_are_known() {
        assert_eq!(usual("train"), Some(SplitName::Train));
        assert_eq!(usual("Dev"), Some(SplitName::Validation));
        assert_eq!(usual("valid"), Some(SplitName::Validation));
        assert_eq!(usual("test"), Some(SplitName::Test));
        assert_eq!(usual("unsupervised"), None);
    }
}
