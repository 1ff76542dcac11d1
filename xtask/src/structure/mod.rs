//! How the sources hang together, as `cargo xtask check` holds it: no files of a crate that import
//! each other in a circle, no dependency that nothing uses, and no file that belongs to two
//! modules.

mod crate_tree;
mod dependencies;
mod imports;

use std::path::Path;

use anyhow::Result;

use self::crate_tree::CrateTree;

/// Crates of the workspace, by folder, and the files that their module trees begin with.
const ROOTS: [(&str, &[&str]); 9] = [
    ("shared", &["src/lib.rs"]),
    ("shared/hub", &["src/lib.rs"]),
    ("shared/testing", &["src/lib.rs"]),
    ("cache", &["src/lib.rs"]),
    ("extractor", &["src/lib.rs"]),
    (
        "trainer",
        &["src/lib.rs", "src/main.rs", "src/torch_main.rs"],
    ),
    ("trainer/options", &["src/lib.rs"]),
    ("benchmarks", &["src/lib.rs"]),
    ("xtask", &["src/main.rs"]),
];

/// Everything that is wrong with the structure of the workspace at `root`, a line each.
///
/// # Errors
/// When a source cannot be read or is no Rust, or cargo does not tell the dependencies.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (folder, files) in ROOTS {
        for file in files {
            let tree = CrateTree::read(&root.join(folder).join(file))?;
            for circle in imports::circles(&tree) {
                problems.push(format!(
                    "these files import each other in a circle: {}",
                    shown(root, &circle)
                ));
            }
            for file in tree.beside_their_folders() {
                problems.push(format!(
                    "{} has modules in a folder beside it: it is the mod.rs of that folder",
                    shown(root, &[file])
                ));
            }
            for path in tree.with_path_attributes() {
                problems.push(format!(
                    "{} has a module with #[path]: a file belongs to one module",
                    shown(root, &[path.to_owned()])
                ));
            }
        }
    }
    problems.extend(dependencies::unused(root)?);
    Ok(problems)
}

fn shown(root: &Path, files: &[std::path::PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .map(|file| {
            file.strip_prefix(root)
                .unwrap_or(file)
                .display()
                .to_string()
        })
        .collect();
    names.join(", ")
}
