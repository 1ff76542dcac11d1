//! What is said where, when nobody watches: each case is this program run again as a child with its output in pipes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::{Command, Output};

use shared::terminal::{Terminal, Verbosity};

const CHILD: &str = "TERMINAL_TEST_CHILD";

/// The child: says one thing of every kind.
#[test]
fn child() {
    let Ok(verbosity) = std::env::var(CHILD) else {
        return;
    };
    let verbosity = match verbosity.as_str() {
        "quiet" => Verbosity::Quiet,
        "verbose" => Verbosity::Verbose,
        _ => Verbosity::Default,
    };
    let terminal = Terminal::new(verbosity, true);
    terminal.status("a status");
    terminal.detail("a detail");
    let progress = terminal.progress("Encoding", 40, "tokens");
    (0..40).for_each(|_| progress.inc(1));
    progress.finish();
    terminal.warn("a warning");
    terminal.error("an error", &["a way out".to_owned()]);
    terminal.result("a result");
}

/// The child's stdout without the lines of the test harness, and its stderr.
fn said(verbosity: &str) -> (String, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, verbosity);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert!(status.success());
    (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn results_go_to_stdout_and_all_else_to_stderr_without_control_characters() {
    let (stdout, stderr) = said("default");
    assert!(
        stdout.lines().any(|line| line.ends_with("a result")),
        "{stdout}"
    );
    assert!(!stdout.contains("a status") && !stderr.contains("a result"));
    assert!(!stderr.contains(['\x1b', '\r']), "{stderr:?}");
    let expected = [
        "a status",
        "warning: a warning",
        "error: an error",
        "hint: a way out",
    ];
    assert!(
        expected
            .iter()
            .all(|line| stderr.lines().any(|found| found == *line)),
        "{stderr}"
    );
    // One line for each tenth, the last one for the end.
    let progress: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("Encoding: "))
        .collect();
    assert_eq!(progress.len(), 10, "{stderr}");
    assert!(
        progress[0].starts_with("Encoding: 10% (4/40 tokens, "),
        "{}",
        progress[0]
    );
    assert!(
        progress[9].starts_with("Encoding: 100% (40/40 tokens, ") && !progress[9].contains("left")
    );
    assert!(!stderr.contains("a detail"));
}

#[test]
fn quiet_leaves_warnings_errors_and_results() {
    let (stdout, stderr) = said("quiet");
    assert_eq!(
        stderr,
        "warning: a warning\nerror: an error\nhint: a way out\n"
    );
    assert!(stdout.contains("a result"));
    assert!(said("verbose").1.contains("a detail"));
}
