//! Requests to the hub, and the rules that hold for every one: https except to loopback, redirects
//! followed by hand and few, the token to the hub's own origin (scheme, host and port) and nowhere
//! else, answers read up to a bound.

use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::error::known_code;
use super::retry::{Failure, Retry, RetryPolicy};
use super::{HubError, HubOptions};

/// A chain of redirects is: a renamed repository, the store of large files, perhaps a mirror of
/// that.
const MOST_REDIRECTS: usize = 8;
/// How long to wait for a connection, and for the next bytes of a body.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// Speaks to one hub.
#[derive(Debug)]
pub(super) struct Client<'a> {
    pub(super) options: &'a HubOptions,
    agent: Agent,
    origin: Origin,
}

impl<'a> Client<'a> {
    pub(super) fn new(options: &'a HubOptions) -> Result<Self, HubError> {
        let bad = || HubError::Endpoint {
            endpoint: without_secrets(&options.endpoint),
        };
        let endpoint: Uri = options.endpoint.parse().map_err(|_| bad())?;
        if endpoint.query().is_some() || options.endpoint.contains('@') {
            return Err(bad());
        }
        let origin = Origin::from_uri(&endpoint).ok_or_else(bad)?;
        if !origin.secure && !origin.is_loopback() {
            return Err(HubError::PlainHttp { host: origin.host });
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, where the rules for them are.
            .max_redirects(0)
            .user_agent(concat!("activation-cache/", env!("CARGO_PKG_VERSION")))
            // Sizes and ranges are those of the file itself.
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .proxy(if origin.is_loopback() {
                None
            } else {
                Proxy::try_from_env()
            })
            .tls_config(tls()?)
            .build()
            .new_agent();
        Ok(Self {
            options,
            agent,
            origin,
        })
    }

    /// Reads a whole small answer.
    pub(super) fn read(&self, path: &str, limit: u64, attempts: u32) -> Result<Vec<u8>, HubError> {
        let mut policy = RetryPolicy::new(self.options, attempts);
        loop {
            match self.read_once(path, limit) {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => policy.wait(failure)?,
            }
        }
    }

    fn read_once(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let response = success(path, self.get(path, None)?)?;
        let too_large = |size| HubError::TooLarge {
            name: path.to_owned(),
            size,
            limit,
        };
        if let Some(size) =
            number(response.headers(), "content-length").filter(|size| *size > limit)
        {
            return Err(too_large(size).into());
        }
        match response
            .into_body()
            .into_with_config()
            .limit(limit)
            .read_to_vec()
        {
            Ok(bytes) => Ok(bytes),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(too_large(limit + 1).into()),
            Err(error) => Err(failed(&self.origin.host, &error)),
        }
    }

    /// The headers that describe a file, without its bytes. Redirects are followed inside the hub
    /// only: the answer that sends elsewhere is the one with the digest and the size.
    pub(super) fn head(&self, path: &str) -> Result<HeaderMap, Failure> {
        let mut uri = self.uri(path)?;
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(&uri, true, None)?;
            if response.status().is_redirection() {
                let next = self.target(path, &uri, &response)?;
                if Origin::from_uri(&next).as_ref() == Some(&self.origin)
                    && !response.headers().contains_key("x-linked-etag")
                {
                    uri = next;
                    continue;
                }
                return Ok(response.into_parts().0.headers);
            }
            return Ok(success(path, response)?.into_parts().0.headers);
        }
        Err(lost(path))
    }

    /// Starts to read `path`, from byte `start` on where given. The status is the caller's to look
    /// at.
    pub(super) fn get(&self, path: &str, start: Option<u64>) -> Result<Response<Body>, Failure> {
        let mut uri = self.uri(path)?;
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(&uri, false, start)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            uri = self.target(path, &uri, &response)?;
        }
        Err(lost(path))
    }

    fn uri(&self, path: &str) -> Result<Uri, HubError> {
        let endpoint = &self.options.endpoint;
        format!("{endpoint}{path}")
            .parse()
            .map_err(|_| HubError::Endpoint {
                endpoint: without_secrets(endpoint),
            })
    }

    fn send(&self, uri: &Uri, head: bool, start: Option<u64>) -> Result<Response<Body>, Failure> {
        let mut request = if head {
            self.agent.head(uri.clone())
        } else {
            self.agent.get(uri.clone())
        };
        let origin = Origin::from_uri(uri);
        if let Some(token) = &self.options.token
            && origin.as_ref() == Some(&self.origin)
        {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        if let Some(start) = start {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let host = origin.map_or_else(String::new, |origin| origin.host);
        request.call().map_err(|error| failed(&host, &error))
    }

    /// Where a redirect leads, if that is allowed.
    fn target(&self, path: &str, from: &Uri, response: &Response<Body>) -> Result<Uri, HubError> {
        let unusable = || HubError::Answer {
            path: path.to_owned(),
            reason: "a redirect to no usable address".to_owned(),
        };
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(unusable)?;
        let scheme = from.scheme_str().unwrap_or("https");
        let absolute = if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            let authority = from.authority().ok_or_else(unusable)?;
            format!("{scheme}://{authority}{location}")
        } else {
            location.to_owned()
        };
        let uri: Uri = absolute.parse().map_err(|_| unusable())?;
        let origin = Origin::from_uri(&uri).ok_or_else(unusable)?;
        // A hub elsewhere has no business on this machine's loopback.
        let both_here = origin.is_loopback() && self.origin.is_loopback();
        if !(origin.secure || both_here) {
            return Err(HubError::PlainHttp { host: origin.host });
        }
        Ok(uri)
    }

    pub(super) fn host(&self) -> &str {
        &self.origin.host
    }
}

