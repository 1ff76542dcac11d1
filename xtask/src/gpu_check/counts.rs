//! What the log of a case comes to, as the stand-in's `summary.py` adds it up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::Deserialize;

use super::stand_in::StandIn;

/// Counts of events, over all processes of a case.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Counts {
    pub(super) launches: u64,
    pub(super) gemms: u64,
    pub(super) cudnn_plans: u64,
    pub(super) cudnn_runs: u64,
    /// By direction and kind of memory: `D2H pinned`, `D2D`, ...
    copies: BTreeMap<String, Number>,
    memsets: u64,
    pub(super) syncs: u64,
    /// By where: `device`, `pinned`.
    mallocs: BTreeMap<String, Number>,
    /// Calls that a GPU would refuse.
    pub(super) refused: BTreeMap<String, u64>,
    races_by_kind: BTreeMap<String, u64>,
    pub(super) races: u64,
    /// The GPUs on which memory was taken, by number.
    #[serde(skip)]
    pub(super) devices: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Number {
    count: u64,
}

impl Counts {
    /// Reads the logs `FOLDER/log.*`; nothing if no process got so far as to write one.
    pub(super) fn read(stand_in: &StandIn, folder: &Path) -> Result<Self> {
        let mut devices = BTreeSet::new();
        let mut logs = 0;
        for file in fs::read_dir(folder)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("log.") {
                logs += 1;
                let text = fs::read(file.path())?;
                devices.extend(devices_of(&String::from_utf8_lossy(&text)));
            }
        }
        if logs == 0 {
            return Ok(Self::default());
        }
        let mut command = stand_in.script("summary.py");
        let output = command.arg(folder.join("log")).output()?;
        if !output.status.success() {
            bail!("summary.py: {}", String::from_utf8_lossy(&output.stderr));
        }
        let counts = serde_json::from_slice(&output.stdout).context("summary.py")?;
        Ok(Self { devices, ..counts })
    }

    /// Everything that a GPU computes or moves within its memory.
    pub(super) fn operations(&self) -> u64 {
        self.launches + self.gemms + self.cudnn_runs + self.memsets + count(&self.copies, "D2D")
    }

    /// Kernels, and calls of the libraries that bring their own.
    pub(super) fn calls(&self) -> u64 {
        self.launches + self.gemms + self.cudnn_runs
    }

    /// Copies from the GPU's memory to the machine's.
    pub(super) fn copies_out(&self) -> u64 {
        count(&self.copies, "D2H")
    }

    /// Waits for the GPU.
    pub(super) fn waits(&self) -> u64 {
        self.syncs
    }

    /// Blocks of the GPU's memory that were asked for.
    pub(super) fn allocations(&self) -> u64 {
        count(&self.mallocs, "device")
    }

    /// Blocks of pinned memory that were asked for.
    pub(super) fn pinned(&self) -> u64 {
        count(&self.mallocs, "pinned")
    }

    /// Races in words, each kind with its number.
    pub(super) fn races(&self) -> String {
        listed(&self.races_by_kind)
    }

    /// Refused calls in words.
    pub(super) fn refused(&self) -> String {
        listed(&self.refused)
    }

    /// The main figures.
    pub(super) fn line(&self) -> String {
        format!(
            "{} launches, {} products, {} copies out, {} waits, {}+{} allocations",
            self.launches,
            self.gemms,
            self.copies_out(),
            self.syncs,
            self.allocations(),
            self.pinned()
        )
    }
}

fn count(numbers: &BTreeMap<String, Number>, kind: &str) -> u64 {
    let of_kind = numbers.iter().filter(|(name, _)| name.starts_with(kind));
    of_kind.map(|(_, number)| number.count).sum()
}

fn listed(numbers: &BTreeMap<String, u64>) -> String {
    let one = |(what, number): (&String, &u64)| format!("{what} ({number})");
    numbers.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The GPUs on which a process took memory. A byte alone is a library's question whether a GPU
/// answers.
fn devices_of(log: &str) -> BTreeSet<usize> {
    let taken = |line: &str| {
        let fields: Vec<&str> = line.split('\t').skip(2).collect();
        let ["malloc", "of=device", bytes, device, ..] = fields[..] else {
            return None;
        };
        (bytes != "bytes=1").then_some(device.strip_prefix("device=")?.parse().ok()?)
    };
    log.lines().filter_map(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read() {
        let summary = r#"{
            "launches": 10, "kernels": 3, "gemms": 4, "gemms_by_call": {"Sgemm": 4}, "cudnn_plans": 1, "cudnn_runs": 2,
            "copies": {
                "H2D pageable": {"count": 7, "bytes": 70}, "D2H pageable": {"count": 3, "bytes": 30},
                "D2H pinned": {"count": 2, "bytes": 20}, "D2D": {"count": 5, "bytes": 50}
            },
            "memsets": 6, "syncs": 8, "syncs_by_kind": {"stream": 8},
            "mallocs": {"device": {"count": 9, "bytes": 90, "peak": 90}, "pinned": {"count": 1, "bytes": 9, "peak": 9}},
            "out_of_memory": 0, "refused": {}, "races": 2, "races_by_kind": {"pinned memory was freed before its copy": 2},
            "stubs": {"cudnnSetStream": 6}
        }"#;
        let counts: Counts = serde_json::from_str(summary).unwrap();
        assert_eq!(counts.operations(), 10 + 4 + 2 + 6 + 5);
        assert_eq!(counts.calls(), 16);
        assert_eq!((counts.copies_out(), counts.waits()), (5, 8));
        assert_eq!((counts.allocations(), counts.pinned()), (9, 1));
        assert_eq!(
            counts.races(),
            "pinned memory was freed before its copy (2)"
        );
    }

    #[test]
    fn devices_are_those_with_memory_taken() {
        let log = "0.1\t7\tmalloc\tof=device\tbytes=5\tdevice=1\tused=6\n\
                   0.2\t7\tmalloc\tof=pinned\tbytes=5\tdevice=0\tused=6\n\
                   0.3\t7\tfree\tof=device\tbytes=5\tdevice=2\tused=6\n\
                   0.3\t7\tmalloc\tof=device\tbytes=1\tdevice=0\tused=6\n\
                   0.4\t7\tmalloc\tof=dev";
        assert_eq!(devices_of(log), BTreeSet::from([1]));
    }
}
