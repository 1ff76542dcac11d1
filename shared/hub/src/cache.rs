//! The folder of one repository in the cache, laid out as Python's `huggingface_hub` does:
//!
//! ```text
//! models--org--name/refs/main                       the commit a branch stood for
//! models--org--name/blobs/<digest>                  the bytes, named by the hub's ETag
//! models--org--name/snapshots/<commit>/config.json  a link to ../../blobs/<digest>
//! .locks/models--org--name/<digest>.lock            held while a blob is fetched
//! models--org--name/names/<commit>                  ours: the names of all files, a line each
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::files::temporary_beside;

use super::{HubError, HubOptions, error, names};

/// What a repository holds; each has its own prefix in addresses and folder names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Dataset,
}

/// One repository: its name on the hub and its folder in the cache.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) cache: PathBuf,
    endpoint: String,
    folder_name: String,
}

impl Repository {
    pub(super) fn new(kind: Kind, id: &str, options: &HubOptions) -> Result<Self, HubError> {
        names::check_id(id)?;
        let prefix = match kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        Ok(Self {
            kind,
            id: id.to_owned(),
            cache: options.cache.clone(),
            endpoint: options.endpoint.clone(),
            folder_name: format!("{prefix}--{}", id.replace('/', "--")),
        })
    }

    /// The page that people look at.
    pub(super) fn page(&self) -> String {
        format!("{}{}", self.endpoint, self.path())
    }

    /// What fetches all of it with Python.
    pub(super) fn fetch_command(&self) -> String {
        match self.kind {
            Kind::Model => format!("hf download {}", self.id),
            Kind::Dataset => format!("hf download --repo-type dataset {}", self.id),
        }
    }

    fn path(&self) -> String {
        match self.kind {
            Kind::Model => format!("/{}", self.id),
            Kind::Dataset => format!("/datasets/{}", self.id),
        }
    }

    /// Where the hub tells the commit and the files of a revision.
    pub(super) fn listing_path(&self, revision: &str) -> String {
        let kind = if self.kind == Kind::Model {
            "models"
        } else {
            "datasets"
        };
        format!(
            "/api/{kind}/{}/revision/{}",
            self.id,
            names::encode(revision, false)
        )
    }

    /// Where the hub has a file.
    pub(super) fn file_path(&self, commit: &str, name: &str) -> String {
        format!(
            "{}/resolve/{}/{}",
            self.path(),
            names::encode(commit, false),
            names::encode(name, true)
        )
    }

    fn folder(&self) -> PathBuf {
        self.cache.join(&self.folder_name)
    }

    /// The folder that looks like the repository at `commit`.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    /// A file of a snapshot, if all of it is here.
    pub(super) fn cached(&self, commit: &str, name: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(name)).filter(|path| path.is_file())
    }

    /// The commit that `revision` is, or stood for when it was last asked.
    pub(super) fn known_commit(&self, revision: &str) -> Option<String> {
        if names::is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs_err::read_to_string(self.folder().join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| names::is_commit(commit))
    }

    /// Remembers what `revision` stands for.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> io::Result<()> {
        // A cache that is only read must not be written to for nothing.
        if self.known_commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder().join("refs").join(revision);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        shared::files::write_atomic(path, commit.as_bytes())
    }

    /// Remembers the names of all files of a commit, so that a later start without the hub knows
    /// what is missing.
    pub(super) fn remember_files(&self, commit: &str, names: &[String]) -> io::Result<()> {
        let path = self.names_file(commit);
        if path.is_file() {
            return Ok(());
        }
        fs_err::create_dir_all(self.folder().join("names"))?;
        shared::files::write_atomic(path, names.join("\n").as_bytes())
    }

    /// The names of all files of a commit, where they were remembered, else of those that are here.
    pub(super) fn known_files(&self, commit: &str) -> io::Result<Vec<String>> {
        if let Ok(names) = fs_err::read_to_string(self.names_file(commit)) {
            return Ok(names.lines().map(str::to_owned).collect());
        }
        let snapshot = self.snapshot(commit);
        let mut names = Vec::new();
        let mut folders = vec![snapshot.clone()];
        while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
            for entry in fs_err::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) = path.strip_prefix(&snapshot).ok().and_then(Path::to_str)
                {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn names_file(&self, commit: &str) -> PathBuf {
        self.folder().join("names").join(commit)
    }

    /// Where the bytes with this digest are, or will be.
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        self.folder().join("blobs").join(digest)
    }

    /// Makes `name` of the snapshot the blob `digest`, in one step: another process may be reading
    /// it at this moment.
    pub(super) fn link(&self, commit: &str, name: &str, digest: &str) -> io::Result<PathBuf> {
        let pointer = self.snapshot(commit).join(name);
        let folder = pointer.parent().unwrap_or(&pointer);
        fs_err::create_dir_all(folder)?;
        // Relative, so that the cache can be moved and copied.
        let up = "../".repeat(name.split('/').count() + 1);
        let target = Path::new(&up).join("blobs").join(digest);
        if fs_err::read_link(&pointer).is_ok_and(|found| found == target) {
            return Ok(pointer);
        }
        let temporary = temporary_beside(&pointer)?;
        if std::os::unix::fs::symlink(&target, &temporary).is_err() {
            // A file system without links.
            fs_err::copy(self.blob(digest), &temporary)?;
        }
        fs_err::rename(&temporary, &pointer)?;
        Ok(pointer)
    }

    /// Waits until nobody else, Python included, fetches this blob. File systems without locks give
    /// none: then two writers may spoil each other's part, which the digest finds.
    pub(super) fn lock(
        &self,
        digest: &str,
        options: &HubOptions,
    ) -> Result<Option<fs_err::File>, HubError> {
        let folder = self.cache.join(".locks").join(&self.folder_name);
        fs_err::create_dir_all(&folder)?;
        let file = fs_err::File::create(folder.join(format!("{digest}.lock")))?;
        let mut told = false;
        loop {
            match file.file().try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(std::fs::TryLockError::Error(_)) => return Ok(None),
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            if options.stop.stopped() {
                return Err(HubError::Interrupted);
            }
            if !told {
                options.terminal.status(format!(
                    "waiting for another process that fetches {} too",
                    self.id
                ));
                told = true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// An error of the client in the words of this repository.
    pub(super) fn explain(&self, failure: HubError, revision: &str, with_token: bool) -> HubError {
        let id = self.id.clone();
        let page = self.page();
        match failure {
            HubError::Status {
                status: 401 | 403,
                code: Some(error::GATED),
                ..
            } => HubError::Gated {
                id,
                page,
                with_token,
            },
            HubError::Status {
                status: 404,
                code: Some(error::NO_REVISION),
                ..
            } => HubError::NoRevision {
                id,
                revision: revision.to_owned(),
                page,
            },
            HubError::Status {
                status: 404,
                path,
                code: Some(error::NO_ENTRY),
            } => HubError::Status {
                status: 404,
                path,
                code: Some(error::NO_ENTRY),
            },
            HubError::Status {
                status: 401 | 403 | 404,
                ..
            } => HubError::NoRepository {
                id,
                page,
                with_token,
            },
            HubError::Unreachable { host, reason } => HubError::NoConnection {
                id,
                host,
                reason,
                cache: self.cache.clone(),
                fetch: self.fetch_command(),
            },
            other => other,
        }
    }
}
