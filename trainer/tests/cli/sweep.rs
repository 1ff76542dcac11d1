//! `trainer sweep`: every run as if it were alone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::{Place, json, told};
use crate::store::Recipe;

const SWEEP: &str = "\
[defaults]
epochs = 4
lr = 1e-2
batch-size = 8
[grid]
seed = [0, 7]
[[run]]
head = \"adapter\"
[[run]]
head = \"adapter\"
no-tailor = true
patience = 1
[[run]]
head = \"last\"
[[run]]
head = \"scalar-mix\"
epochs = 2
order-seed = 3
";

/// The runs and the options that give each of them alone.
const RUNS: [(&str, &str); 4] = [
    ("adapter--epochs-4", "--head adapter --batch-size 8"),
    (
        "adapter--epochs-4--no-tailor--patience-1",
        "--head adapter --no-tailor --patience 1 --batch-size 8",
    ),
    ("last--epochs-4", "--head last --batch-size 8"),
    (
        "scalar-mix--epochs-2--order-seed-3",
        "--head scalar-mix --order-seed 3 --epochs 2 --batch-size 8",
    ),
];

fn place(sentences: usize, sweep: &str) -> Place {
    let place = Place::new(&Recipe {
        sentences,
        ..Recipe::default()
    });
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    place
}

/// That a run of the sweep is, to the bit, the run `alone`.
fn assert_same(place: &Place, run: &str, alone: &str) {
    let run = format!("sweep/{run}");
    assert_eq!(place.steps(&run), place.steps(alone), "{run}");
    for file in [
        "adapter.safetensors",
        "predictions.validation.conll",
        "predictions.test.conll",
    ] {
        let same = place.bytes(&format!("runs/{run}/{file}"))
            == place.bytes(&format!("runs/{alone}/{file}"));
        assert!(same, "{run}: {file} differs");
    }
}

#[test]
fn every_run_gives_the_numbers_that_it_gives_alone() {
    let place = place(120, SWEEP);
    let results =
        json(&place.succeed("sweep --cache cache --config sweep.toml --threads 3 --json"));
    for (run, options) in RUNS {
        for seed in [0, 7] {
            let epochs = if options.contains("--epochs") {
                ""
            } else {
                "--epochs 4"
            };
            place.succeed(&format!(
                "--cache cache --lr 1e-2 {epochs} {options} --seed {seed} --name alone --overwrite"
            ));
            assert_same(&place, &format!("{run}--seed-{seed}"), "alone");
        }
    }
    // The table in the end: numpy's mean and std(ddof=1) of two values are (a + b) / 2 and |a - b| / sqrt(2).
    let groups = results["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 4);
    for group in groups {
        let score = |run: usize| group["runs"][run]["scores"]["test"].as_f64().unwrap();
        let (one, other) = (score(0), score(1));
        let test = &group["scores"]["test"];
        assert!((test["mean"].as_f64().unwrap() - f64::midpoint(one, other)).abs() < 1e-12);
        let deviation = (one - other).abs() / 2.0_f64.sqrt();
        assert!((test["deviation"].as_f64().unwrap() - deviation).abs() < 1e-12);
    }
    assert_eq!(groups[1]["head"], "adapter-no-tailor, epochs 4, patience 1");
    assert_eq!(json(&place.text("runs/sweep/sweep.json")), results);

    // Once more: nothing to train, the same table; with another file, another sweep.
    let output = place.run("sweep --cache cache --config sweep.toml --threads 2 --json");
    assert!(
        told(&output).contains("8 runs, 0 to be trained"),
        "{}",
        told(&output)
    );
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap()), results);
    fs_err::write(place.path("sweep.toml"), SWEEP.replace("1e-2", "1e-3")).unwrap();
    let told = place.fail(1, "sweep --cache cache --config sweep.toml");
    assert!(
        told.contains("training.learning_rate: was 0.01, is now 0.001"),
        "{told}"
    );
}

#[test]
fn a_sweep_that_is_stopped_and_killed_ends_as_one_that_never_was() {
    let place = place(
        400,
        "[defaults]\nepochs = 4\nbatch-size = 4\n[grid]\nhead = [\"adapter\", \"last\", \"layer:1\"]\n",
    );
    place.succeed("sweep --cache cache --config sweep.toml --name whole --threads 2");
    let mut before = 0;
    for signal in ["-TERM", "-KILL"] {
        let mut child = place
            .trainer("sweep --cache cache --config sweep.toml --threads 2")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let written = || {
            let metrics = place.path("runs/sweep/adapter/metrics.jsonl");
            fs_err::metadata(metrics).map_or(0, |file| file.len())
        };
        while written() < before + 12_000 {
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "the sweep does not get on"
            );
            assert!(
                child.try_wait().unwrap().is_none(),
                "the sweep was over before it was stopped"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let expected = (signal == "-TERM").then_some(75);
        assert_eq!(output.status.code(), expected, "{}", told(&output));
        before = written();
    }
    place.succeed("sweep --cache cache --config sweep.toml --threads 1");
    for run in ["adapter", "last", "layer-1"] {
        assert_same(&place, run, &format!("whole/{run}"));
    }
}

#[test]
fn a_run_that_fails_leaves_the_others_alone() {
    let place = place(
        80,
        "[defaults]\nepochs = 2\nschedule = \"constant\"\n[grid]\nlr = [1e30, 1e-2]\n",
    );
    let told = place.fail(1, "sweep --cache cache --config sweep.toml --threads 2");
    assert!(
        told.contains("run adapter--lr-1") && told.contains("diverged"),
        "{told}"
    );
    assert!(
        place
            .path("runs/sweep/adapter--lr-0.01/report.html")
            .is_file()
    );
    let results = json(&place.text("runs/sweep/sweep.json"));
    assert_eq!(results["groups"].as_array().unwrap().len(), 1);
    assert_eq!(results["failed"].as_object().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_with_a_sweep_is_said_before_it_begins() {
    let place = place(
        40,
        "[defaults]\nepochs = 1\n[grid]\nhead = [\"last\", \"layer:7\"]\n",
    );
    let told = place.fail(1, "sweep --cache cache --config sweep.toml");
    assert!(
        told.contains("run layer-7") && told.contains("layer 7"),
        "{told}"
    );
    let told = place.fail(1, "sweep --cache cache --config none.toml");
    assert!(told.contains("none.toml"), "{told}");
    let told = place.fail(1, "sweep --config sweep.toml");
    assert!(told.contains("--cache"), "{told}");
    fs_err::write(
        place.path("sweep.toml"),
        "[defaults]\nepochs = 1\ntask = \"pos\"\n",
    )
    .unwrap();
    let told = place.fail(1, "sweep --cache cache --config sweep.toml");
    assert!(
        told.contains("run adapter") && told.contains("--task pos"),
        "{told}"
    );
    assert!(
        !place.path("runs").exists(),
        "a refused sweep left something behind"
    );
}

/// Several GPUs are for sweeps; where there is none, it is the same error as with one.
#[test]
fn gpus_that_are_not_there_are_an_error() {
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let place = place(40, "[defaults]\nepochs = 1\n");
    for device in ["cuda:0,1", "cuda:all", "cuda"] {
        let told = place.fail(
            2,
            &format!("sweep --cache cache --config sweep.toml --device {device}"),
        );
        assert!(told.contains("NVIDIA driver"), "{device}: {told}");
    }
    assert!(!place.path("runs").exists());
}
