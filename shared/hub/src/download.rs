//! One file from the hub into the cache. Its bytes go to `blobs/<digest>.incomplete`, where a later
//! start goes on by a range request; the file gets its name when size and digest are those that the
//! hub announced.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use shared::files::{hexadecimal, sync_dir};
use shared::terminal::Progress;
use ureq::http::{HeaderMap, Response, header};

use super::cache::Repository;
use super::client::{Client, failed, number, success};
use super::retry::{Failure, Retry, RetryPolicy};
use super::{HubError, names};

/// Bytes that have to come for failures before to be forgotten.
const SOME_BYTES: u64 = 1 << 20;
/// Files below this come without a bar.
const SHOWN_FROM: u64 = 4 << 20;

/// A file of a repository at a commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
    /// The most bytes such a file may have.
    pub(super) limit: u64,
}

/// Makes sure that a file is in the cache, and says where.
pub(super) fn fetch(
    client: &Client<'_>,
    repository: &Repository,
    wanted: Wanted<'_>,
) -> Result<PathBuf, HubError> {
    let Wanted {
        commit,
        name,
        limit,
    } = wanted;
    names::check_file(name)?;
    if let Some(path) = repository.cached(commit, name) {
        return Ok(path);
    }
    let path = repository.file_path(commit, name);
    let with_token = client.options.token.is_some();
    let about = |error: HubError| repository.explain(error, commit, with_token);
    let file = Announced::ask(client, &path, name).map_err(about)?;
    if file.size > limit {
        return Err(HubError::TooLarge {
            name: name.to_owned(),
            size: file.size,
            limit,
        });
    }
    let blob = repository.blob(&file.digest.text);
    if let Some(folder) = blob.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let _lock = repository.lock(&file.digest.text, client.options)?;
    if fs_err::metadata(&blob).map(|found| found.len()).ok() != Some(file.size) {
        let mut part = Part::open(&blob, &file)?;
        part.check_space(repository)?;
        part.complete(client, &path).map_err(about)?;
        part.accept(&blob)?;
    }
    Ok(repository.link(commit, name, &file.digest.text)?)
}

/// What the hub says about a file before it sends it.
#[derive(Debug)]
struct Announced<'a> {
    name: &'a str,
    size: u64,
    digest: Digest,
}

impl<'a> Announced<'a> {
    fn ask(client: &Client<'_>, path: &str, name: &'a str) -> Result<Self, HubError> {
        let mut policy = RetryPolicy::new(client.options, client.options.attempts);
        let headers = loop {
            match client.head(path) {
                Ok(headers) => break headers,
                Err(failure) => policy.wait(failure)?,
            }
        };
        Self::from_headers(&headers, name).ok_or_else(|| HubError::Answer {
            path: path.to_owned(),
            reason: "it names no size, or no digest of SHA-256 or git; a mirror may leave them out"
                .to_owned(),
        })
    }

    /// Large files are described by `X-Linked-*`, small ones by the plain headers.
    fn from_headers(headers: &HeaderMap, name: &'a str) -> Option<Self> {
        let etag = headers
            .get("x-linked-etag")
            .or_else(|| headers.get(header::ETAG))?
            .to_str()
            .ok()?;
        let size =
            number(headers, "x-linked-size").or_else(|| number(headers, "content-length"))?;
        Some(Self {
            name,
            size,
            digest: Digest::from_etag(etag)?,
        })
    }
}

/// The digest by which the hub names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Digest {
    kind: DigestKind,
    /// Lower-case hexadecimal: safe as a file name.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DigestKind {
    /// Of the bytes: files in the store of large files.
    Sha256,
    /// Of `blob <size>\0` and the bytes: files in git itself (git-hash-object).
    Git,
}

impl Digest {
    fn from_etag(etag: &str) -> Option<Self> {
        let text = etag
            .strip_prefix("W/")
            .unwrap_or(etag)
            .trim_matches('"')
            .to_ascii_lowercase();
        let kind = match text.len() {
            64 => DigestKind::Sha256,
            40 => DigestKind::Git,
            _ => return None,
        };
        text.bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(Self { kind, text })
    }
}

enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    fn new(file: &Announced<'_>) -> Self {
        match file.digest.kind {
            DigestKind::Sha256 => Self::Sha256(Sha256::new()),
            DigestKind::Git => Self::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hexadecimal(&hasher.finalize()),
            Self::Git(hasher) => hexadecimal(&hasher.finalize()),
        }
    }
}

/// A file that is coming: what is there of it, and the digest of that.
struct Part<'a> {
    announced: &'a Announced<'a>,
    path: PathBuf,
    file: fs_err::File,
    hasher: Hasher,
    done: u64,
    /// Bytes that an earlier start left.
    resumed: u64,
}

impl<'a> Part<'a> {
    fn open(blob: &Path, announced: &'a Announced<'a>) -> Result<Self, HubError> {
        let mut path = blob.as_os_str().to_owned();
        path.push(".incomplete");
        let path = PathBuf::from(path);
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut part = Self {
            announced,
            path,
            file,
            hasher: Hasher::new(announced),
            done: 0,
            resumed: 0,
        };
        if part.file.metadata()?.len() > announced.size {
            part.restart()?;
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            match part.file.read(&mut buffer)? {
                0 => break,
                count => {
                    part.hasher.update(&buffer[..count]);
                    part.done += count as u64;
                }
            }
        }
        part.resumed = part.done;
        Ok(part)
    }

