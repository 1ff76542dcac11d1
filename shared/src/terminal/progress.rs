//! How far a long step is: a bar with rate and time left on a terminal; in a log file a plain line every 30
//! seconds and at each tenth, so that a job's output stays readable.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle,
};

use super::{Terminal, Verbosity};

/// The longest silence in a log file.
const SILENCE: Duration = Duration::from_secs(30);

/// Progress of one step; made by [`Terminal::progress`], may be shared between threads.
#[derive(Debug)]
pub struct Progress {
    label: String,
    unit: &'static str,
    bar: ProgressBar,
    /// Where plain lines go and what they said last; none when a bar is drawn or nothing shall be said.
    log: Option<(Terminal, Mutex<Log>)>,
}

#[derive(Debug)]
struct Log {
    begun: Instant,
    said: Instant,
    /// Tenths of the total that were reported.
    tenths: u64,
}

impl Progress {
    pub(super) fn new(terminal: &Terminal, label: String, total: u64, unit: &'static str) -> Self {
        let inner = &terminal.0;
        let wanted = inner.progress && inner.verbosity > Verbosity::Quiet;
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if wanted && inner.interactive {
            bar.set_style(style(unit));
            bar.set_prefix(label.clone());
            let bar = inner.bars.add(bar);
            bar.enable_steady_tick(Duration::from_millis(500));
            return Self {
                label,
                unit,
                bar,
                log: None,
            };
        }
        let now = Instant::now();
        let log = wanted.then(|| {
            (
                terminal.clone(),
                Mutex::new(Log {
                    begun: now,
                    said: now,
                    tenths: 0,
                }),
            )
        });
        Self {
            label,
            unit,
            bar,
            log,
        }
    }

    /// `count` more steps are done.
    pub fn inc(&self, count: u64) {
        self.bar.inc(count);
        let Some((terminal, log)) = &self.log else {
            return;
        };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let total = self.bar.length().unwrap_or(0);
        let tenths = (self.bar.position() * 10).checked_div(total).unwrap_or(0);
        if tenths > log.tenths || log.said.elapsed() >= SILENCE {
            log.tenths = tenths;
            log.said = Instant::now();
            terminal.status(self.plain_line(log.begun.elapsed()));
        }
    }

    /// Puts a short message beside the numbers, such as the loss so far.
    pub fn set_message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Steps done so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.bar.position()
    }

    /// The step is over: the bar goes away, a summary is the caller's to print.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn plain_line(&self, elapsed: Duration) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let left =
            Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate.max(1e-9)).min(1e9));
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive and small"
        )]
        let rate = rate as u64;
        let numbers = if self.unit == "bytes" {
            format!(
                "{}/{}, {}/s",
                HumanBytes(done),
                HumanBytes(total),
                HumanBytes(rate)
            )
        } else {
            format!(
                "{}/{} {}, {}/s",
                HumanCount(done),
                HumanCount(total),
                self.unit,
                HumanCount(rate)
            )
        };
        let left = if done >= total {
            String::new()
        } else {
            format!(", {} left", HumanDuration(left))
        };
        let message = self.bar.message();
        let message = if message.is_empty() {
            message
        } else {
            format!(", {message}")
        };
        format!("{}: {percent}% ({numbers}{left}{message})", self.label)
    }
}

impl Drop for Progress {
    /// A step that ends with an error leaves no bar behind, above which the error would be drawn over.
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(unit: &str) -> ProgressStyle {
    let numbers = if unit == "bytes" {
        "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}".to_owned()
    } else {
        format!("{{human_pos}}/{{human_len}} {unit} {{per_sec}}")
    };
    ProgressStyle::with_template(&format!(
        "{{prefix}} [{{bar:30}}] {{percent}}% {numbers} {{eta}} left {{wide_msg}}"
    ))
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_tell_rate_and_time_left() {
        let progress =
            Terminal::new(Verbosity::Default, true).progress("Encoding", 1_000, "tokens");
        progress.bar.inc(250);
        let line = progress.plain_line(Duration::from_secs(5));
        assert_eq!(
            line,
            "Encoding: 25% (250/1,000 tokens, 50/s, 15 seconds left)"
        );
    }

    #[test]
    fn an_empty_step_divides_by_nothing() {
        let progress = Terminal::new(Verbosity::Quiet, true).progress("Encoding", 0, "bytes");
        progress.inc(0);
        assert!(
            progress
                .plain_line(Duration::ZERO)
                .starts_with("Encoding: 100%")
        );
    }
}
