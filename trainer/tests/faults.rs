//! Trainings and sweeps that are killed or told to stop at any moment, and disks that fail under
//! them: what comes out in the end is, to the bit, what an undisturbed run gives.
//!
//! A few moments are tried with every `cargo test`; `RUN_KILLS=100` tries a hundred of each kind,
//! `STORE_FAULTS=all` lets every call fail that writes a run.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too; what was met is told"
)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testing::faulty::{FaultyStorage, chosen, scratch};
use testing::labelled::Recipe;
use testing::moments::{armed, stop_signals};
use testing::place::{Place, told};
use testing::random::Random;

/// From signal to exit; what `docs/cluster.md` promises for the example.
const BOUND: Duration = Duration::from_secs(10);
/// The program that is tested.
const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");
const TRAIN: &str = "--cache cache --epochs 5 --batch-size 4";
const SWEEP: &str =
    "[defaults]\nepochs = 3\nbatch-size = 8\n[grid]\nhead = [\"adapter\", \"last\"]\n";

fn moments() -> usize {
    let moments = std::env::var("RUN_KILLS").ok();
    moments
        .and_then(|moments| moments.parse().ok())
        .unwrap_or(2)
}

/// A command that is disturbed, and the folders of the runs that it makes.
struct Victim {
    place: Place,
    line: &'static str,
    /// Each run, and the undisturbed one that it must be equal to.
    runs: &'static [(&'static str, &'static str)],
    /// What is removed to begin anew.
    folder: &'static str,
    /// How long it takes undisturbed.
    duration: Duration,
}

impl Victim {
    fn training() -> Self {
        Self::new(
            "--cache cache --epochs 5 --batch-size 4 --name cut --resume",
            "--cache cache --epochs 5 --batch-size 4 --name whole",
            &[("cut", "whole")],
            "runs/cut",
        )
    }

    fn sweep() -> Self {
        Self::new(
            "sweep --cache cache --config sweep.toml --threads 2 --name cut",
            "sweep --cache cache --config sweep.toml --threads 2 --name whole",
            &[("cut/adapter", "whole/adapter"), ("cut/last", "whole/last")],
            "runs/cut",
        )
    }

    fn new(
        line: &'static str,
        whole: &'static str,
        runs: &'static [(&'static str, &'static str)],
        folder: &'static str,
    ) -> Self {
        let place = Place::new(TRAINER, &Recipe::default());
        fs_err::write(place.path("sweep.toml"), SWEEP).unwrap();
        let begun = Instant::now();
        place.succeed(whole);
        let duration = begun.elapsed();
        Self {
            place,
            line,
            runs,
            folder,
            duration,
        }
    }

