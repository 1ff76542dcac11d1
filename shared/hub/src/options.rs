//! Where the hub is, where its files are kept and who asks: the environment variables of Python's
//! `huggingface_hub`, with its defaults, so that a machine set up for Python needs nothing else.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use shared::signals::StopFlag;
use shared::terminal::Terminal;

use super::HubError;

const ENDPOINT: &str = "https://huggingface.co";

/// A hub access token. Nothing shows it: it can be compared and sent, not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as read from the environment or a file; white space around it is no part of it.
    ///
    /// # Errors
    /// When it has characters that cannot stand in a header; the error does not repeat it.
    pub fn new(text: &str) -> Result<Option<Self>, HubError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::Token);
        }
        Ok(Some(Self(text.to_owned())))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

/// The variables that forbid requests, as Python's libraries know them.
const OFFLINE: [&str; 2] = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];

/// How to reach the hub, or not to.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The hub's address, without a slash at its end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The cache folder (`HF_HUB_CACHE`, else `hub` in `HF_HOME`).
    pub cache: PathBuf,
    /// Who asks (`HF_TOKEN`, else the file that `hf auth login` writes).
    pub token: Option<Token>,
    /// No request at all (`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`).
    pub offline: bool,
    /// The variable that said so, to be named in errors.
    pub offline_variable: &'static str,
    /// How often a request is tried that fails for a while only.
    pub attempts: u32,
    /// The pause after the first failed try, doubled after each further one, where the hub names
    /// none.
    pub pause: Duration,
    /// Where progress goes.
    pub terminal: Terminal,
    /// Ends a download; what has come stays for the next start.
    pub stop: StopFlag,
}

impl HubOptions {
    /// That something is missing and may not be fetched, in words.
    pub(super) fn offline_lacks(&self, missing: &str) -> String {
        format!("{missing} is missing, and {} is set", self.offline_variable)
    }

    /// The options that the environment states.
    ///
    /// # Errors
    /// When there is no home folder to keep files in, or the token is malformed.
    pub fn from_env(terminal: Terminal, stop: StopFlag) -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var_os(name), terminal, stop)
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        terminal: Terminal,
        stop: StopFlag,
    ) -> Result<Self, HubError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        let is_on = |name: &str| {
            text(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        };
        let folder = |name: &str| -> Option<PathBuf> {
            let path = PathBuf::from(variable(name)?);
            match (path.strip_prefix("~"), variable("HOME")) {
                (Ok(rest), Some(home)) => Some(PathBuf::from(home).join(rest)),
                _ => Some(path),
            }
        };
        let home = folder("HF_HOME")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(folder("HOME")?.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or(HubError::NoHome)?;
        let stated = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN"));
        let token = match stated {
            Some(token) => Token::new(&token)?,
            None if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") => None,
            None => match folder("HF_TOKEN_PATH").or_else(|| Some(home?.join("token"))) {
                // No file, or one that another user keeps to himself: ask as nobody, as Python
                // does.
                Some(path) => fs_err::read_to_string(path)
                    .ok()
                    .map_or(Ok(None), |token| Token::new(&token))?,
                None => None,
            },
        };
        let offline = OFFLINE.into_iter().find(|name| is_on(name));
        Ok(Self {
            endpoint: text("HF_ENDPOINT")
                .unwrap_or_else(|| ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            cache,
            token,
            offline: offline.is_some(),
            offline_variable: offline.unwrap_or(OFFLINE[0]),
            attempts: 5,
            pause: Duration::from_secs(1),
            terminal,
            stop,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::terminal::Verbosity;

    fn options(variables: &[(&str, &str)]) -> HubOptions {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        HubOptions::from_variables(
            find,
            Terminal::new(Verbosity::Quiet, false),
            StopFlag::default(),
        )
        .unwrap()
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        assert_eq!(
            options(&[("HOME", "/h")]).cache,
            PathBuf::from("/h/.cache/huggingface/hub")
        );
        assert_eq!(
            options(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).cache,
            PathBuf::from("/x/huggingface/hub")
        );
        assert_eq!(
            options(&[("HOME", "/h"), ("HF_HOME", "~/hf")]).cache,
            PathBuf::from("/h/hf/hub")
        );
        assert_eq!(
            options(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]).cache,
            PathBuf::from("/c")
        );
    }

    #[test]
    fn the_endpoint_and_the_switches_are_read() {
        let found = options(&[("HOME", "/h")]);
        assert_eq!((found.endpoint.as_str(), found.offline), (ENDPOINT, false));
        let found = options(&[
            ("HOME", "/h"),
            ("HF_ENDPOINT", "http://localhost:1/"),
            ("HF_HUB_OFFLINE", "True"),
        ]);
        assert_eq!(
            (found.endpoint.as_str(), found.offline),
            ("http://localhost:1", true)
        );
        assert!(!options(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).offline);
        for name in OFFLINE {
            let found = options(&[("HOME", "/h"), (name, "1")]);
            assert_eq!((found.offline, found.offline_variable), (true, name));
        }
    }

    #[test]
    fn a_token_comes_from_the_environment_or_the_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let from_file = options(&[("HF_HOME", home)]);
        assert_eq!(from_file.token.as_ref().unwrap().header(), "Bearer hf_file");
        let stated = options(&[("HF_HOME", home), ("HF_TOKEN", "hf_stated")]);
        assert_eq!(stated.token.as_ref().unwrap().header(), "Bearer hf_stated");
        assert_eq!(
            options(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).token,
            None
        );
        assert!(!format!("{stated:?} {from_file:?}").contains("hf_"));
        let error = Token::new("hf_a\nb").unwrap_err();
        assert!(!error.to_string().contains("hf_a"), "{error}");
    }
}
