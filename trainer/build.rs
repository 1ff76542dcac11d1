//! Tells the programs and tests where libtorch lies when they start: beside the program, as a release has it, or up to
//! three folders above, as a build tree has it; so nobody needs to set `LD_LIBRARY_PATH`.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    // Double quotes would not survive; the loader itself fills in $ORIGIN.
    for up in ["", "/..", "/../..", "/../../.."] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN{up}/lib/torch/lib");
    }
    let root = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .unwrap_or_default()
        .join("..");
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    if let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) {
        let inside = same_or_below(&out, &root);
        let own = libtorch.canonicalize().ok() == root.join("lib/torch").canonicalize().ok();
        // Not found from $ORIGIN: a user's own libtorch, or a build tree outside the repository.
        if !inside || !own {
            let libraries = libtorch.join("lib");
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
        }
    }
}

fn same_or_below(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}
