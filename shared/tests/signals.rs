//! One signal asks for a stop, a second one leaves at once. Each case is this program run again as a child.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail as tests do"
)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const CHILD: &str = "SIGNAL_TEST_CHILD";

/// The child: says that it is ready, waits for a signal, then either ends as a program does or goes on.
#[test]
fn child() {
    let Ok(role) = std::env::var(CHILD) else {
        return;
    };
    if role == "held" {
        shared::signals::hold().unwrap();
        // To this thread alone, as that of the test harness does not hold signals back.
        signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
        println!("\nready");
    }
    let stop = shared::signals::install().unwrap();
    assert_eq!(stop.stopped(), role == "held");
    println!("\nready");
    std::io::stdout().flush().unwrap();
    while !stop.stopped() {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("\nstopping");
    std::io::stdout().flush().unwrap();
    if role != "stubborn" {
        #[expect(
            clippy::exit,
            reason = "the test harness would print and end with its own status"
        )]
        std::process::exit(shared::exit::ExitStatus::Interrupted as i32);
    }
    std::thread::sleep(Duration::from_mins(1));
}

struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(role: &str) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), role)
    }

    fn start_by(mut command: Command, role: &str) -> Self {
        command
            .args(["child", "--exact", "--nocapture"])
            .env(CHILD, role)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Self { child, lines };
        running.wait_for("ready");
        running
    }

    fn wait_for(&mut self, word: &str) {
        while self
            .lines
            .next()
            .expect("the child ended too early")
            .unwrap()
            != word
        {}
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn every_stopping_signal_is_seen() {
    for name in ["TERM", "INT", "HUP", "USR1", "USR2"] {
        if name == "HUP" && is_ignored(1) {
            println!("skipped: HUP, which is ignored here (nohup)");
            continue;
        }
        let running = Running::start("polite");
        running.signal(name);
        let status = running.end();
        assert_eq!((status.code(), status.signal()), (Some(75), None), "{name}");
    }
}

/// Whether this process ignores a signal, as the system tells.
fn is_ignored(number: u32) -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask >> (number - 1) & 1 == 1
}

#[test]
fn whether_a_hang_up_is_ignored_is_what_the_system_says() {
    assert_eq!(
        shared::signals::hang_up_is_ignored().unwrap(),
        is_ignored(1)
    );
}

#[test]
fn a_signal_that_is_held_back_is_seen_afterwards() {
    let mut running = Running::start("held");
    running.wait_for("stopping");
    let status = running.end();
    assert_eq!((status.code(), status.signal()), (Some(75), None));
}

#[test]
fn a_second_signal_leaves_at_once() {
    let mut running = Running::start("stubborn");
    running.signal("USR1");
    running.wait_for("stopping");
    running.signal("TERM");
    assert_eq!(running.end().code(), Some(128 + 15));
}

#[test]
fn a_hang_up_that_nohup_has_ignored_stays_ignored() {
    let mut command = Command::new("nohup");
    command.arg(std::env::current_exe().unwrap());
    let mut running = Running::start_by(command, "polite");
    running.signal("HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert!(running.child.try_wait().unwrap().is_none(), "it still runs");
    running.signal("TERM");
    assert_eq!(running.end().code(), Some(75));
}
