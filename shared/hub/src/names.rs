//! Names that come from a command line, from the hub or from an index become parts of paths and of
//! URLs. They are checked here, once, before they do: nothing may point outside the cache folder.

use super::HubError;

/// A repository's id: `name` or `namespace/name`, the rules of `huggingface_hub`.
pub(super) fn check_id(id: &str) -> Result<(), HubError> {
    let part = |part: &str| {
        (1..=96).contains(&part.len())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    let parts: Vec<&str> = id.split('/').collect();
    let good =
        parts.len() <= 2 && parts.into_iter().all(part) && !id.contains("--") && !id.contains("..");
    if good {
        Ok(())
    } else {
        Err(HubError::Id { id: id.to_owned() })
    }
}

/// A branch, a tag, a commit or `refs/…`: a relative path below `refs/` of the cache.
pub(super) fn check_revision(revision: &str) -> Result<(), HubError> {
    if is_inside(revision) {
        Ok(())
    } else {
        Err(HubError::Revision {
            revision: revision.to_owned(),
        })
    }
}

/// A file of a repository: a relative path below a snapshot.
pub(super) fn check_file(name: &str) -> Result<(), HubError> {
    if is_inside(name) {
        Ok(())
    } else {
        Err(HubError::Name {
            name: name.escape_debug().to_string(),
        })
    }
}

/// Whether a revision is a commit, which never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40
        && revision
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Relative, no `.` or `..`, no back slash, no control characters, names of a length a file system
/// takes.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 1024
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3), and `/` where
/// `keep_slash`.
pub(super) fn encode(text: &str, keep_slash: bool) -> String {
    use std::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric()
                || b"-_.~".contains(&byte)
                || (keep_slash && byte == b'/')
            {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            encoded
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_those_of_the_hub() {
        for id in [
            "gpt2",
            "bert-large-cased",
            "FacebookAI/roberta-base",
            "a/b_c.d-1",
        ] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in [
            "", "/", "a/", "/a", "a/b/c", "../a", "a/..", ".a", "a--b", "a b", "a/b?x=1", "a\0",
            "./a", "a%2e",
        ] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn what_leaves_the_folder_is_refused() {
        for name in [
            "../a",
            "a/../../b",
            "/etc/passwd",
            "a//b",
            "a/./b",
            "..",
            ".",
            "",
            "a\\..\\b",
            "a\0b",
            "a\nb",
            "a/",
        ] {
            assert!(check_file(name).is_err(), "{name:?}");
            assert!(check_revision(name).is_err(), "{name:?}");
        }
        for name in [
            "config.json",
            "onnx/model.onnx",
            "refs/pr/1",
            "..a",
            "1_Pooling/config.json",
        ] {
            assert!(check_file(name).is_ok(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_stays_below_its_folder(name in "[a./\\\\]{0,12}") {
            if check_file(&name).is_ok() {
                let components: Vec<_> = std::path::Path::new(&name).components().collect();
                prop_assert!(components.iter().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }

    #[test]
    fn a_revision_is_one_segment_of_a_url() {
        assert_eq!(
            encode("refs/convert/parquet", false),
            "refs%2Fconvert%2Fparquet"
        );
        assert_eq!(encode("a b/ü.json", true), "a%20b/%C3%BC.json");
    }
}
