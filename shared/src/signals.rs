//! Stopping politely: Slurm and people end jobs with signals, and what is half done has to be saved first. The
//! handler only raises a flag; whoever does the work looks at it between two steps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;

/// The signals that ask for a stop. Slurm sends TERM, or what `--signal` names, before the job's time is up.
const STOPPING: [i32; 4] = [SIGTERM, SIGINT, SIGUSR1, SIGUSR2];

/// Says whether somebody asked the program to stop.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether a stop was asked for: save and leave with [`crate::exit::ExitStatus::Interrupted`].
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for a stop as a signal would.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Raises the flag at TERM, INT, USR1 or USR2; a second signal leaves at once with status 128 + its number.
///
/// # Errors
/// When the system refuses a handler.
pub fn install() -> io::Result<StopFlag> {
    let stop = StopFlag::default();
    for signal in STOPPING {
        // In this order: the shutdown looks at the flag before this very signal raises it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.0))?;
        flag::register(signal, Arc::clone(&stop.0))?;
    }
    Ok(stop)
}
