//! Takes the needed files out of a wheel, which is a ZIP archive, keeping its folders: the libraries find each other
//! by them.

use std::io;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use shared::terminal::Progress;
use zip::ZipArchive;

/// Unpacks the files of `wheel` for which `target` names a path below `folder`. `progress` counts bytes.
pub(crate) fn unpack(
    wheel: &Path,
    folder: &Path,
    target: impl Fn(&str) -> Option<String>,
    progress: Option<&Progress>,
) -> Result<usize> {
    let mut archive = open(wheel)?;
    let mut files = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).with_context(|| damaged(wheel))?;
        let Some(target) = target(entry.name()) else {
            continue;
        };
        ensure!(
            is_below(&target),
            "{} wants to write outside of its folder: {target}",
            wheel.display()
        );
        let target = folder.join(target);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create(&target)?;
        let copied = io::copy(&mut entry, &mut file).with_context(|| {
            format!("cannot unpack {} of {}", target.display(), wheel.display())
        })?;
        if let Some(progress) = progress {
            progress.inc(copied);
        }
        files += 1;
    }
    if files == 0 {
        bail!(
            "{} holds none of the files that are wanted of it",
            wheel.display()
        );
    }
    Ok(files)
}

/// Bytes that `unpack` would write.
pub(crate) fn unpacked_bytes(wheel: &Path, wanted: impl Fn(&str) -> bool) -> Result<u64> {
    let mut archive = open(wheel)?;
    let mut bytes = 0;
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .with_context(|| damaged(wheel))?;
        if wanted(entry.name()) {
            bytes += entry.size();
        }
    }
    Ok(bytes)
}

fn open(wheel: &Path) -> Result<ZipArchive<io::BufReader<fs::File>>> {
    let file = io::BufReader::with_capacity(1 << 20, fs::File::open(wheel)?);
    ZipArchive::new(file).with_context(|| damaged(wheel))
}

fn damaged(wheel: &Path) -> String {
    format!(
        "{} is no readable wheel: delete it and run the command again",
        wheel.display()
    )
}

fn is_below(target: &str) -> bool {
    Path::new(target)
        .components()
        .all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    /// A wheel with `files`, for the tests of this and other modules.
    pub(crate) fn write_wheel(path: &Path, files: &[(&str, &[u8])]) {
        let mut writer = ZipWriter::new(fs::File::create(path).unwrap());
        for (name, content) in files {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn only_wanted_files_are_written_in_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("w.whl");
        write_wheel(
            &wheel,
            &[("a/lib/liba.so", b"library"), ("a/a.py", b"python")],
        );
        let wanted = |name: &str| name.starts_with("a/lib/").then(|| name.to_owned());
        let out = folder.path().join("out");
        assert_eq!(unpack(&wheel, &out, wanted, None).unwrap(), 1);
        assert_eq!(fs::read(out.join("a/lib/liba.so")).unwrap(), b"library");
        assert!(!out.join("a/a.py").exists());
        assert_eq!(
            unpacked_bytes(&wheel, |name| name.starts_with("a/lib/")).unwrap(),
            7
        );
    }

    #[test]
    fn a_path_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("w.whl");
        write_wheel(&wheel, &[("a", b"x")]);
        let error = unpack(
            &wheel,
            &folder.path().join("out"),
            |_| Some("../a".to_owned()),
            None,
        )
        .unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
    }

    #[test]
    fn a_broken_archive_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("w.whl");
        fs::write(&wheel, b"not a wheel").unwrap();
        let error = unpack(&wheel, folder.path(), |name| Some(name.to_owned()), None).unwrap_err();
        assert!(
            error.to_string().contains("w.whl is no readable wheel"),
            "{error}"
        );
    }
}
