//! What can go wrong between a name and its files. No error repeats what the hub sent, beyond names
//! that were checked, nor the query of an address: signed addresses and tokens stay out of logs.

use std::path::PathBuf;
use std::time::Duration;

use shared::datasets::DatasetError;
use shared::exit::{ExitStatus, HasExitStatus};

/// An error of the hub, its cache or its client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Neither `HF_HOME` nor `HOME` is set.
    #[error("no place to keep files from the hub: set HF_HOME or HF_HUB_CACHE to a folder")]
    NoHome,
    /// A token with characters that no token has.
    #[error(
        "the hub token (HF_TOKEN, or the file `hf auth login` writes) has spaces or characters no token has: set it anew"
    )]
    Token,
    /// `HF_ENDPOINT` is no address.
    #[error("HF_ENDPOINT must be an address such as https://huggingface.co, got `{endpoint}`")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// Plain http to another machine.
    #[error(
        "refused plain http to {host}: use https (http is for this machine's own loopback address only)"
    )]
    PlainHttp {
        /// Whereto.
        host: String,
    },
    /// Certificates that cannot be read.
    #[error("{}: no certificates in PEM form: mend or unset {variable}", path.display())]
    Certificates {
        /// The variable that names the file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// No id of a repository.
    #[error(
        "`{id}` is neither a folder here nor a name on the hub, such as bert-large-cased or org/name"
    )]
    Id {
        /// What was given.
        id: String,
    },
    /// No name of a revision.
    #[error(
        "`{revision}` is no revision: expected a branch, a tag or a commit of 40 hexadecimal digits"
    )]
    Revision {
        /// What was given.
        revision: String,
    },
    /// A file name that would leave its folder.
    #[error("refused the file name `{name}`: it points outside the folder of its repository")]
    Name {
        /// What the hub or an index said.
        name: String,
    },
    /// Not complete in the cache, and no request may be made.
    #[error(
        "{id} at {revision} is not complete in {}: {missing} is missing, and {variable} is set; {}",
        cache.display(), remedy(fetch, cache)
    )]
    Offline {
        /// The repository.
        id: String,
        /// As asked for.
        revision: String,
        /// The cache folder.
        cache: PathBuf,
        /// The first thing that is missing.
        missing: Box<str>,
        /// The environment variable that forbids requests.
        variable: &'static str,
        /// The command that fetches it with Python.
        fetch: Box<str>,
    },
    /// No connection.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Whereto.
        host: String,
        /// Why.
        reason: String,
    },
    /// No connection, and not complete in the cache.
    #[error(
        "cannot fetch {id}, no connection to {host}: {reason}; {}",
        remedy(fetch, cache)
    )]
    NoConnection {
        /// The repository.
        id: String,
        /// Whereto.
        host: String,
        /// Why.
        reason: String,
        /// The cache folder.
        cache: PathBuf,
        /// The command that fetches it with Python.
        fetch: String,
    },
    /// Access has to be asked for.
    #[error("{id} is gated: ask for access at {page}, then set HF_TOKEN to {}", whose(*with_token))]
    Gated {
        /// The repository.
        id: String,
        /// Its page.
        page: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// Not there, or not for us.
    #[error(
        "there is no {id} here, and the hub shows none: look for it at {page}; if it is private or gated, set HF_TOKEN to {}",
        whose(*with_token)
    )]
    NoRepository {
        /// The repository.
        id: String,
        /// Its page.
        page: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// No such branch, tag or commit.
    #[error("{id} has no revision `{revision}`: see the branches and tags at {page}")]
    NoRevision {
        /// The repository.
        id: String,
        /// As asked for.
        revision: String,
        /// Its page.
        page: String,
    },
    /// Another answer than the one needed.
    #[error("the hub answered {status} to {path}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// The path asked for.
        path: String,
        /// The hub's own word for it.
        code: Option<&'static str>,
    },
    /// Too many requests, and too long to wait.
    #[error("the hub takes no more requests for {} s: start again then, or set HF_TOKEN for a higher limit", wait.as_secs())]
    RateLimit {
        /// How long it asks to wait.
        wait: Duration,
    },
    /// An answer that makes no sense.
    #[error("the hub's answer to {path} is not usable: {reason}")]
    Answer {
        /// The path asked for.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Larger than any such file is.
    #[error("{name} has {size} bytes, more than the {limit} that such a file may have")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// Not the bytes that were announced.
    #[error(
        "{name} came with another digest than announced (expected {expected}, got {got}): what came was thrown away, start again"
    )]
    Digest {
        /// The file.
        name: String,
        /// As the hub announced.
        expected: String,
        /// Of what came.
        got: String,
    },
    /// No room.
    #[error("{name} needs {needed} bytes in {}, {free} are free: make room, or set HF_HUB_CACHE to a larger disk", cache.display())]
    NoSpace {
        /// The file.
        name: String,
        /// Bytes still to come.
        needed: u64,
        /// Bytes there are.
        free: u64,
        /// The cache folder.
        cache: PathBuf,
    },
    /// No weights that are read here.
    #[error(
        "{id} has no safetensors weights{}; convert them once where Python is: python -c \"from transformers import \
         AutoModel, AutoTokenizer as T; AutoModel.from_pretrained('{id}').save_pretrained('FOLDER'); \
         T.from_pretrained('{id}').save_pretrained('FOLDER')\" and pass --model FOLDER",
        found.as_ref().map(|name| format!(", only {name}")).unwrap_or_default()
    )]
    NoSafetensors {
        /// The repository.
        id: String,
        /// Weights of another format.
        found: Option<String>,
    },
    /// Weights of llama.cpp alone.
    #[error(
        "{id} has no safetensors weights, only {found}: GGUF is a format of llama.cpp whose numbers are mostly quantised; \
         use the safetensors checkpoint that it was made from (its page on the hub names it); if there is none, write one \
         with its rounded numbers where transformers and gguf are installed: python -c \"from transformers import AutoModel, \
         AutoTokenizer; [c.from_pretrained('{id}', gguf_file='{found}').save_pretrained('FOLDER') for c in (AutoModel, \
         AutoTokenizer)]\" and pass --model FOLDER"
    )]
    Gguf {
        /// The repository.
        id: String,
        /// The first of its files.
        found: String,
    },
    /// Not a model of `transformers`.
    #[error("{id} has no {name}, so it is not a model of transformers")]
    NoFile {
        /// The repository.
        id: String,
        /// What is missing.
        name: &'static str,
    },
    /// No parquet to be had.
    #[error(
        "{id} has no parquet files, neither its own nor converted by the hub: fetch its files and pass their folder \
         (column files, CoNLL-U, JSONL, CSV or parquet) as --dataset"
    )]
    NoParquet {
        /// The repository.
        id: String,
    },
    /// Several configurations to choose from, or none of that name.
    #[error("{id} has no configuration {}: pass --dataset-config with one of {}", wanted.as_deref().map_or_else(|| "that goes without saying".to_owned(), |name| format!("`{name}`")), list(there))]
    Config {
        /// The repository.
        id: String,
        /// As asked for.
        wanted: Option<String>,
        /// Those there are.
        there: Vec<String>,
    },
    /// No split of a usual name.
    #[error(
        "{id} has no split that is called train, validation or test; there are {}",
        list(there)
    )]
    NoSplits {
        /// The repository.
        id: String,
        /// The files there are.
        there: Vec<String>,
    },
    /// Stopped by a signal.
    #[error("stopped; what has come stays in the cache, run the same command again")]
    Interrupted,
    /// The data files.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl HasExitStatus for HubError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Interrupted => ExitStatus::Interrupted,
            Self::Unreachable { .. }
            | Self::NoConnection { .. }
            | Self::RateLimit { .. }
            | Self::Answer { .. }
            | Self::Digest { .. }
            | Self::NoSpace { .. } => ExitStatus::Machine,
            Self::Status { status, .. } if *status >= 500 => ExitStatus::Machine,
            Self::Data(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
            _ => ExitStatus::User,
        }
    }
}

impl HubError {
    /// Whether the hub could not be asked, so that what is in the cache has to do.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::RateLimit { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

pub(super) const GATED: &str = "GatedRepo";
pub(super) const NO_REVISION: &str = "RevisionNotFound";
pub(super) const NO_ENTRY: &str = "EntryNotFound";

/// The hub's words in `X-Error-Code` that are understood; other text is not repeated.
pub(super) fn known_code(code: &str) -> Option<&'static str> {
    [GATED, NO_REVISION, NO_ENTRY, "RepoNotFound"]
        .into_iter()
        .find(|known| *known == code)
}

fn whose(with_token: bool) -> &'static str {
    if with_token {
        "a token whose owner has access (the one sent has none)"
    } else {
        "your access token (https://huggingface.co/settings/tokens)"
    }
}

fn remedy(fetch: &str, cache: &std::path::Path) -> String {
    format!(
        "run this on a machine with internet, or `{fetch}` there, and copy the cache folder to {}; \
         or pass a folder with the files instead of the name",
        cache.display()
    )
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = if names.len() > SHOWN {
        format!(" and {} more", names.len() - SHOWN)
    } else {
        String::new()
    };
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ") + &more
    }
}
