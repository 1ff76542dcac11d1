//! From `--model` to files: a folder on disk as it is, or a name on the hub, of which only the
//! files that the encoder and its tokenizer are made from are fetched, weights last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::cache::{Kind, Repository};
use super::client::Client;
use super::download::{self, Wanted};
use super::{HubError, HubOptions, Listing, names};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What tokenizers are made from; those that the repository has are fetched.
const TOKENIZER: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "tokenizer.model",
];
/// A snapshot with one of these lists has a tokenizer.
const VOCABULARIES: [&[&str]; 7] = [
    &["tokenizer.json"],
    &["vocab.txt"],
    &["vocab.json", "merges.txt"],
    &["spiece.model"],
    &["sentencepiece.bpe.model"],
    &["spm.model"],
    &["tokenizer.model"],
];
/// Weights that are never fetched: they have to be converted, and some run code when they are
/// opened.
const FOREIGN: [&str; 6] = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.bin",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.ckpt.index",
];
/// Configurations and tokenizers are read whole into memory; the largest tokenizers have 40 MB.
const SMALL: u64 = 256 << 20;

/// How much of a model has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everything.
    All,
    /// Configuration and tokenizer: what a plan needs. Weights are told where they are there
    /// already.
    Description,
    /// Configuration and tokenizer alone, of a model that need not have weights.
    Untrained,
}

/// A model in the hub's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: String,
    /// The folder of its files.
    pub folder: PathBuf,
    /// Whether the weights are there too; else configuration and tokenizer.
    pub is_complete: bool,
}

/// Brings the model `id` at `revision` (a branch, a tag or a commit; `main` if none) into the hub's
/// cache.
///
/// A commit that is complete in the cache, and everything when [`HubOptions::offline`] is set,
/// takes no request; another revision takes the one that asks which commit it stands for.
///
/// # Errors
/// When the name is malformed or unknown to the hub, access is missing, the model has no
/// safetensors, or it cannot be fetched and is not complete in the cache.
pub fn fetch(
    id: &str,
    revision: Option<&str>,
    need: Need,
    options: &HubOptions,
) -> Result<Snapshot, HubError> {
    let revision = revision.unwrap_or("main");
    names::check_revision(revision)?;
    let repository = Repository::new(Kind::Model, id, options)?;
    let commit = bring(&repository, revision, need, options)?;
    Ok(Snapshot {
        folder: repository.snapshot(&commit),
        is_complete: need == Need::All || missing_from(&repository, &commit, Need::All).is_none(),
        commit,
    })
}

/// Whether `model` means a folder on disk, and not a name on the hub.
#[must_use]
pub fn is_folder(model: &str) -> bool {
    Path::new(model).is_dir() || looks_like_a_path(model)
}

/// Whether a name has folders of which the first is here, as `data/mails` where there is `data`:
/// likely a path with a slip in it, though it may be a name on the hub.
#[must_use]
pub fn begins_on_disk(name: &str) -> bool {
    let first = name.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| Path::new(first).is_dir())
}

/// `./x`, `../x`, `/x`, `~/x` and anything deeper than `org/name` can only be a folder.
pub(super) fn looks_like_a_path(model: &str) -> bool {
    model.starts_with(['.', '/', '~']) || model.ends_with('/') || model.matches('/').count() > 1
}

/// Makes the snapshot complete and returns its commit.
fn bring(
    repository: &Repository,
    revision: &str,
    need: Need,
    options: &HubOptions,
) -> Result<String, HubError> {
    let known = repository.known_commit(revision);
    let missing = match &known {
        Some(commit) => missing_from(repository, commit, need),
        None => Some(format!("the commit of {revision}")),
    };
    match (&known, &missing) {
        (Some(commit), None) if options.offline || names::is_commit(revision) => {
            return Ok(commit.clone());
        }
        (_, Some(missing)) if options.offline => {
            return Err(HubError::Offline {
                id: repository.id.clone(),
                revision: revision.to_owned(),
                cache: options.cache.clone(),
                missing: missing.clone().into(),
                variable: options.offline_variable,
                fetch: repository.fetch_command().into(),
            });
        }
        _ => {}
    }
    let client = Client::new(options)?;
    // With a complete copy at hand a hub that does not answer is not waited for.
    let attempts = if missing.is_none() {
        1
    } else {
        options.attempts
    };
    let listing = match (
        Listing::fetch(&client, repository, revision, attempts),
        known,
    ) {
        (Err(error), Some(commit)) if missing.is_none() && error.is_absence() => {
            options.terminal.warn(format!(
                "{error}; using {} as of commit {commit} from the cache",
                repository.id
            ));
            return Ok(commit);
        }
        (Err(error), _) => {
            return Err(repository.explain(error, revision, options.token.is_some()));
        }
        (Ok(listing), _) => listing,
    };
    fetch_all(&client, repository, &listing, need)?;
    repository.remember(revision, &listing.commit)?;
    Ok(listing.commit)
}

