//! From `--dataset` to sentences: parquet files of the repository itself, or those that the hub
//! converts every set to on the branch `refs/convert/parquet`, of one configuration, in the splits
//! that go by the usual names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use shared::datasets::parquet::splits::{Place, place, usual};
use shared::datasets::parquet::{self, Classes, Files};
use shared::datasets::{Column, Dataset, Source, SplitName};

use super::cache::{Kind, Repository};
use super::client::Client;
use super::download::{self, Wanted};
use super::{HubError, HubOptions, Listing, card, known, names};

/// The branch on which the hub keeps every set as parquet.
const CONVERTED: &str = "refs/convert/parquet";
const CARD: &str = "README.md";
const CARD_LIMIT: u64 = 16 << 20;
const MOST_FILE: u64 = 64 << 30;

/// A data set's files in the cache.
#[derive(Debug)]
pub struct DatasetFiles {
    /// The repository.
    pub id: String,
    /// The configuration.
    pub config: String,
    /// The commit that they are of.
    pub commit: String,
    /// Files by split.
    pub files: Files,
    /// Classes that the card declares.
    pub classes: Classes,
}

/// Reads the data set `name`, a repository or one of the short names that are known, in
/// configuration `config`. What `source` says of task and columns holds; its path does not matter.
///
/// # Errors
/// When the set, its configuration or a usual split is not there, cannot be fetched, or cannot be
/// read.
pub fn load(
    name: &str,
    config: Option<&str>,
    source: &Source,
    options: &HubOptions,
) -> Result<Dataset, HubError> {
    let found = fetch(name, config, options)?;
    let mut source = source.clone();
    if source.label_column.is_none() && source.task.is_none() {
        source.label_column = known::find(name)
            .and_then(|known| known.label_column)
            .map(|column| Column::Name(column.to_owned()));
    }
    // Two configurations are two data sets, and must not become one store.
    let id = config.map_or_else(|| name.to_owned(), |config| format!("{name}/{config}"));
    let mut data = parquet::load(&id, &found.files, &source, &found.classes)?;
    let DatasetFiles {
        id, config, commit, ..
    } = found;
    data.notes.push(format!(
        "{id} of the hub, configuration {config}, commit {commit}"
    ));
    Ok(data)
}

/// Whether `name` can only mean a file or a folder on disk.
#[must_use]
pub fn is_path(name: &str) -> bool {
    let path = Path::new(name);
    // `mails.conll` is a file that is not there; `org/corpus-v1.1` is a name.
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_file = ending.is_some_and(|ending| ending.bytes().all(|byte| byte.is_ascii_lowercase()));
    path.exists() || super::model::looks_like_a_path(name) || is_file
}

/// Makes sure that a data set's files are in the cache; the requests made are those of
/// [`super::model::fetch`], once for the set and once for its conversion.
///
/// # Errors
/// When the set, its configuration or a usual split is not there, or cannot be fetched.
pub fn fetch(
    name: &str,
    config: Option<&str>,
    options: &HubOptions,
) -> Result<DatasetFiles, HubError> {
    let known = known::find(name);
    let id = known.map_or(name, |known| known.id);
    let repository = Repository::new(Kind::Dataset, id, options)?;
    let config = config.or_else(|| known.and_then(|known| known.config));
    let copy = from_cache(&repository, config);
    if options.offline {
        return copy?.map_err(|missing| HubError::Offline {
            id: id.to_owned(),
            revision: "main".to_owned(),
            cache: options.cache.clone(),
            missing: options.offline_lacks(&missing),
            fetch: repository.fetch_command(),
        });
    }
    // With a complete copy at hand a hub that does not answer is not waited for.
    let copy = copy.ok().and_then(Result::ok);
    let attempts = if copy.is_some() { 1 } else { options.attempts };
    match (from_hub(&repository, config, attempts, options), copy) {
        (Ok(files), _) => Ok(files),
        (Err(error), Some(copy)) if error.is_absence() => {
            options.terminal.warn(format!(
                "{error}; using {id} as of commit {} from the cache",
                copy.commit
            ));
            Ok(copy)
        }
        (Err(error), _) => Err(error.about(&repository, "main", options.token.is_some())),
    }
}

fn from_hub(
    repository: &Repository,
    config: Option<&str>,
    attempts: u32,
    options: &HubOptions,
) -> Result<DatasetFiles, HubError> {
    let client = Client::new(options)?;
    let own = Listing::fetch(&client, repository, "main", attempts)?;
    let (revision, listing) = if own.files.iter().any(|file| place(file).is_some()) {
        ("main", own)
    } else {
        match Listing::fetch(&client, repository, CONVERTED, attempts) {
            Ok(listing) => (CONVERTED, listing),
            Err(HubError::Status { status: 404, .. }) => {
                return Err(HubError::NoParquet {
                    id: repository.id.clone(),
                });
            }
            Err(error) => return Err(error),
        }
    };
    let chosen = Chosen::new(&listing.files, repository, config)?;
    let commit = listing.commit.as_str();
    if chosen
        .names()
        .any(|name| repository.cached(commit, name).is_none())
    {
        options.terminal.status(format!(
            "fetching {} at commit {} from {}",
            repository.id,
            &commit[..7],
            client.host()
        ));
    }
    for name in chosen.names() {
        download::fetch(
            &client,
            repository,
            Wanted {
                commit,
                name,
                limit: MOST_FILE,
            },
        )?;
    }
    if listing.has(CARD) {
        download::fetch(
            &client,
            repository,
            Wanted {
                commit,
                name: CARD,
                limit: CARD_LIMIT,
            },
        )?;
    }
    repository.remember_files(commit, &listing.files)?;
    repository.remember(revision, commit)?;
    Ok(chosen.in_cache(repository, commit))
}

