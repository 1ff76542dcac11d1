//! The modules of a crate, read from its sources: which file each is in, what it defines and what
//! it imports. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Attribute, File, Item, ItemMod, UseTree};

/// Segments of a module's path below the crate, none for the crate itself.
pub(super) type ModulePath = Vec<String>;

/// A module of a crate.
pub(super) struct Module {
    /// The file that it is in.
    pub(super) file: PathBuf,
    /// Its items, without those of modules inside it.
    pub(super) items: Vec<Item>,
    /// Names of the items that it defines.
    pub(super) defined: Vec<String>,
    /// Imported names and the paths that they stand for.
    pub(super) imports: BTreeMap<String, Vec<String>>,
    /// Paths of which all public names are imported.
    pub(super) globs: Vec<Vec<String>>,
}

/// All modules of a crate.
pub(super) struct CrateTree {
    pub(super) modules: BTreeMap<ModulePath, Module>,
    path_attributes: Vec<PathBuf>,
}

impl CrateTree {
    /// Reads the crate whose first file is `root`, and the files of its modules.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self {
            modules: BTreeMap::new(),
            path_attributes: Vec::new(),
        };
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        tree.add_file(root, &folder, Vec::new())?;
        Ok(tree)
    }

    /// Files with a module whose file is named by `#[path]`.
    pub(super) fn with_path_attributes(&self) -> impl Iterator<Item = &Path> {
        self.path_attributes.iter().map(PathBuf::as_path)
    }

    /// Files of modules that have modules of their own in a folder of their name: the project writes `name/mod.rs`.
    pub(super) fn beside_their_folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.modules.keys().filter_map(|path| {
            let parent = self.modules.get(path.split_last()?.1)?;
            let own = &self.modules.get(path)?.file;
            let name = parent.file.file_stem()?;
            let is_apart = *own != parent.file
                && !["mod", "lib", "main", "torch_main"].contains(&name.to_str()?);
            is_apart.then(|| parent.file.clone())
        });
        parents.collect()
    }

    /// Adds the module `path` that is in `file`; the files of its own modules are in `folder`.
    fn add_file(&mut self, file: &Path, folder: &Path, path: ModulePath) -> Result<()> {
        let text = fs_err::read_to_string(file)?;
        let File { items, .. } = syn::parse_file(&text)
            .with_context(|| format!("{} is no Rust that can be read", file.display()))?;
        self.add(file, folder, path, items)
    }

    fn add(
        &mut self,
        file: &Path,
        folder: &Path,
        path: ModulePath,
        items: Vec<Item>,
    ) -> Result<()> {
        let mut module = Module {
            file: file.to_owned(),
            items: Vec::new(),
            defined: Vec::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
        };
        for item in items {
            match item {
                Item::Mod(inner) if is_for_tests(&inner.attrs) => {}
                Item::Mod(inner) => self.add_module(file, folder, &path, inner)?,
                Item::Use(import) => module.import(&import.tree, Vec::new()),
                item => {
                    module.defined.extend(name(&item));
                    module.items.push(item);
                }
            }
        }
        self.modules.insert(path, module);
        Ok(())
    }

    fn add_module(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: &ModulePath,
        module: ItemMod,
    ) -> Result<()> {
        let name = module.ident.to_string();
        let path: ModulePath = parent.iter().chain([&name]).cloned().collect();
        let inside = folder.join(&name);
        if let Some((_, items)) = module.content {
            return self.add(file, &inside, path, items);
        }
        if module.attrs.iter().any(|one| one.path().is_ident("path")) {
            self.path_attributes.push(file.to_owned());
            return Ok(());
        }
        let beside = folder.join(format!("{name}.rs"));
        let found = if beside.exists() {
            beside
        } else {
            inside.join("mod.rs")
        };
        self.add_file(&found, &inside, path)
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, before: Vec<String>) {
        let with = |name: &syn::Ident| {
            let mut path = before.clone();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => self.import(&path.tree, with(&path.ident)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before.clone());
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = before.last() {
                    self.imports.insert(last.clone(), before.clone());
                }
            }
            UseTree::Name(name) => {
                self.imports
                    .insert(name.ident.to_string(), with(&name.ident));
            }
            UseTree::Rename(rename) => {
                self.imports
                    .insert(rename.rename.to_string(), with(&rename.ident));
            }
            UseTree::Glob(_) => self.globs.push(before),
        }
    }
}

/// Whether something is compiled for tests alone.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    })
}

/// The name that an item defines in its module.
fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
