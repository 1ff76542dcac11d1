//! The one door to the terminal. Results a program would read go to stdout, everything else to stderr; progress
//! is a bar where somebody watches and a plain line now and then in a log file, never control characters there.

mod options;
mod progress;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::MultiProgress;

pub use options::TerminalOptions;
pub use progress::Progress;

/// How much a program says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Results, warnings and errors only.
    Quiet,
    /// Also what is being done and how far it is.
    #[default]
    Default,
    /// Also details.
    Verbose,
}

/// A handle to stdout and stderr; clones share the place where bars are drawn.
#[derive(Debug, Clone)]
pub struct Terminal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verbosity: Verbosity,
    progress: bool,
    /// Whether stderr is a terminal that can redraw a line.
    interactive: bool,
    colour: bool,
    bars: MultiProgress,
}

impl Terminal {
    /// A terminal that says as much as `verbosity` asks for, and reports progress if `progress`.
    #[must_use]
    pub fn new(verbosity: Verbosity, progress: bool) -> Self {
        let is = |variable: &str, value: &str| {
            std::env::var_os(variable).is_some_and(|found| found == value)
        };
        let interactive = io::stderr().is_terminal() && !is("TERM", "dumb");
        // https://no-color.org: any non-empty value counts.
        let colour =
            interactive && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self(Arc::new(Inner {
            verbosity,
            progress,
            interactive,
            colour,
            bars: MultiProgress::new(),
        }))
    }

    /// How much this terminal says.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        self.0.verbosity
    }

    /// A line about what is being done.
    pub fn status(&self, message: impl AsRef<str>) {
        if self.0.verbosity >= Verbosity::Default {
            self.line(message.as_ref());
        }
    }

    /// A line for those who asked for more.
    pub fn detail(&self, message: impl AsRef<str>) {
        if self.0.verbosity >= Verbosity::Verbose {
            self.line(message.as_ref());
        }
    }

    /// Something that went on but that the user should know.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.line(&format!(
            "{} {}",
            self.paint("33", "warning:"),
            message.as_ref()
        ));
    }

    /// What stopped the program, with what may help, a line each.
    pub fn error(&self, message: impl AsRef<str>, hints: &[String]) {
        self.line(&format!(
            "{} {}",
            self.paint("31", "error:"),
            message.as_ref()
        ));
        for hint in hints {
            self.line(&format!("{} {hint}", self.paint("36", "hint:")));
        }
    }

    /// A line of results, to stdout. A reader that went away (`| head`) is no error.
    pub fn result(&self, line: impl AsRef<str>) {
        let written = self.0.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", line.as_ref()).and_then(|()| stdout.flush())
        });
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.warn(format!("cannot write to stdout: {error}"));
        }
    }

    /// Results as they come, to stdout, nothing added and nothing kept back.
    ///
    /// # Errors
    /// When stdout cannot be written; [`io::ErrorKind::BrokenPipe`] when its reader went away.
    pub fn stream(&self, text: &str) -> io::Result<()> {
        self.0.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        })
    }

    /// Starts to report on `total` steps, counted in `unit` (`tokens`, `bytes`, `batches`).
    #[must_use]
    pub fn progress(&self, label: impl Into<String>, total: u64, unit: &'static str) -> Progress {
        Progress::new(self, label.into(), total, unit)
    }

    /// Writes one line to stderr, above the bars. When stderr is gone there is nobody left to tell.
    fn line(&self, text: &str) {
        self.0.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.0.colour {
            format!("\x1b[1;{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new(Verbosity::Default, true)
    }
}
