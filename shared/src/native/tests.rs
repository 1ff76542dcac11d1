use super::*;

fn touch(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "").unwrap();
    }
}

const TORCH: [&str; 6] = [
    "torch/version.py",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

#[test]
fn the_folder_beside_the_program_goes_first_and_three_above_it_follow() {
    let dirs = library_dirs_of(Path::new("/a/b/target/release/trainer"));
    let expected = [
        "/a/b/target/release/lib",
        "/a/b/target/lib",
        "/a/b/lib",
        "/a/lib",
    ];
    assert_eq!(dirs, expected.map(PathBuf::from));
}

#[test]
fn onnxruntime_is_found_by_variable_and_by_folder() {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        &[
            "onnxruntime/capi/libonnxruntime.so.1.31.1",
            "onnxruntime/capi/libonnxruntime_providers_shared.so",
        ],
    );
    let dirs = [root.path().join("nothing"), root.path().to_path_buf()];
    let found = find_onnxruntime(None, &dirs).unwrap();
    assert_eq!(
        onnxruntime_version(&found).as_deref(),
        Some(ONNXRUNTIME_VERSION)
    );
    assert_eq!(find_onnxruntime(Some(found.clone()), &[]).unwrap(), found);
    assert_eq!(
        find_onnxruntime(Some(root.path().join("onnxruntime/capi")), &[]).unwrap(),
        found
    );
}

#[test]
fn a_missing_onnxruntime_names_places_and_remedy() {
    let root = tempfile::tempdir().unwrap();
    let message = find_onnxruntime(None, &[root.path().to_path_buf()])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("libonnxruntime.so.*") && message.contains("cargo xtask setup"),
        "{message}"
    );
    assert!(
        message.contains(&root.path().display().to_string()),
        "{message}"
    );
    let message = find_onnxruntime(Some("/nowhere/libonnxruntime.so".into()), &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("ORT_DYLIB_PATH=/nowhere/libonnxruntime.so"),
        "{message}"
    );
}

#[test]
fn libtorch_is_found_with_the_folders_of_its_needs() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &TORCH);
    fs_err::write(root.path().join("torch/build-version"), "2.11.0+cu130").unwrap();
    let libraries = find_torch(None, &[root.path().to_path_buf()]).unwrap();
    assert_eq!(libraries.version, "2.11.0+cu130");
    assert_eq!(libraries.search_path.len(), 2);
    assert_eq!(libraries.cuda, None);
    assert_eq!(
        find_torch(Some(root.path().join("torch")), &[]).unwrap(),
        libraries
    );
}

#[test]
fn an_incomplete_or_wrong_libtorch_is_told() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &TORCH[..5]);
    let dirs = [root.path().to_path_buf()];
    let message = find_torch(None, &dirs).unwrap_err().to_string();
    assert!(
        message.contains("libcupti.so.13") && !message.contains("libcudart"),
        "{message}"
    );
    touch(root.path(), &TORCH);
    fs_err::write(root.path().join("torch/build-version"), "2.10.0+cpu\n").unwrap();
    let message = find_torch(None, &dirs).unwrap_err().to_string();
    assert!(
        message.contains("version 2.10.0+cpu, expected 2.11.0"),
        "{message}"
    );
    assert!(
        find_torch(None, &[])
            .unwrap_err()
            .to_string()
            .contains("set LIBTORCH")
    );
    assert!(
        find_torch(Some("/nowhere".into()), &[])
            .unwrap_err()
            .to_string()
            .contains("LIBTORCH=/nowhere")
    );
}

#[test]
fn the_libraries_laid_out_in_the_repository_are_found() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib");
    if !lib.join("torch").is_dir() || !lib.join("onnxruntime").is_dir() {
        println!("skipped: `cargo xtask setup` has not been run");
        return;
    }
    let dirs = [lib];
    assert!(
        find_torch(None, &dirs)
            .unwrap()
            .search_path
            .iter()
            .all(|dir| dir.is_absolute())
    );
    let found = find_onnxruntime(None, &dirs).unwrap();
    assert_eq!(
        onnxruntime_version(&found).as_deref(),
        Some(ONNXRUNTIME_VERSION)
    );
}

#[test]
fn of_several_libraries_the_tested_version_is_taken_else_the_last() {
    let root = tempfile::tempdir().unwrap();
    let found = |file: &str| {
        touch(root.path(), &[file]);
        let found = onnxruntime_in(root.path()).unwrap();
        found.map(|path| path.file_name().unwrap().to_owned())
    };
    assert_eq!(found("libonnxruntime_providers_shared.so"), None);
    for file in ["libonnxruntime.so", "libonnxruntime.so.1.0.0"] {
        assert_eq!(found(file), Some(file.into()));
    }
    let tested = format!("libonnxruntime.so.{ONNXRUNTIME_VERSION}");
    assert_eq!(found(&tested), Some(tested.clone().into()));
    assert_eq!(found("libonnxruntime.so.9.0.0"), Some(tested.into()));
}

#[test]
fn a_variable_that_is_not_set_names_nothing() {
    assert!(variable("PATH").is_some_and(|path| !path.as_os_str().is_empty()));
    assert_eq!(variable("ACTIVATION_CACHE_IS_NOT_SET"), None);
}

#[test]
fn this_program_has_folders_of_libraries() {
    let program = std::env::current_exe().unwrap().canonicalize().unwrap();
    assert_eq!(library_dirs(), library_dirs_of(&program));
    // Whatever is found here is a file.
    assert!(onnxruntime().is_ok_and(|file| file.is_file()) || onnxruntime().is_err());
}

#[test]
fn a_library_that_cannot_be_read_is_told_from_a_machine_that_fails() {
    let status = |kind: io::ErrorKind| NativeError::Io(kind.into()).exit_status();
    assert_eq!(status(io::ErrorKind::NotFound), ExitStatus::User);
    assert_eq!(status(io::ErrorKind::StorageFull), ExitStatus::Machine);
}
