//! Which file of a crate takes names from which, and the circles among them. A name counts where
//! the code uses it, for the file that defines it: what a module only passes on to others (`pub
//! use`) ties nobody to it. Nor does what a module takes from the modules that it is inside of: a
//! folder is one thing, and its first file says what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{ItemMod, UsePath};

use super::crate_tree::{CrateTree, Module, ModulePath, is_for_tests};

/// For each file the files that it takes names from.
type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// Imports of imports are followed so far.
const DEPTH: usize = 16;

/// Files that import each other, directly or through others: each circle once, its files in order of their names.
pub(super) fn circles(tree: &CrateTree) -> Vec<Vec<PathBuf>> {
    let imports = imports(tree);
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = imports
        .keys()
        .map(|file| (file.as_path(), reachable(&imports, file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (&file, there) in &reached {
        let back = |other: &&Path| reached.get(other).is_some_and(|from| from.contains(file));
        let circle: BTreeSet<PathBuf> = there
            .iter()
            .copied()
            .filter(back)
            .map(Path::to_owned)
            .collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

/// The files that `file` imports, directly or through others.
fn reachable<'a>(imports: &'a Imports, file: &Path) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&Path> = imports
        .get(file)
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    while let Some(file) = next.pop() {
        if found.insert(file) {
            next.extend(
                imports
                    .get(file)
                    .into_iter()
                    .flatten()
                    .map(PathBuf::as_path),
            );
        }
    }
    found
}

fn imports(tree: &CrateTree) -> Imports {
    let mut imports = Imports::new();
    for (path, module) in &tree.modules {
        let mut used = Used::default();
        for item in &module.items {
            used.visit_item(item);
        }
        let from = imports.entry(module.file.clone()).or_default();
        let own: Vec<&PathBuf> = (0..=path.len())
            .filter_map(|length| Some(&tree.modules.get(&path[..length])?.file))
            .collect();
        for segments in used.paths {
            if let Some(file) = definition(tree, path, &segments, DEPTH)
                && !own.contains(&file)
            {
                from.insert(file.to_owned());
            }
        }
    }
    imports
}

/// The paths that code uses.
#[derive(Default)]
struct Used {
    paths: BTreeSet<Vec<String>>,
}

impl<'ast> Visit<'ast> for Used {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.paths
            .insert(segments.map(|one| one.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    // Macros are not parsed; what they use of other files, code beside them nearly always uses too.
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_use_path(&mut self, _: &'ast UsePath) {}
}

/// The file that defines what `segments` name in the module `at`; none for what is of another crate or a local name.
fn definition<'t>(
    tree: &'t CrateTree,
    at: &ModulePath,
    segments: &[String],
    depth: usize,
) -> Option<&'t PathBuf> {
    let depth = depth.checked_sub(1)?;
    let module = tree.modules.get(at)?;
    let (first, rest) = segments.split_first()?;
    let inside = |path: ModulePath| {
        if rest.is_empty() {
            return Some(&tree.modules.get(&path)?.file);
        }
        definition(tree, &path, rest, depth)
    };
    match first.as_str() {
        "crate" => return inside(Vec::new()),
        "self" => return inside(at.clone()),
        "super" => return inside(at[..at.len().checked_sub(1)?].to_vec()),
        _ => {}
    }
    if module.defined.contains(first) {
        return Some(&module.file);
    }
    let child: ModulePath = at.iter().chain([first]).cloned().collect();
    if tree.modules.contains_key(&child) {
        return inside(child);
    }
    if let Some(path) = module
        .imports
        .get(first)
        .filter(|path| path.as_slice() != segments)
    {
        let path: Vec<String> = path.iter().chain(rest).cloned().collect();
        return definition(tree, at, &path, depth);
    }
    from_globs(tree, at, module, segments, depth)
}

fn from_globs<'t>(
    tree: &'t CrateTree,
    at: &ModulePath,
    module: &Module,
    segments: &[String],
    depth: usize,
) -> Option<&'t PathBuf> {
    module.globs.iter().find_map(|glob| {
        let path: Vec<String> = glob.iter().chain(segments).cloned().collect();
        definition(tree, at, &path, depth)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, without its folder.
    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let tree = CrateTree::read(&folder.path().join("lib.rs")).unwrap();
        let names = |circle: Vec<PathBuf>| {
            let names = circle
                .iter()
                .map(|file| file.strip_prefix(folder.path()).unwrap());
            names.map(|name| name.display().to_string()).collect()
        };
        circles(&tree).into_iter().map(names).collect()
    }

    #[test]
    fn files_that_import_each_other_are_found_through_what_modules_pass_on() {
        let circles = circles_of(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            (
                "a/mod.rs",
                "mod inner; pub use inner::A; fn f() -> crate::b::B { todo!() }",
            ),
            ("a/inner.rs", "use crate::b; pub struct A(b::B);"),
            ("b.rs", "use crate::A; pub struct B; fn g(a: &A) {}"),
        ]);
        assert_eq!(circles, [["a/inner.rs", "b.rs"]]);
    }

    #[test]
    fn passing_a_name_on_and_testing_tie_nobody() {
        let circles = circles_of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use crate::b::B; pub struct A;"),
            (
                "b.rs",
                "use super::a::A; pub struct B(A); #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ]);
        assert_eq!(circles, Vec::<Vec<String>>::new());
    }
}