    fn start(&self) -> Child {
        let mut command = self.place.trainer(self.line);
        command
            .arg("--quiet")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Goes on to the end, compares, and removes what is there.
    fn end(&self) {
        self.place.succeed(self.line);
        for (run, whole) in self.runs {
            assert_eq!(self.place.steps(run), self.place.steps(whole), "{run}");
            for file in [
                "adapter.safetensors",
                "predictions.validation.conll",
                "predictions.test.conll",
            ] {
                let of = |run: &str| self.place.bytes(&format!("runs/{run}/{file}"));
                assert!(of(run) == of(whole), "{run}: {file} differs");
            }
        }
        fs_err::remove_dir_all(self.place.path(self.folder)).unwrap();
    }

    /// Sends signals at moments that chance chooses until so many met it at work.
    fn disturb(&self, signals: &[&str], status: Option<i32>) {
        let (mut met, mut ended, mut longest) = (0, 0, Duration::ZERO);
        let mut chance = Random::new(11);
        while met < moments() {
            let mut child = self.start();
            armed(&child);
            std::thread::sleep(self.duration.mul_f64(chance.unit()));
            if child.try_wait().unwrap().is_some() {
                ended += 1;
                self.end();
                continue;
            }
            let signal = signals[met % signals.len()];
            let sent = Instant::now();
            let kill = Command::new("kill")
                .args(["-s", signal, &child.id().to_string()])
                .stderr(Stdio::null())
                .status();
            kill.unwrap();
            let output = child.wait_with_output().unwrap();
            longest = longest.max(sent.elapsed());
            match output.status.code() {
                code if code == status => met += 1,
                // It was about to end.
                Some(0) => {
                    ended += 1;
                    self.end();
                }
                code => panic!("{signal}: {code:?}, {}", told(&output)),
            }
        }
        self.end();
        assert!(longest < BOUND, "it took {longest:?} to stop");
        println!(
            "{met} of {} at work, the longest way out {longest:?}; {ended} came to their end between them",
            signals.join(", ")
        );
    }
}

#[test]
fn a_training_that_is_killed_at_any_moment_ends_as_if_it_never_was() {
    Victim::training().disturb(&["KILL"], None);
}

#[test]
fn a_training_that_is_told_to_stop_at_any_moment_stops_in_time() {
    Victim::training().disturb(&stop_signals(), Some(75));
}

#[test]
fn a_sweep_that_is_killed_at_any_moment_ends_as_if_it_never_was() {
    Victim::sweep().disturb(&["KILL"], None);
}

#[test]
fn a_sweep_that_is_told_to_stop_at_any_moment_stops_in_time() {
    Victim::sweep().disturb(&stop_signals(), Some(75));
}

/// The same command several times at once: one process works at a time, the others are told who it is, and the
/// numbers are those of one alone.
fn at_once(victim: &Victim, more: &str) {
    let line = format!("{} --quiet{more}", victim.line);
    let start = || {
        let mut command = victim.place.trainer(&line);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for round in 0..moments() {
        let children: Vec<Child> = (0..3).map(|_| start()).collect();
        let children = children.into_iter();
        let outputs = children.map(|child| child.wait_with_output().unwrap());
        let mut done = 0;
        for output in outputs {
            let said = told(&output);
            if output.status.success() {
                done += 1;
            } else {
                assert_eq!(output.status.code(), Some(1), "{said}");
                assert!(said.contains("is being trained by process "), "{said}");
            }
        }
        assert!(done > 0, "round {round}: nobody trained");
        let left = fs_err::read_dir(victim.place.path("runs")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = left.filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
        victim.end();
    }
}

#[test]
fn trainings_of_one_run_at_once_do_not_disturb_each_other() {
    let victim = Victim::training();
    at_once(&victim, "");
    let replaced = Victim {
        line: "--cache cache --epochs 5 --batch-size 4 --name cut --overwrite",
        ..victim
    };
    at_once(&replaced, "");
}

#[test]
fn equal_sweeps_at_once_do_not_disturb_each_other() {
    at_once(&Victim::sweep(), "");
    at_once(&Victim::sweep(), " --overwrite");
}

#[test]
fn a_signal_while_libraries_are_loaded_is_answered_and_not_lost() {
    let victim = Victim::training();
    let child = victim.start();
    armed(&child);
    Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    victim.end();
}

#[test]
fn a_disk_that_fails_in_the_middle_of_a_file_is_named_and_gone_on_from() {
    let (victim, workshop) = (Victim::training(), scratch());
    let runs = victim
        .place
        .path("runs")
        .canonicalize()
        .unwrap()
        .join("cut");
    let Some(storage) = FaultyStorage::new(&runs, workshop.path()) else {
        return;
    };
    let absolute = |at: usize, stays: bool| {
        let line = format!("{TRAIN} --name cut --resume --quiet --out");
        let mut command = victim.place.trainer(&line);
        command.arg(runs.parent().unwrap());
        storage.under(&mut command, at, stays);
        command.output().unwrap()
    };
    let calm = absolute(0, false);
    assert!(calm.status.success(), "{}", told(&calm));
    let (calls, mut stopped) = (storage.calls().len(), 0);
    victim.end();
    for at in chosen(calls, 3) {
        let output = absolute(at, at % 2 == 0);
        if !output.status.success() {
            let said = told(&output);
            assert_eq!(output.status.code(), Some(2), "call {at}: {said}");
            let errors = said.lines().filter(|line| line.starts_with("error:"));
            assert_eq!(errors.count(), 1, "call {at}: {said}");
            assert!(said.contains("Input/output error"), "call {at}: {said}");
            stopped += 1;
        }
        victim.end();
    }
    assert!(stopped > 0);
    println!("{stopped} failures of {calls} calls stopped the training, nothing was lost");
}
