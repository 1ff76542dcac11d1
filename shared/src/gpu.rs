//! Whether this machine has an NVIDIA driver: one answer for both programs, for `--device auto` and for `doctor`, so that what
//! is reported is what is used. Neither library is asked: opening two gigabytes of CUDA libraries in vain takes seconds.

use std::path::Path;

/// What shows that there is a driver: the kernel module, its device in a container, or the driver below Windows.
const SIGNS: [&str; 3] = ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"];

/// The file that shows that there is an NVIDIA driver; none where there is no driver.
#[must_use]
pub fn driver() -> Option<&'static Path> {
    SIGNS.into_iter().map(Path::new).find(|path| path.exists())
}

/// Whether there is an NVIDIA driver.
#[must_use]
pub fn has_driver() -> bool {
    driver().is_some()
}

/// What the driver says of itself and of its GPUs, for people to read; none where there is no driver.
#[must_use]
pub fn description() -> Option<String> {
    let sign = driver()?;
    let version = fs_err::read_to_string(SIGNS[0]).ok();
    let version = version.as_deref().and_then(|text| text.lines().next());
    let version = version.map_or_else(
        || format!("a driver that shows as {}", sign.display()),
        |line| line.trim().to_owned(),
    );
    let models: Vec<String> = fs_err::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|gpu| model(&fs_err::read_to_string(gpu.path().join("information")).ok()?))
        .collect();
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").map_or_else(
        |_| String::new(),
        |list| format!("; CUDA_VISIBLE_DEVICES={list}"),
    );
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

    #[test]
    fn the_description_is_there_when_the_driver_is() {
        assert_eq!(description().is_some(), has_driver());
    }
}
