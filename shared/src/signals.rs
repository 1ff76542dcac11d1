//! Stopping politely: Slurm and people end jobs with signals, and what is half done has to be saved first. The
//! handler only raises a flag; whoever does the work looks at it between two steps.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;

/// The signals that ask for a stop. Slurm sends TERM, or what `--signal` names, before the job's
/// time is up; a terminal that is closed sends HUP.
const STOPPING: [i32; 5] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];

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

/// Keeps these signals waiting until [`install`], even over `exec`: a program that takes its time
/// to be loaded is not killed by one that asks it to stop.
///
/// # Errors
/// When the system refuses.
pub fn hold() -> io::Result<()> {
    mask(libc::SIG_BLOCK)
}

/// Raises the flag at TERM, INT, HUP, USR1 or USR2, also for one that [`hold`] kept; a second signal
/// leaves at once with status 128 + its number.
///
/// # Errors
/// When the system refuses a handler.
pub fn install() -> io::Result<StopFlag> {
    let stop = StopFlag::default();
    for signal in STOPPING {
        // `nohup` has HUP ignored, so that a job outlives its terminal.
        if signal == SIGHUP && hang_up_is_ignored()? {
            continue;
        }
        // In this order: the shutdown looks at the flag before this very signal raises it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.0))?;
        flag::register(signal, Arc::clone(&stop.0))?;
    }
    mask(libc::SIG_UNBLOCK)?;
    Ok(stop)
}

/// Whether whoever started the program has HUP ignored.
///
/// # Errors
/// When the system does not tell.
#[expect(unsafe_code, reason = "what a signal does has no safe interface")]
pub fn hang_up_is_ignored() -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, sigaction only fills in the present one, which is read where it says that it did.
    unsafe {
        if libc::sigaction(SIGHUP, ptr::null(), action.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(action.assume_init().sa_sigaction == libc::SIG_IGN)
    }
}

/// Adds the signals to those that wait, or takes them out.
#[expect(unsafe_code, reason = "the mask of signals has no safe interface")]
fn mask(how: i32) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before anything else looks at it; the old mask is not asked for.
    let failed = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in STOPPING {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), ptr::null_mut())
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(failed))
    }
}

#[cfg(test)]
mod tests {
    use super::StopFlag;

    #[test]
    fn a_stop_that_the_program_asks_for_is_seen_by_all_who_look_at_the_flag() {
        let flag = StopFlag::default();
        let other = flag.clone();
        assert!(!other.stopped());
        flag.stop();
        assert!(other.stopped());
    }
}
