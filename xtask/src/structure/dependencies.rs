//! Dependencies that nothing uses: each costs whoever builds the project, and claims something that is not so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// What cargo tells of the workspace; other fields do not matter here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    /// None for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
}

impl Dependency {
    /// As sources name it.
    fn in_code(&self) -> String {
        self.rename.as_ref().unwrap_or(&self.name).replace('-', "_")
    }

    /// The folders and files of a package that may use it.
    fn used_in(&self) -> &'static [&'static str] {
        match self.kind.as_deref() {
            Some("build") => &["build.rs"],
            Some(_) => &["src", "tests", "benches", "examples"],
            None => &["src"],
        }
    }
}

/// The dependencies that no source of their package names, a line each.
pub(super) fn unused(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let mut unused = Vec::new();
    for package in &metadata.packages {
        let folder = package.manifest_path.parent().unwrap_or(root);
        for dependency in &package.dependencies {
            let mut text = String::new();
            for place in dependency.used_in() {
                read(&folder.join(place), &mut text)?;
            }
            if !is_used(&text, &dependency.in_code()) {
                unused.push(format!(
                    "{} depends on {} and uses it nowhere",
                    package.name, dependency.name
                ));
            }
        }
    }
    Ok(unused)
}

/// Adds the text of a file, or of all Rust files in a folder; nothing if it is not there.
fn read(path: &Path, text: &mut String) -> Result<()> {
    if path.is_dir() {
        for entry in fs_err::read_dir(path)? {
            read(&entry?.path(), text)?;
        }
    } else if path.extension().is_some_and(|end| end == "rs") && path.exists() {
        text.push_str(&fs_err::read_to_string(path)?);
    }
    Ok(())
}

/// Whether code, not a comment, names a crate as a path does.
fn is_used(text: &str, name: &str) -> bool {
    let code = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    code.into_iter().any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + name.len()..];
            let is_word = |one: char| one.is_alphanumeric() || one == '_';
            !before.is_some_and(|one| is_word(one) || one == '.')
                && (after.starts_with("::")
                    || line.starts_with(&format!("use {name}"))
                        && !after.chars().next().is_some_and(is_word))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::is_used;

    #[test]
    fn a_crate_is_used_where_code_names_it_as_a_path() {
        for text in [
            "use half::f16;",
            "    let one = half::f16::ONE;",
            "use half;",
            "#[half::derive]",
        ] {
            assert!(is_used(text, "half"), "{text}");
        }
        for text in [
            "// use half::f16;",
            "let half = 3;",
            "use halftone::x;",
            "one_half::x()",
            "self.half::<u8>()",
        ] {
            assert!(!is_used(text, "half"), "{text}");
        }
    }
}
