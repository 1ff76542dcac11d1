//! What fails for a while only is tried again, with growing pauses or the pause that the hub asks
//! for (`Retry-After`), never for ever: a job must not hang on a hub that is down.

use std::time::{Duration, Instant};

use super::{HubError, HubOptions};

/// The longest pause, and the longest `Retry-After` that is waited for.
const LONGEST: Duration = Duration::from_mins(5);

/// A failed try.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Box<HubError>,
    pub(super) retry: Retry,
}

impl Failure {
    pub(super) fn new(error: HubError, retry: Retry) -> Self {
        Self {
            error: Box::new(error),
            retry,
        }
    }
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// After the pause that is ours to choose.
    Soon,
    /// After the pause that the hub named.
    After(Duration),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::new(error, Retry::Never)
    }
}

/// Counts failed tries.
#[derive(Debug)]
pub(super) struct RetryPolicy<'a> {
    options: &'a HubOptions,
    attempts: u32,
    failed: u32,
}

impl<'a> RetryPolicy<'a> {
    pub(super) fn new(options: &'a HubOptions, attempts: u32) -> Self {
        Self {
            options,
            attempts,
            failed: 0,
        }
    }

    /// Something came: failures before do not count any more.
    pub(super) fn renew(&mut self) {
        self.failed = 0;
    }

    /// Waits until the next try is due.
    ///
    /// # Errors
    /// The failure itself when no further try is due, [`HubError::Interrupted`] when a stop is
    /// asked for.
    pub(super) fn wait(&mut self, failure: Failure) -> Result<(), HubError> {
        self.failed += 1;
        let pause = match failure.retry {
            Retry::Never => return Err(*failure.error),
            Retry::Soon => self
                .options
                .pause
                .saturating_mul(1 << (self.failed - 1).min(10))
                .min(LONGEST),
            Retry::After(pause) => pause,
        };
        if self.failed >= self.attempts || pause > LONGEST {
            return Err(*failure.error);
        }
        let Self {
            attempts, failed, ..
        } = self;
        let seconds = pause.as_secs_f32();
        self.options.terminal.status(format!(
            "{}; try {} of {attempts} in {seconds:.0} s",
            failure.error,
            *failed + 1
        ));
        let begun = Instant::now();
        while begun.elapsed() < pause {
            if self.options.stop.stopped() {
                return Err(HubError::Interrupted);
            }
            std::thread::sleep(
                Duration::from_millis(50).min(pause.saturating_sub(begun.elapsed())),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::signals::StopFlag;
    use shared::terminal::{Terminal, Verbosity};

    fn options() -> HubOptions {
        HubOptions {
            endpoint: String::new(),
            cache: "cache".into(),
            token: None,
            offline: false,
            offline_variable: "HF_HUB_OFFLINE",
            attempts: 3,
            pause: Duration::from_millis(1),
            terminal: Terminal::new(Verbosity::Quiet, false),
            stop: StopFlag::default(),
        }
    }

    fn failure(retry: Retry) -> Failure {
        Failure::new(HubError::NoHome, retry)
    }

    #[test]
    fn it_ends() {
        let options = options();
        let mut policy = RetryPolicy::new(&options, 3);
        assert!(policy.wait(failure(Retry::Soon)).is_ok());
        assert!(policy.wait(failure(Retry::Soon)).is_ok());
        policy.renew();
        assert!(policy.wait(failure(Retry::Soon)).is_ok());
        assert!(policy.wait(failure(Retry::After(Duration::ZERO))).is_ok());
        assert!(policy.wait(failure(Retry::Soon)).is_err());
    }

    #[test]
    fn it_does_not_wait_an_hour_nor_against_a_stop() {
        let options = options();
        assert!(
            RetryPolicy::new(&options, 3)
                .wait(failure(Retry::Never))
                .is_err()
        );
        assert!(
            RetryPolicy::new(&options, 3)
                .wait(failure(Retry::After(Duration::from_hours(1))))
                .is_err()
        );
        options.stop.stop();
        let stopped =
            RetryPolicy::new(&options, 3).wait(failure(Retry::After(Duration::from_mins(1))));
        assert!(matches!(stopped, Err(HubError::Interrupted)));
    }
}
