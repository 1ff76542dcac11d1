//! Which nodes of a graph ran on the CPU, from ONNX Runtime's profile of a run: a node that a GPU
//! has no kernel for costs two copies and a wait, and nothing else tells of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::error::EncoderError;

/// The name of the CPU's execution provider in a profile.
const CPU: &str = "CPUExecutionProvider";
/// What the event of a node's computation is called, after the node's name.
const COMPUTED: &str = "_kernel_time";

/// An event of a profile, in the format of Chrome's tracing; other fields do not matter here.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    #[serde(default)]
    op_name: String,
    #[serde(default)]
    provider: String,
}

/// The nodes that ran on the CPU, each once, in the order in which they ran: `Operator (name)`.
fn nodes_on_cpu(profile: &[u8]) -> serde_json::Result<Vec<String>> {
    let mut nodes = Vec::new();
    for event in serde_json::from_slice::<Vec<Event>>(profile)? {
        let Some(name) = event.name.strip_suffix(COMPUTED) else {
            continue;
        };
        if event.cat == "Node" && event.args.provider == CPU {
            let node = format!("{} ({name})", event.args.op_name);
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    Ok(nodes)
}

/// A place for a profile that no other session of this machine writes to; ONNX Runtime adds the
/// time and `.json`.
pub(super) fn profile_path() -> PathBuf {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    std::env::temp_dir().join(format!("extractor-profile-{process}-{session}"))
}

/// The nodes that a profiled session ran on the CPU, from the file that it wrote, which is removed.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read_profile(path: &Path) -> Result<Vec<String>, EncoderError> {
    let unreadable = |error: &dyn std::fmt::Display| EncoderError::Runtime {
        source: ort::Error::new(format!("its profile {}: {error}", path.display())),
    };
    let profile = fs_err::read(path).map_err(|error| unreadable(&error))?;
    let _ = fs_err::remove_file(path);
    nodes_on_cpu(&profile).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::nodes_on_cpu;

    #[test]
    fn only_computations_on_the_cpu_count() {
        let profile = r#"[
{"cat" : "Session","pid" :1,"tid" :1,"dur" :9,"ts" :1,"ph" : "X","name" :"model_loading_array","args" : {}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :0,"ts" :2,"ph" : "X","name" :"one_fence_before","args" : {"op_name" : "Gather"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :4,"ts" :3,"ph" : "X","name" :"one_kernel_time","args" : {"op_name" : "Gather","provider" : "CPUExecutionProvider","node_index" : "0"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :4,"ts" :4,"ph" : "X","name" :"two_kernel_time","args" : {"op_name" : "MatMul","provider" : "CUDAExecutionProvider"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :4,"ts" :5,"ph" : "X","name" :"one_kernel_time","args" : {"op_name" : "Gather","provider" : "CPUExecutionProvider"}}
]"#;
        let nodes = nodes_on_cpu(profile.as_bytes()).unwrap();
        assert_eq!(nodes, ["Gather (one)"]);
        assert!(nodes_on_cpu(b"[{").is_err());
    }
}
