//! What the numbers were measured on.

use fs_err as fs;
use serde_json::{Value, json};

/// Processor, cores, memory, kernel, data and threads.
pub(super) fn describe(data: &str, threads: usize) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(
            || "unknown".to_owned(),
            |(_, value)| value.trim().to_owned(),
        )
    };
    let cpu = read("/proc/cpuinfo");
    let flags = field(&cpu, "flags");
    let widest = ["amx_tile", "avx512f", "avx2"]
        .into_iter()
        .find(|flag| flags.split(' ').any(|there| there == *flag));
    let kilobytes = field(&read("/proc/meminfo"), "MemTotal");
    let kilobytes = kilobytes.trim_end_matches(" kB").parse::<u64>();
    json!({
        "cpu": field(&cpu, "model name"),
        "widest_vectors": widest,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": kilobytes.unwrap_or_default() >> 20,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "data": data,
        "threads": threads,
    })
}
