//! Tells the benches of heads where libtorch lies when they start, as `trainer/build.rs` does for the programs.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) {
        let libraries = libtorch.canonicalize().unwrap_or(libtorch).join("lib");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    }
}
