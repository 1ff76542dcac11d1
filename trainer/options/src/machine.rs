//! Where heads are computed.

use clap::Args;
use shared::device::DeviceChoice;

/// Where to compute.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// auto, cpu, cuda or cuda:N; for a sweep also several, cuda:0,2 or cuda:all; cuda never falls back to the CPU
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Threads on the CPU [default: what the job may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// On a GPU, compute the same numbers in every run on the same kind of GPU; the CPU always does
    #[arg(long)]
    pub deterministic: bool,
}

impl MachineArgs {
    /// What an environment must hold before libtorch starts, for the same numbers in every run:
    /// cuBLAS then works in buffers of fixed size, which is all that its documentation asks for
    /// ("Results reproducibility").
    #[must_use]
    pub fn environment(&self) -> Option<(&'static str, &'static str)> {
        self.deterministic
            .then_some(("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
    }
}
