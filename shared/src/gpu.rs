//! Whether this machine has an NVIDIA driver: one answer for both programs, for `--device auto` and
//! for `doctor`, so that what is reported is what is used. Neither library is asked: opening two
//! gigabytes of CUDA libraries in vain takes seconds.

use std::path::{Path, PathBuf};

/// What shows that there is a driver: the kernel module, its device in a container, or the driver below Windows.
const SIGNS: [&str; 3] = ["proc/driver/nvidia/version", "dev/nvidiactl", "dev/dxg"];
/// The folder of this machine's files.
const ROOT: &str = "/";

/// Whether there is an NVIDIA driver.
#[must_use]
pub fn has_driver() -> bool {
    sign_below(Path::new(ROOT)).is_some()
}

/// What the driver says of itself and of its GPUs, for people to read; none where there is no driver.
#[must_use]
pub fn description() -> Option<String> {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    description_below(Path::new(ROOT), visible.as_deref())
}

/// The file that shows that there is an NVIDIA driver, on a machine whose files are in `root`.
fn sign_below(root: &Path) -> Option<PathBuf> {
    let mut signs = SIGNS.iter().map(|sign| root.join(sign));
    signs.find(|path| path.exists())
}

fn description_below(root: &Path, visible: Option<&str>) -> Option<String> {
    let sign = sign_below(root)?;
    let version = fs_err::read_to_string(root.join(SIGNS[0])).ok();
    let version = version.as_deref().and_then(|text| text.lines().next());
    let version = version.map_or_else(
        || format!("a driver that shows as {}", sign.display()),
        |line| line.trim().to_owned(),
    );
    let models: Vec<String> = fs_err::read_dir(root.join("proc/driver/nvidia/gpus"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|gpu| model(&fs_err::read_to_string(gpu.path().join("information")).ok()?))
        .collect();
    let visible = visible.map_or_else(String::new, |list| format!("; CUDA_VISIBLE_DEVICES={list}"));
    let models = if models.is_empty() {
        "models unknown".to_owned()
    } else {
        models.join(", ")
    };
    Some(format!("{models} ({version}{visible})"))
}

/// The model in a driver's file on a GPU, whose lines are `Name: value`.
fn model(information: &str) -> Option<String> {
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("Model:"))?;
    Some(model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_among_the_lines() {
        let text = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 0\n";
        assert_eq!(model(text).as_deref(), Some("NVIDIA H100 80GB HBM3"));
        assert_eq!(model("IRQ: 0"), None);
    }

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_driver_tells_its_version_its_models_and_which_are_visible() {
        assert_eq!(description_below(machine(&[]).path(), Some("0")), None);
        let version = (
            "proc/driver/nvidia/version",
            " NVRM version: 580.1\nGCC version: 13\n",
        );
        let gpu = ("proc/driver/nvidia/gpus/0/information", "Model: H100\n");
        let described = description_below(machine(&[version, gpu]).path(), Some("0,1")).unwrap();
        assert_eq!(
            described,
            "H100 (NVRM version: 580.1; CUDA_VISIBLE_DEVICES=0,1)"
        );
        let other = ("proc/driver/nvidia/gpus/1/information", "IRQ: 3\n");
        let described = description_below(machine(&[version, other]).path(), None).unwrap();
        assert_eq!(described, "models unknown (NVRM version: 580.1)");
    }

    #[test]
    fn a_driver_in_a_container_or_below_windows_shows_by_its_device() {
        for sign in ["dev/nvidiactl", "dev/dxg"] {
            let root = machine(&[(sign, "")]);
            let shown = root.path().join(sign).display().to_string();
            assert_eq!(
                description_below(root.path(), None),
                Some(format!("models unknown (a driver that shows as {shown})"))
            );
        }
    }

    #[test]
    fn the_description_is_there_when_the_driver_is() {
        assert_eq!(description().is_some(), has_driver());
        assert_eq!(has_driver(), sign_below(Path::new("/")).is_some());
    }
}
