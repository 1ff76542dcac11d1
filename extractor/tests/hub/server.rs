//! A hub on loopback: the addresses, headers and habits of the real one, large files on a second host, and
//! faults on demand. It remembers every request, so that tests can say what may be asked and what may be told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::HubOptions;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use shared::files::hexadecimal;
use shared::signals::StopFlag;
use shared::terminal::{Terminal, Verbosity};

pub(crate) const COMMIT: &str = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a";
pub(crate) const CONVERTED: &str = "refs/convert/parquet";
pub(crate) const CONVERTED_COMMIT: &str = "aa11bb22cc33dd44ee55ff6600112233445566aa";

/// Something that goes wrong, once, on the next request of a path that contains a text.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Another status with `Retry-After` in seconds.
    Busy(u16, Option<u32>),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Other bytes of the same length.
    OtherBytes,
    /// More bytes than announced, without a length.
    Endless,
    /// A range request answered with the whole file.
    WholeFile,
    /// A redirect.
    Redirect(String),
    /// These headers instead of the file's own.
    Headers(Vec<(&'static str, String)>),
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<String>,
    /// Came to the host of large files.
    pub(crate) at_store: bool,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Vec<u8>,
    large: bool,
}

#[derive(Debug, Default)]
struct Repository {
    /// Files by revision.
    revisions: BTreeMap<String, (String, BTreeMap<String, File>)>,
    gated: bool,
    moved_to: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    faults: Vec<(String, Fault)>,
    seen: Vec<Seen>,
    store: String,
}

/// The running hub; it ends with the test process.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listen = |at_store: bool| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || serve(&stream, &state, at_store));
                }
            });
            address
        };
        let address = listen(false);
        let store = listen(true);
        state.lock().unwrap().store = store;
        Self { address, state }
    }

    /// Adds a file to `main`; `large` files are kept on the other host. A data set's id begins with `datasets/`.
    pub(crate) fn add(
        &self,
        id: &str,
        name: &str,
        bytes: impl Into<Vec<u8>>,
        large: bool,
    ) -> &Self {
        self.add_at(id, "main", COMMIT, name, bytes, large)
    }

    pub(crate) fn add_at(
        &self,
        id: &str,
        revision: &str,
        commit: &str,
        name: &str,
        bytes: impl Into<Vec<u8>>,
        large: bool,
    ) -> &Self {
        let mut state = self.state.lock().unwrap();
        let repository = state.repositories.entry(id.to_owned()).or_default();
        let (_, files) = repository
            .revisions
            .entry(revision.to_owned())
            .or_insert_with(|| (commit.to_owned(), BTreeMap::new()));
        files.insert(
            name.to_owned(),
            File {
                bytes: bytes.into(),
                large,
            },
        );
        self
    }

    /// A model with one weight file of `size` bytes, and some files that nobody needs.
    pub(crate) fn add_model(&self, id: &str, size: usize) -> &Self {
        self.add(id, "config.json", r#"{"model_type": "bert"}"#, false)
            .add(id, "tokenizer.json", "{}", false)
            .add(id, "tokenizer_config.json", "{}", false)
            .add(id, "model.safetensors", weights(size), true)
            .add(id, "pytorch_model.bin", weights(size), true)
            .add(id, "README.md", "# A model", false)
    }

    pub(crate) fn gate(&self, id: &str) {
        self.state
            .lock()
            .unwrap()
            .repositories
            .get_mut(id)
            .unwrap()
            .gated = true;
    }

    /// Requests to `id` are sent on to `new`.
    pub(crate) fn rename(&self, id: &str, new: &str) {
        self.state
            .lock()
            .unwrap()
            .repositories
            .entry(id.to_owned())
            .or_default()
            .moved_to = Some(new.to_owned());
    }

    pub(crate) fn fail(&self, path_part: &str, fault: Fault) {
        self.state
            .lock()
            .unwrap()
            .faults
            .push((path_part.to_owned(), fault));
    }

    /// The requests since the last look.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    pub(crate) fn options(&self, cache: &Path) -> HubOptions {
        HubOptions {
            endpoint: self.address.clone(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            offline_variable: "HF_HUB_OFFLINE",
            attempts: 3,
            pause: Duration::from_millis(5),
            terminal: Terminal::new(Verbosity::Quiet, false),
            stop: StopFlag::default(),
        }
    }
}

/// Bytes that look like nothing else at another place.
pub(crate) fn weights(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn digest(file: &File) -> String {
    if file.large {
        return hexadecimal(&Sha256::digest(&file.bytes));
    }
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", file.bytes.len()));
    hasher.update(&file.bytes);
    hexadecimal(&hasher.finalize())
}

fn serve(stream: &TcpStream, state: &Mutex<State>, at_store: bool) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers: BTreeMap<String, String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let header = |name: &str| headers.get(name).cloned();
    let request = Seen {
        method,
        path,
        token: header("authorization"),
        range: header("range"),
        at_store,
    };
    let answer = {
        let mut state = state.lock().unwrap();
        state.seen.push(request.clone());
        let fault = state.faults.iter().position(|(part, _)| {
            request.path.contains(part.as_str()) && (at_store || !is_large(&state, &request.path))
        });
        let fault = fault.map(|index| state.faults.remove(index).1);
        answer(&state, &request, fault)
    };
    let _ = answer.send(stream, request.method == "HEAD");
}