    /// Throws away what is there.
    fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::new(self.announced);
        self.done = 0;
        self.resumed = 0;
        Ok(())
    }

    fn check_space(&self, repository: &Repository) -> Result<(), HubError> {
        let needed = self.announced.size.saturating_sub(self.done);
        let free = shared::resources::free_space(&repository.cache)?;
        if needed <= free {
            return Ok(());
        }
        Err(HubError::NoSpace {
            name: self.announced.name.to_owned(),
            needed,
            free,
            cache: repository.cache.clone(),
        })
    }

    /// Reads until all bytes are there and right.
    fn complete(&mut self, client: &Client<'_>, path: &str) -> Result<(), HubError> {
        let Announced { name, size, .. } = *self.announced;
        let terminal = &client.options.terminal;
        let progress = (size >= SHOWN_FROM).then(|| terminal.progress(name, size, "bytes"));
        if progress.is_none() {
            terminal.detail(format!("fetching {name} ({size} bytes)"));
        }
        if self.done > 0 {
            terminal.detail(format!("{name}: going on after {} bytes", self.done));
        }
        let mut shown = 0;
        let mut policy = RetryPolicy::new(client.options, client.options.attempts);
        loop {
            while self.done < size {
                let before = self.done;
                let result = self.transfer(client, path, progress.as_ref(), &mut shown);
                if self.done >= before + SOME_BYTES {
                    policy.renew();
                }
                match result {
                    Err(failure) => policy.wait(failure)?,
                    Ok(()) if self.done < size => policy.wait(self.cut(client))?,
                    Ok(()) => {}
                }
            }
            let got = std::mem::replace(&mut self.hasher, Hasher::new(self.announced)).finish();
            if got == self.announced.digest.text {
                return Ok(());
            }
            let was_resumed = self.resumed > 0;
            self.restart()?;
            if !was_resumed {
                fs_err::remove_file(&self.path)?;
                let expected = self.announced.digest.text.clone();
                return Err(HubError::Digest {
                    name: name.to_owned(),
                    expected,
                    got,
                });
            }
            // What an earlier start left was not the beginning of this file.
            terminal.warn(format!(
                "{name}: the part from an earlier start is damaged, fetching it anew"
            ));
        }
    }

    /// One request: from where we are to the end, or to where the connection breaks.
    fn transfer(
        &mut self,
        client: &Client<'_>,
        path: &str,
        progress: Option<&Progress>,
        shown: &mut u64,
    ) -> Result<(), Failure> {
        let start = (self.done > 0).then_some(self.done);
        let response = client.get(path, start)?;
        if start.is_some() && response.status() == 416 {
            self.restart()?;
            return Ok(());
        }
        if matches!(response.status().as_u16(), 401 | 403 | 404) {
            // The hub itself let us through a moment ago: an address that ran out, or a store that
            // is not ready.
            let reason = format!(
                "status {} where its bytes should be",
                response.status().as_u16()
            );
            let path = path.to_owned();
            return Err(Failure::new(HubError::Answer { path, reason }, Retry::Soon));
        }
        let response = success(path, response)?;
        if !goes_on_at(&response, self.done) {
            // A server that sends the whole file whatever it is asked for.
            self.restart()?;
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            if client.options.stop.stopped() {
                return Err(HubError::Interrupted.into());
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(client.host(), &ureq::Error::Io(error))),
            };
            if self.done + count as u64 > self.announced.size {
                return Err(HubError::Answer {
                    path: path.to_owned(),
                    reason: format!("more than the {} bytes announced", self.announced.size),
                }
                .into());
            }
            self.file
                .write_all(&buffer[..count])
                .map_err(HubError::from)?;
            self.hasher.update(&buffer[..count]);
            self.done += count as u64;
            if let Some(progress) = progress {
                progress.inc(self.done.saturating_sub(*shown));
                *shown = self.done.max(*shown);
            }
        }
    }

    fn cut(&self, client: &Client<'_>) -> Failure {
        let reason = format!(
            "the connection ended after {} of {} bytes",
            self.done, self.announced.size
        );
        let host = client.host().to_owned();
        Failure::new(HubError::Unreachable { host, reason }, Retry::Soon)
    }

    /// The bytes are right: they get their name.
    fn accept(self, blob: &Path) -> Result<(), HubError> {
        self.file.sync_all()?;
        fs_err::rename(&self.path, blob)?;
        if let Some(folder) = blob.parent() {
            sync_dir(folder)?;
        }
        Ok(())
    }
}

/// Whether a body begins at byte `done` of the file.
fn goes_on_at(response: &Response<ureq::Body>, done: u64) -> bool {
    if done == 0 {
        return response.status() != 206 || range_start(response.headers()) == Some(0);
    }
    response.status() == 206 && range_start(response.headers()) == Some(done)
}

/// `bytes 100-199/200` begins at 100.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_from_etags() {
        let git = "\"95d09f2b10159347eece71399a7e2e907ea3df4f\"";
        assert_eq!(Digest::from_etag(git).unwrap().kind, DigestKind::Git);
        assert_eq!(
            Digest::from_etag(&format!("W/{git}")),
            Digest::from_etag(git)
        );
        assert_eq!(
            Digest::from_etag(&"A".repeat(64)).unwrap().text,
            "a".repeat(64)
        );
        for etag in [
            "",
            "\"\"",
            "../../../etc/passwd",
            &"g".repeat(40),
            &"a".repeat(41),
        ] {
            assert_eq!(Digest::from_etag(etag), None, "{etag}");
        }
    }

    #[test]
    fn small_files_have_the_digest_of_git() {
        // `printf 'hello world' | git hash-object --stdin`
        let digest = Digest {
            kind: DigestKind::Git,
            text: "95d09f2b10159347eece71399a7e2e907ea3df4f".to_owned(),
        };
        let file = Announced {
            name: "a",
            size: 11,
            digest,
        };
        let mut hasher = Hasher::new(&file);
        hasher.update(b"hello ");
        hasher.update(b"world");
        assert_eq!(hasher.finish(), file.digest.text);
    }
}
