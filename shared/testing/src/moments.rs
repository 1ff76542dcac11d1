//! Moments at which any program may be killed or told to stop.

use std::process::Child;
use std::time::{Duration, Instant};

/// Waits until the process has taken TERM into its own hands, or holds it for later; before that it has not begun.
pub fn armed(child: &Child) {
    let begun = Instant::now();
    loop {
        let text = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let bits = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |bits| u64::from_str_radix(bits.trim(), 16).unwrap())
        };
        // Bit 14 is signal 15.
        if (bits("SigBlk:") | bits("SigCgt:")) & (1 << 14) != 0 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{text}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The signals that a program stops for. A terminal's end is left out, and this is said, where it is
/// ignored by whoever runs the tests (`nohup`): programs leave that as it is.
#[must_use]
pub fn stop_signals() -> Vec<&'static str> {
    let mut signals = vec!["TERM", "INT", "HUP", "USR1", "USR2"];
    if shared::signals::hang_up_is_ignored().unwrap() {
        println!("skipped: HUP, which is ignored here (nohup)");
        signals.retain(|signal| *signal != "HUP");
    }
    signals
}