/// Fetches what is not there yet.
fn fetch_all(
    client: &Client<'_>,
    repository: &Repository,
    listing: &Listing,
    need: Need,
) -> Result<(), HubError> {
    let commit = listing.commit.as_str();
    let id = &repository.id;
    let single = listing.has(WEIGHTS);
    let has_weights = single || listing.has(INDEX);
    let foreign = FOREIGN.iter().find(|name| listing.has(name));
    // A file of llama.cpp has its configuration in it.
    if let (false, None, Some(file)) = (has_weights, foreign, listing.gguf()) {
        return Err(HubError::Gguf {
            id: id.clone(),
            found: file.to_owned(),
        });
    }
    if !listing.has(CONFIG) {
        return Err(HubError::NoFile {
            id: id.clone(),
            name: CONFIG,
        });
    }
    if !has_weights && need != Need::Untrained {
        return Err(HubError::NoSafetensors {
            id: id.clone(),
            found: foreign.map(|name| (*name).to_owned()),
        });
    }
    if missing_from(repository, commit, need).is_some() {
        client.options.terminal.status(format!(
            "fetching {id} at commit {} from {}",
            &commit[..7],
            client.host()
        ));
    }
    let index = (!single && need == Need::All).then_some(INDEX);
    let small =
        std::iter::once(CONFIG).chain(TOKENIZER.into_iter().filter(|name| listing.has(name)));
    for name in small.chain(index) {
        download::fetch(
            client,
            repository,
            Wanted {
                commit,
                name,
                limit: SMALL,
            },
        )?;
    }
    if need != Need::All {
        return Ok(());
    }
    let weights = if single {
        BTreeSet::from([WEIGHTS.to_owned()])
    } else {
        shards(repository, commit)?
    };
    for name in &weights {
        download::fetch(
            client,
            repository,
            Wanted {
                commit,
                name,
                limit: u64::MAX,
            },
        )?;
    }
    Ok(())
}

/// What a snapshot lacks, if anything.
fn missing_from(repository: &Repository, commit: &str, need: Need) -> Option<String> {
    let has = |name: &str| repository.cached(commit, name).is_some();
    if !has(CONFIG) {
        return Some(CONFIG.to_owned());
    }
    if !VOCABULARIES
        .iter()
        .any(|names| names.iter().all(|name| has(name)))
    {
        return Some("a tokenizer".to_owned());
    }
    if need != Need::All || has(WEIGHTS) {
        return None;
    }
    if !has(INDEX) {
        return Some(WEIGHTS.to_owned());
    }
    match shards(repository, commit) {
        Ok(names) => names.into_iter().find(|name| !has(name)),
        Err(_) => Some(INDEX.to_owned()),
    }
}

/// The weight files that the index names.
fn shards(repository: &Repository, commit: &str) -> Result<BTreeSet<String>, HubError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let path = repository.snapshot(commit).join(INDEX);
    let size = fs_err::metadata(&path)?.len();
    if size > SMALL {
        return Err(HubError::TooLarge {
            name: INDEX.to_owned(),
            size,
            limit: SMALL,
        });
    }
    let index: Index =
        serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| HubError::Answer {
            path: path.display().to_string(),
            reason: format!("not an index of weights: {error}"),
        })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    for name in &names {
        names::check_file(name)?;
        // Nothing that could run code, whatever an index says.
        let ending = Path::new(name).extension();
        if ending.is_none_or(|ending| ending != "safetensors") {
            return Err(HubError::NoSafetensors {
                id: repository.id.clone(),
                found: Some(name.clone()),
            });
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_ids() {
        for path in ["./a", "../a", "/a", "a/b/c", "~/a", "models/"] {
            assert!(looks_like_a_path(path), "{path}");
        }
        for id in ["gpt2", "org/name"] {
            assert!(!looks_like_a_path(id), "{id}");
        }
    }
}
