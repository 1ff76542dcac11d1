//! What a hub, a mirror or somebody in between may not do.

use std::path::Path;

use hub::{HubError, HubOptions, Token};

use crate::resolve;
use crate::server::{Fault, Hub};

fn hub() -> (Hub, tempfile::TempDir) {
    let hub = Hub::start();
    hub.add_model("org/tiny", 1000);
    (hub, tempfile::tempdir().unwrap())
}

fn refused(options: &HubOptions) -> HubError {
    let error = resolve("org/tiny", None, options).unwrap_err();
    assert!(
        !error.to_string().contains("hf_secret") && !format!("{error:?}").contains("hf_secret"),
        "{error:?}"
    );
    error
}

/// Everything below `folder`, links not followed.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (hub, cache) = hub();
    hub.rename("tiny", "org/tiny");
    let mut options = hub.options(cache.path());
    options.token = Token::new("hf_secret").unwrap();
    resolve("tiny", None, &options).unwrap();
    let seen = hub.seen();
    let (store, own): (Vec<_>, Vec<_>) = seen.into_iter().partition(|seen| seen.at_store);
    assert!(
        !store.is_empty() && store.iter().all(|seen| seen.token.is_none()),
        "{store:?}"
    );
    assert!(
        !own.is_empty()
            && own
                .iter()
                .all(|seen| seen.token.as_deref() == Some("Bearer hf_secret")),
        "{own:?}"
    );
    for path in walk(cache.path()) {
        if path.is_file() {
            assert!(
                !fs_err::read(&path)
                    .unwrap()
                    .windows(9)
                    .any(|bytes| bytes == b"hf_secret"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn the_token_does_not_follow_a_redirect_of_the_hub_itself() {
    let (hub, cache) = hub();
    let other = Hub::start();
    other.add_model("org/tiny", 1000);
    let mut options = hub.options(cache.path());
    options.token = Token::new("hf_secret").unwrap();
    hub.fail(
        "/api/",
        Fault::Redirect(format!(
            "{}/api/models/org/tiny/revision/main",
            other.address
        )),
    );
    resolve("org/tiny", None, &options).unwrap();
    let seen = other.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|seen| seen.token.is_none()),
        "{seen:?}"
    );
}

#[test]
fn plain_http_leaves_this_machine_neither_directly_nor_by_a_redirect() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    options.token = Token::new("hf_secret").unwrap();
    hub.fail(
        "/api/",
        Fault::Redirect("http://hub.example/api".to_owned()),
    );
    assert!(matches!(refused(&options), HubError::PlainHttp { host } if host == "hub.example"));
    hub.fail(
        "config.json",
        Fault::Redirect("http://198.51.100.7/config.json".to_owned()),
    );
    let error = refused(&options);
    assert!(
        matches!(&error, HubError::PlainHttp { host } if host == "198.51.100.7")
            || matches!(error, HubError::Answer { .. }),
        "{error}"
    );
    for endpoint in [
        "http://hub.example",
        "http://127.0.0.1.example",
        "ftp://localhost",
        "hub",
        "https://hf_secret@hub.example",
    ] {
        options.endpoint = endpoint.to_owned();
        let error = refused(&options);
        assert!(
            matches!(
                error,
                HubError::PlainHttp { .. } | HubError::Endpoint { .. }
            ),
            "{endpoint}: {error}"
        );
    }
}

#[test]
fn redirects_end() {
    let (hub, cache) = hub();
    let address = format!("{}/api/models/org/tiny/revision/main", hub.address);
    (0..20).for_each(|_| hub.fail("/api/", Fault::Redirect(address.clone())));
    let error = refused(&hub.options(cache.path()));
    assert!(error.to_string().contains("redirects"), "{error}");
    assert!(hub.seen().len() <= 10);
    hub.fail("/api/", Fault::Redirect("file:///etc/passwd".to_owned()));
}

#[test]
fn an_address_with_a_signature_is_in_no_error() {
    let (hub, cache) = hub();
    let mut options = hub.options(cache.path());
    options.attempts = 1;
    for fault in [
        Fault::Busy(403, None),
        Fault::Busy(500, None),
        Fault::Cut(10),
        Fault::Endless,
    ] {
        hub.fail("signature", fault);
        let error = refused(&options);
        assert!(
            !format!("{error} {error:?}").contains("signature=secret"),
            "{error:?}"
        );
    }
}

#[test]
fn names_that_leave_the_cache_are_refused() {
    for name in [
        "../../../evil.json",
        "/etc/evil.json",
        "a/../../../evil.json",
        "..\\evil.json",
    ] {
        let (hub, cache) = hub();
        hub.add("org/tiny", name, "{}", false);
        let inner = cache.path().join("hub");
        assert!(
            matches!(refused(&hub.options(&inner)), HubError::Name { .. }),
            "{name}"
        );
        assert!(
            walk(cache.path())
                .iter()
                .all(|path| !path.ends_with("evil.json"))
        );
    }
}

#[test]
fn an_index_cannot_name_files_elsewhere_or_of_another_kind() {
    for (name, refusal) in [
        ("../../../../evil.safetensors", "points outside"),
        ("/etc/evil.safetensors", "points outside"),
        ("evil.bin", "no safetensors"),
    ] {
        let hub = Hub::start();
        let cache = tempfile::tempdir().unwrap();
        let index = serde_json::json!({ "weight_map": { "a": name } }).to_string();
        hub.add("org/tiny", "config.json", "{}", false)
            .add("org/tiny", "tokenizer.json", "{}", false)
            .add("org/tiny", "evil.bin", "pickle", true)
            .add("org/tiny", "model.safetensors.index.json", index, false);
        let error = refused(&hub.options(cache.path())).to_string();
        assert!(error.contains(refusal), "{name}: {error}");
        assert!(
            !hub.seen().iter().any(|seen| seen.path.contains("evil")),
            "{name}"
        );
    }
}

#[test]
fn a_digest_is_no_path() {
    let (hub, cache) = hub();
    let headers = |etag: &str| {
        Fault::Headers(vec![
            ("ETag", etag.to_owned()),
            ("X-Linked-Size", "2".to_owned()),
        ])
    };
    for etag in ["\"../../../../evil\"", "\"..%2Fevil\"", "\"\"", "\"zz\""] {
        hub.fail("/resolve/", headers(etag));
        let error = refused(&hub.options(cache.path())).to_string();
        assert!(error.contains("no digest"), "{etag}: {error}");
    }
    assert!(
        walk(cache.path())
            .iter()
            .all(|path| !path.ends_with("evil"))
    );
}

#[test]
fn sizes_are_bounded_before_anything_is_kept() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    let size = |size: &str| {
        Fault::Headers(vec![
            ("ETag", format!("\"{}\"", "a".repeat(40))),
            ("X-Linked-Size", size.to_owned()),
        ])
    };
    hub.fail("config.json", size("99999999999"));
    assert!(matches!(
        refused(&options),
        HubError::TooLarge {
            size: 99_999_999_999,
            ..
        }
    ));
    let linked = Fault::Headers(vec![
        ("ETag", format!("\"{}\"", "a".repeat(64))),
        ("X-Linked-Size", (1_u64 << 60).to_string()),
    ]);
    hub.add(
        "org/tiny",
        "model.safetensors",
        "small, and not in the store",
        false,
    );
    hub.fail("model.safetensors", linked);
    assert!(matches!(refused(&options), HubError::NoSpace { .. }));
    let (hub, cache) = self::hub();
    hub.fail("signature", Fault::Endless);
    let error = refused(&hub.options(cache.path()));
    assert!(
        error
            .to_string()
            .contains("more than the 1000 bytes announced"),
        "{error}"
    );
    let huge: Vec<u8> = vec![b' '; 40 << 20];
    hub.add("org/tiny", "x", "", false);
    hub.fail(
        "/api/",
        Fault::Redirect(
            "/org/tiny/resolve/5c38ec7c405ec4b44b94cc5a9bb96e735b38267a/huge".to_owned(),
        ),
    );
    hub.add("org/tiny", "huge", huge, false);
    assert!(matches!(
        refused(&hub.options(cache.path())),
        HubError::TooLarge { .. }
    ));
}

#[test]
fn malformed_ids_make_no_request() {
    let (hub, cache) = hub();
    let options = hub.options(cache.path());
    for id in [
        "a b",
        "org/na?me",
        "org/name#x",
        "-x",
        "a--b",
        "org/..",
        "%2e%2e",
    ] {
        assert!(resolve(id, None, &options).is_err(), "{id}");
    }
    for revision in ["../main", "/main", "a\nb", ""] {
        assert!(
            matches!(
                resolve("org/tiny", Some(revision), &options),
                Err(HubError::Revision { .. })
            ),
            "{revision:?}"
        );
    }
    assert_eq!(hub.seen(), []);
}
