//! The options about output that every program takes alike.

use clap::Args;

use super::{Terminal, Verbosity};

/// Options about output, to be flattened into a program's own.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct TerminalOptions {
    /// Say nothing but results, warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Report no progress, neither as a bar nor as lines.
    #[arg(long, global = true)]
    pub no_progress: bool,
}

impl TerminalOptions {
    /// The terminal that these options ask for.
    #[must_use]
    pub fn terminal(&self) -> Terminal {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Default,
        };
        Terminal::new(verbosity, !self.no_progress)
    }
}
