//! `trainer doctor`: what will be used on this machine, and why; the first thing to run on a new cluster.

use shared::exit::ExitStatus;
use shared::size::format_bytes;
use shared::terminal::Terminal;
use trainer_options::DoctorArgs;

use super::{CommandError, data};
use crate::device;

/// Looks at the machine; fails where a training would.
pub(super) fn run(options: &DoctorArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    let mut findings: Vec<(&str, String)> = Vec::new();
    findings.push(("trainer", env!("CARGO_PKG_VERSION").to_owned()));
    match shared::native::torch() {
        Ok(torch) => {
            findings.push((
                "libtorch",
                format!("{} in {}", torch.version, torch.folder.display()),
            ));
            let cuda = torch.cuda.map_or("not installed".to_owned(), |path| {
                path.display().to_string()
            });
            findings.push(("CUDA libraries", cuda));
        }
        Err(error) => findings.push(("libtorch", format!("linked, but: {error}"))),
    }
    let threads = data::threads(&options.machine);
    let devices = data::devices(&options.machine, threads, terminal);
    findings.push((
        "device",
        devices
            .as_ref()
            .map_or_else(ToString::to_string, |devices| device::names(devices)),
    ));
    findings.push(("GPUs", tch::Cuda::device_count().to_string()));
    let gpus = devices.iter().flatten();
    let free = gpus
        .filter(|&&device| device != tch::Device::Cpu)
        .map(|&device| device::memory::free(device).map_or_else(|why| why, format_bytes));
    let free: Vec<String> = free.collect();
    if !free.is_empty() {
        findings.push(("GPU memory free", free.join(", ")));
    }
    findings.push((
        "threads",
        format!(
            "{} (of {} the job may use)",
            tch::get_num_threads(),
            shared::resources::threads()
        ),
    ));
    let memory =
        shared::resources::memory_limit().map_or("no limit found".to_owned(), format_bytes);
    findings.push(("memory limit", memory));
    if let Some(path) = &options.cache {
        findings.push(("store", store(path)));
    }
    // The folder of runs may not be there yet.
    let runs = options
        .out
        .ancestors()
        .find(|folder| folder.is_dir())
        .map_or_else(|| ".".into(), std::path::Path::to_path_buf);
    let runs = if runs.as_os_str().is_empty() {
        ".".into()
    } else {
        runs
    };
    findings.push((
        "runs",
        format!(
            "{}, {} free",
            options.out.display(),
            format_bytes(shared::resources::free_space(runs)?)
        ),
    ));

    for (what, found) in &findings {
        terminal.status(format!("{what:15} {found}"));
    }
    if options.json {
        let object: serde_json::Map<_, _> = findings
            .iter()
            .map(|(what, found)| ((*what).to_owned(), found.as_str().into()))
            .collect();
        terminal.result(serde_json::Value::Object(object).to_string());
    }
    devices.map(|_| ExitStatus::Success)
}

fn store(path: &std::path::Path) -> String {
    let opened = cache::find_store(path, None, None)
        .and_then(|path| cache::Store::open(&path, cache::Io::Auto));
    let kind = shared::resources::file_system(path)
        .map_or("unknown file system".to_owned(), |kind| format!("{kind:?}"));
    match opened {
        Ok(store) => format!(
            "{}, identity {}, on {kind}, read by {:?}",
            store.path().display(),
            store.identity(),
            store.io()
        ),
        Err(error) => error.to_string(),
    }
}