/// Faults of a large file's bytes happen where its bytes are.
fn is_large(state: &State, path: &str) -> bool {
    find(state, path).is_some_and(|(_, file)| file.large)
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What is said of the body's length, if anything.
    length: Option<usize>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: Vec::new(),
            length: Some(body.len()),
            body,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn send(&self, mut stream: &TcpStream, head: bool) -> std::io::Result<()> {
        let mut text = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(length) = self.length {
            text.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
        }
        stream.write_all((text + "\r\n").as_bytes())?;
        if !head {
            stream.write_all(&self.body)?;
        }
        stream.flush()
    }
}

/// The commit and file that `/[datasets/]org/name/resolve/revision/file` names.
fn find<'a>(state: &'a State, path: &str) -> Option<(String, &'a File)> {
    let (id, rest) = path.trim_start_matches('/').split_once("/resolve/")?;
    let (revision, name) = rest.split_once('/')?;
    let mut revisions = state.repositories.get(id)?.revisions.iter();
    let is_meant = |(branch, (commit, _)): &(&String, &(String, _))| {
        **branch == revision || *commit == revision
    };
    let (_, (commit, files)) = revisions.find(is_meant)?;
    Some((commit.clone(), files.get(name)?))
}

fn answer(state: &State, request: &Seen, fault: Option<Fault>) -> Answer {
    let mut answer = match &fault {
        Some(Fault::Busy(status, wait)) => {
            let answer = Answer::new(*status, "later");
            return wait.map_or(Answer::new(*status, "later"), |wait| {
                answer.with("Retry-After", wait.to_string())
            });
        }
        Some(Fault::Redirect(to)) => return Answer::new(302, "").with("Location", to.clone()),
        _ if request.at_store => stored(state, request, matches!(fault, Some(Fault::WholeFile))),
        _ if request.path.starts_with("/api/") => listing(state, request),
        _ => resolved(state, request),
    };
    match fault {
        Some(Fault::Cut(count)) => answer.body.truncate(count),
        Some(Fault::OtherBytes) => answer.body.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::Endless) => {
            answer.length = None;
            answer.body.extend(vec![0; 100_000]);
        }
        Some(Fault::Headers(headers)) => {
            answer.headers = headers;
            answer.length = None;
        }
        _ => {}
    }
    answer
}

fn listing(state: &State, request: &Seen) -> Answer {
    let path = request
        .path
        .trim_start_matches("/api/")
        .trim_start_matches("models/");
    let Some((id, revision)) = path.split_once("/revision/") else {
        return Answer::new(404, "");
    };
    let revision = revision.replace("%2F", "/");
    let Some(repository) = state.repositories.get(id) else {
        return Answer::new(401, "").with("X-Error-Code", "RepoNotFound");
    };
    if let Some(new) = &repository.moved_to {
        return Answer::new(307, "").with("Location", request.path.replace(id, new));
    }
    let found = repository
        .revisions
        .iter()
        .find(|(name, (commit, _))| **name == revision || *commit == revision);
    let Some((_, (commit, files))) = found else {
        return Answer::new(404, "").with("X-Error-Code", "RevisionNotFound");
    };
    let siblings: Vec<_> = files
        .keys()
        .map(|name| serde_json::json!({ "rfilename": name }))
        .collect();
    Answer::new(
        200,
        serde_json::json!({ "sha": commit, "siblings": siblings }).to_string(),
    )
}

fn resolved(state: &State, request: &Seen) -> Answer {
    let id = request
        .path
        .trim_start_matches('/')
        .split_once("/resolve/")
        .map(|(id, _)| id)
        .unwrap_or_default();
    if let Some(new) = state
        .repositories
        .get(id)
        .and_then(|repository| repository.moved_to.as_ref())
    {
        return Answer::new(307, "").with("Location", request.path.replace(id, new));
    }
    if state
        .repositories
        .get(id)
        .is_some_and(|repository| repository.gated)
        && request.token.as_deref() != Some("Bearer hf_good")
    {
        return Answer::new(401, "").with("X-Error-Code", "GatedRepo");
    }
    let Some((commit, file)) = find(state, &request.path) else {
        return Answer::new(404, "").with("X-Error-Code", "EntryNotFound");
    };
    let etag = format!("\"{}\"", digest(file));
    if !file.large {
        return ranged(file, request.range.as_deref())
            .with("ETag", etag)
            .with("X-Repo-Commit", commit);
    }
    Answer::new(302, "moved to the store")
        .with(
            "Location",
            format!("{}/{}?signature=secret", state.store, digest(file)),
        )
        .with("ETag", "\"of-the-redirect\"")
        .with("X-Linked-ETag", etag)
        .with("X-Linked-Size", file.bytes.len().to_string())
        .with("X-Repo-Commit", commit)
}

fn stored(state: &State, request: &Seen, whole: bool) -> Answer {
    let files = state
        .repositories
        .values()
        .flat_map(|repository| repository.revisions.values())
        .flat_map(|(_, files)| files.values());
    let wanted = request
        .path
        .trim_start_matches('/')
        .split('?')
        .next()
        .unwrap_or_default();
    match files
        .into_iter()
        .find(|file| file.large && digest(file) == wanted)
    {
        Some(file) => ranged(file, request.range.as_deref().filter(|_| !whole)),
        None => Answer::new(404, ""),
    }
}

fn ranged(file: &File, range: Option<&str>) -> Answer {
    let size = file.bytes.len();
    let Some(start) = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    }) else {
        return Answer::new(200, file.bytes.clone());
    };
    if start >= size {
        return Answer::new(416, "");
    }
    Answer::new(206, &file.bytes[start..]).with(
        "Content-Range",
        format!("bytes {start}-{}/{size}", size - 1),
    )
}
