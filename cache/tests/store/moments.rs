//! Moments at which any program may be killed or told to stop.

#![allow(dead_code, reason = "a test that only kills waits for nothing")]

use std::process::Child;
use std::time::{Duration, Instant};

/// Numbers below 1 that look random and are the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 40).unwrap()) / f64::from(1 << 24)
    }
}

/// Waits until the process has taken TERM into its own hands, or holds it for later; before that it has not begun.
pub(crate) fn armed(child: &Child) {
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