/// What the cache has, of the set itself, else of its conversion; or what it lacks.
fn from_cache(
    repository: &Repository,
    config: Option<&str>,
) -> Result<Result<DatasetFiles, String>, HubError> {
    for revision in ["main", CONVERTED] {
        let Some(commit) = repository.known_commit(revision) else {
            continue;
        };
        let files = repository.known_files(&commit)?;
        if files.iter().any(|file| place(file).is_some()) {
            let chosen = Chosen::new(&files, repository, config)?;
            let missing = chosen
                .names()
                .find(|name| repository.cached(&commit, name).is_none())
                .cloned();
            return Ok(missing.map_or_else(|| Ok(chosen.in_cache(repository, &commit)), Err));
        }
    }
    Ok(Err("every parquet file".to_owned()))
}

/// The files of one configuration.
struct Chosen {
    config: String,
    splits: BTreeMap<SplitName, Vec<String>>,
}

impl Chosen {
    fn new(
        files: &[String],
        repository: &Repository,
        wanted: Option<&str>,
    ) -> Result<Self, HubError> {
        let id = &repository.id;
        let places: Vec<(&String, Place)> = files
            .iter()
            .filter_map(|file| Some((file, place(file)?)))
            .collect();
        let configs: BTreeSet<&str> = places
            .iter()
            .map(|(_, place)| place.config.as_str())
            .collect();
        let config = choose_config(&configs, wanted, id).ok_or_else(|| HubError::Config {
            id: id.clone(),
            wanted: wanted.map(str::to_owned),
            there: configs.iter().map(|config| (*config).to_owned()).collect(),
        })?;
        let mut splits: BTreeMap<SplitName, Vec<String>> = BTreeMap::new();
        for (file, place) in places.iter().filter(|(_, place)| place.config == config) {
            names::check_file(file)?;
            if let Some(split) = usual(&place.split) {
                splits.entry(split).or_default().push((*file).clone());
            }
        }
        if splits.is_empty() {
            let there: BTreeSet<&str> = places
                .iter()
                .map(|(_, place)| place.split.as_str())
                .collect();
            return Err(HubError::NoSplits {
                id: id.clone(),
                there: there.into_iter().map(str::to_owned).collect(),
            });
        }
        for files in splits.values_mut() {
            files.sort();
        }
        Ok(Self {
            config: config.to_owned(),
            splits,
        })
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.splits.values().flatten()
    }

    fn in_cache(self, repository: &Repository, commit: &str) -> DatasetFiles {
        let snapshot = repository.snapshot(commit);
        let files = self.splits.iter().map(|(split, names)| {
            (
                *split,
                names.iter().map(|name| snapshot.join(name)).collect(),
            )
        });
        let card = fs_err::read_to_string(snapshot.join(CARD)).unwrap_or_default();
        DatasetFiles {
            id: repository.id.clone(),
            commit: commit.to_owned(),
            files: files.collect(),
            classes: card::classes(&card, &self.config),
            config: self.config,
        }
    }
}

/// The configuration wanted, the only one, `default`, or the one of the set's own name.
fn choose_config<'a>(
    configs: &BTreeSet<&'a str>,
    wanted: Option<&str>,
    id: &str,
) -> Option<&'a str> {
    let name = id.rsplit('/').next().unwrap_or(id);
    let find = |name: &str| configs.iter().find(|config| **config == name).copied();
    match (wanted, configs.len()) {
        // A set of one configuration often leaves its name out of the paths.
        (Some(wanted), 1) => find(wanted).or_else(|| find("default")),
        (Some(wanted), _) => find(wanted),
        (None, 1) => configs.first().copied(),
        (None, _) => find("default").or_else(|| find(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names() {
        for path in [
            "./a",
            "train.conll",
            "a/b/c",
            "data/train.parquet",
            "/a",
            "mails.jsonl",
        ] {
            assert!(is_path(path), "{path}");
        }
        for name in ["conll2003", "org/name", "org/corpus-v1.1"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn the_configuration_is_chosen_or_asked_for() {
        let configs = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(
            choose_config(&configs(&["conll2003"]), None, "eriktks/conll2003"),
            Some("conll2003")
        );
        assert_eq!(
            choose_config(&configs(&["a", "default"]), None, "x/y"),
            Some("default")
        );
        assert_eq!(choose_config(&configs(&["a", "y"]), None, "x/y"), Some("y"));
        assert_eq!(choose_config(&configs(&["a", "b"]), None, "x/y"), None);
        assert_eq!(
            choose_config(&configs(&["a", "b"]), Some("b"), "x/y"),
            Some("b")
        );
        assert_eq!(choose_config(&configs(&["a", "b"]), Some("c"), "x/y"), None);
        assert_eq!(
            choose_config(&configs(&["default"]), Some("wnut_17"), "leondz/wnut_17"),
            Some("default")
        );
    }
}
