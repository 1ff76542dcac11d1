use super::*;
use crate::unpack::tests::write_wheel;

const CPU: Runtimes = Runtimes {
    cuda: false,
    torch: true,
    onnxruntime: true,
};

/// A project whose `lib/` holds one library and the marker of a set-up.
fn project_with_lib(runtimes: Runtimes, chosen: bool) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    fs::create_dir_all(project.lib().join("torch/lib")).unwrap();
    fs::write(project.lib().join("torch/lib/libc10.so"), "library").unwrap();
    Installed::describe(&project.lib(), runtimes, chosen)
        .unwrap()
        .write(&project.lib())
        .unwrap();
    (folder, project)
}

#[test]
fn what_is_there_is_reused_and_needs_no_python() {
    let (_folder, project) = project_with_lib(CPU, false);
    let options = SetupOptions {
        cpu: true,
        ..SetupOptions::default()
    };
    run(&project, options, &Terminal::default()).unwrap();
    assert!(!project.wheels().exists());
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    fs::create_dir_all(project.lib()).unwrap();
    fs::write(project.lib().join("mine"), "x").unwrap();
    let error = run(&project, SetupOptions::default(), &Terminal::default()).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    assert!(project.lib().join("mine").exists());
}

#[test]
fn a_damaged_set_is_not_reused() {
    let (_folder, project) = project_with_lib(CPU, false);
    assert!(present(&project).unwrap().is_some());
    fs::write(project.lib().join("torch/lib/libc10.so"), "cut").unwrap();
    assert!(present(&project).unwrap().is_none());
}

#[test]
fn a_set_that_was_chosen_stays_until_another_is_asked_for() {
    let (_folder, project) = project_with_lib(CPU, true);
    let installed = present(&project).unwrap().unwrap();
    assert!(!wants_cuda(SetupOptions::default(), Some(&installed)));
    assert!(wants_cuda(
        SetupOptions {
            cuda: true,
            ..SetupOptions::default()
        },
        Some(&installed)
    ));
}

#[test]
fn the_folder_is_replaced_whole() {
    let (_folder, project) = project_with_lib(CPU, false);
    let wheel = project.root().join("w.whl");
    write_wheel(
        &wheel,
        &[
            ("torch/version.py", b"__version__"),
            ("torch/nn.py", b"python"),
        ],
    );
    let temporary = project.root().join("lib.tmp-1");
    assert_eq!(
        unpack_all(&[wheel], &temporary, CPU, &Terminal::default()).unwrap(),
        11
    );
    replace(&temporary, &project.lib()).unwrap();
    assert!(project.lib().join("torch/version.py").exists());
    assert!(!project.lib().join("torch/lib").exists() && !temporary.exists());
}

#[test]
fn what_a_killed_set_up_left_is_swept() {
    let (_folder, project) = project_with_lib(CPU, false);
    let left = project.root().join("lib.tmp-4711");
    fs::create_dir_all(left.join("torch")).unwrap();
    run(
        &project,
        SetupOptions {
            cpu: true,
            ..SetupOptions::default()
        },
        &Terminal::default(),
    )
    .unwrap();
    assert!(!left.exists());
}
