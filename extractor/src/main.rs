//! The `extractor` program; `extractor::cli` is all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    extractor::cli::run(std::env::args_os()).into()
}
