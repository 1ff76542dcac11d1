//! Models and data sets by their name on the hub, as people type them: `bert-large-cased`,
//! `org/name`.
//!
//! The cache folder is the one of Python's `huggingface_hub`
//! (`models--org--name/{blobs,refs,snapshots}`), so what Python fetched is used here and the other
//! way round. The client is our own, on the blocking `ureq`: the crate `hf-hub` (1.0.0) starts a
//! cut download from its beginning, checks no digest and no size, joins names from the hub's
//! answers to paths as they come, speaks plain http to whoever is named, and brings tokio, reqwest
//! and the Xet client along. What the hub says is never trusted: names may not leave the cache
//! folder (`names`), the token goes to the hub's own origin only (`client`), sizes are bounded
//! before memory is taken, and no file gets its final name before its digest is right (`download`).

mod cache;
pub mod card;
mod client;
pub mod dataset;
mod download;
mod error;
mod known;
pub mod model;
mod names;
mod options;
mod retry;

pub use error::HubError;
pub use options::{HubOptions, Token};

use cache::Repository;
use client::Client;

/// What the hub says about a repository at a revision.
#[derive(Debug)]
struct Listing {
    /// The commit that the revision stands for now.
    commit: String,
    /// The names of all files, checked to stay inside a folder.
    files: Vec<String>,
}

impl Listing {
    /// Asks the hub: the one request that a warm start makes.
    fn fetch(
        client: &Client<'_>,
        repository: &Repository,
        revision: &str,
        attempts: u32,
    ) -> Result<Self, HubError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(serde::Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let path = repository.listing_path(revision);
        let bytes = client.read(&path, LISTING_LIMIT, attempts)?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| HubError::Answer {
            path: path.clone(),
            reason: format!("not the JSON expected: {error}"),
        })?;
        if !names::is_commit(&answer.sha) {
            return Err(HubError::Answer {
                path,
                reason: "the commit is not 40 hexadecimal digits".to_owned(),
            });
        }
        let files: Result<Vec<_>, _> = answer
            .siblings
            .into_iter()
            .map(|file| names::check_file(&file.rfilename).map(|()| file.rfilename))
            .collect();
        Ok(Self {
            commit: answer.sha,
            files: files?,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }

    /// The first file of llama.cpp, by name.
    fn gguf(&self) -> Option<&str> {
        let is_gguf = |name: &&str| {
            let ending = std::path::Path::new(name).extension();
            ending.is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
        };
        self.files.iter().map(String::as_str).filter(is_gguf).min()
    }
}

/// A listing of some ten thousand files is a few MB.
const LISTING_LIMIT: u64 = 32 << 20;