/// Scheme, host and port: what a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn from_uri(uri: &Uri) -> Option<Self> {
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())?
            .to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { secure, host, port })
    }

    fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

/// Lets answers of success through.
pub(super) fn success(path: &str, response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers();
    let code = headers
        .get("x-error-code")
        .and_then(|code| code.to_str().ok())
        .and_then(known_code);
    let error = HubError::Status {
        status: status.as_u16(),
        path: path.to_owned(),
        code,
    };
    let after = number(headers, "retry-after").map(Duration::from_secs);
    Err(match (status.as_u16(), after) {
        (429, Some(wait)) => Failure::new(HubError::RateLimit { wait }, Retry::After(wait)),
        (503, Some(wait)) => Failure::new(error, Retry::After(wait)),
        (408 | 429 | 500..=599, _) => Failure::new(error, Retry::Soon),
        _ => error.into(),
    })
}

/// An error of the connection, without the address: it may be signed.
pub(super) fn failed(host: &str, error: &ureq::Error) -> Failure {
    let reason = match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::RequireHttpsOnly(_) => {
            "not a usable address".to_owned()
        }
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => {
            "the proxy of the environment refuses".to_owned()
        }
        ureq::Error::HostNotFound => "no such host is known here".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let reason = if reason.contains("certificate") {
        format!("{reason} (SSL_CERT_FILE can name the certificates of your own network)")
    } else {
        reason
    };
    let host = host.to_owned();
    Failure::new(HubError::Unreachable { host, reason }, Retry::Soon)
}

/// A header that is a number.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn lost(path: &str) -> Failure {
    HubError::Answer {
        path: path.to_owned(),
        reason: format!("more than {MOST_REDIRECTS} redirects"),
    }
    .into()
}

/// An address without a user, a password or a query.
fn without_secrets(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        _ => address.to_owned(),
    }
}

/// Mozilla's root certificates, or those of a file: companies and clusters have their own.
fn tls() -> Result<TlsConfig, HubError> {
    for variable in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let Some(path) = std::env::var_os(variable)
            .filter(|path| !path.is_empty())
            .map(std::path::PathBuf::from)
        else {
            continue;
        };
        let pem = fs_err::read(&path)?;
        let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(HubError::Certificates { variable, path });
        }
        return Ok(TlsConfig::builder()
            .root_certs(RootCerts::from(certificates))
            .build());
    }
    Ok(TlsConfig::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::from_uri(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(
            origin("https://hub.example"),
            origin("https://HUB.example:443/a?b")
        );
        for other in [
            "http://hub.example",
            "https://hub.example:444",
            "https://cdn.hub.example",
            "https://hub.example.org",
        ] {
            assert_ne!(origin("https://hub.example"), origin(other), "{other}");
        }
        assert!(Origin::from_uri(&"ftp://hub.example/a".parse().unwrap()).is_none());
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        for uri in [
            "http://localhost:1",
            "http://127.0.0.1",
            "http://127.9.9.9:80",
            "http://[::1]:5",
        ] {
            assert!(origin(uri).is_loopback(), "{uri}");
        }
        for uri in [
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "http://0.0.0.0",
        ] {
            assert!(!origin(uri).is_loopback(), "{uri}");
        }
    }

    #[test]
    fn errors_show_no_password_of_an_endpoint() {
        assert_eq!(
            without_secrets("https://me:secret@hub.example/x?token=secret"),
            "https://hub.example/x"
        );
        assert_eq!(without_secrets("nonsense"), "nonsense");
    }
}
