//! Losses that are NaN or infinite, wherever they come from: trainings end with a word, and what is
//! written can be read.

use shared::datasets::SplitName;

use crate::TRAINER;
use testing::labelled::Recipe;
use testing::place::{Place, json, told};

/// A linear head whose weights become a hundred thousand times as large every epoch, of a single step, until a float32
/// cannot hold them.
const GROWING: &str = "--cache cache --epochs 20 --batch-size 1000 --head layer:1 --classifier-size 0 \
                       --schedule constant --weight-decay 1e8";

fn spoiled(split: SplitName) -> Place {
    Place::new(
        TRAINER,
        &Recipe {
            spoiled: Some(split),
            ..Recipe::default()
        },
    )
}

#[test]
fn a_validation_loss_that_is_nan_ends_the_training() {
    let place = Place::new(TRAINER, &Recipe::default());
    let said = place.fail(1, &format!("{GROWING} --name run"));
    let state = json(&place.text("runs/run/last/state.json"));
    let epoch = state["epoch"].as_u64().unwrap();
    assert!(epoch >= 1, "{said}");
    let expected = [
        format!(
            "the validation loss is NaN at step {0} (epoch {0}, learning rate 1e-3)",
            epoch + 1
        ),
        "training has diverged; try a lower --lr".to_owned(),
        format!("The state after epoch {epoch} is kept in runs/run"),
    ];
    let contains = |said: &str| expected.iter().all(|part| said.contains(part));
    assert!(contains(&said), "{said}");
    let metrics = place.text("runs/run/metrics.jsonl");
    assert!(!metrics.contains("null"), "{metrics}");
    // From the checkpoint it comes to the same end, and the weights that were best are there.
    let said = place.fail(1, &format!("{GROWING} --name run --resume"));
    assert!(
        said.contains("Going on after step") && contains(&said),
        "{said}"
    );
    place.succeed("eval --run runs/run --cache cache --split test");
}

#[test]
fn activations_that_are_nan_are_told_with_their_sentence() {
    let place = spoiled(SplitName::Validation);
    for head in ["adapter", "last"] {
        let line = format!("--cache cache --epochs 3 --batch-size 8 --head {head}");
        let said = place.fail(1, &format!("{line} --name {head}"));
        for part in [
            "the validation loss is NaN at step 25 (epoch 1, ",
            " labels, the first in sentence 5 of the validation split",
            "the activations there are infinite or NaN",
            "--overwrite",
        ] {
            assert!(said.contains(part), "{head}: {part} in {said}");
        }
        assert_eq!(
            said.lines()
                .filter(|line| line.starts_with("error:"))
                .count(),
            1,
            "{said}"
        );
    }
}

#[test]
fn a_test_loss_that_is_nan_is_told_and_every_file_is_written() {
    let place = spoiled(SplitName::Test);
    let line = "--cache cache --epochs 2 --lr 1e-2 --batch-size 8 --name run";
    let output = place.run(line);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let warning = "the loss on test is NaN";
    assert!(said.contains(warning), "{said}");
    assert!(
        said.contains("the first in sentence 5: the activations there"),
        "{said}"
    );
    for file in [
        "report.html",
        "README.md",
        "predictions.test.conll",
        "predictions.validation.conll",
    ] {
        assert!(place.path("runs/run").join(file).is_file(), "{file}");
    }
    assert!(!place.text("runs/run/report.html").contains("--v:NaN"));
    assert!(place.text("runs/run/README.md").contains("| NaN |"));

    // Shown, scored and compared again.
    let results = json(&place.succeed(&format!("{line} --resume --json")));
    assert!(results["scores"]["test"]["loss"].is_null());
    assert!(results["scores"]["validation"]["loss"].is_number());
    let output = place.run("eval --run runs/run --cache cache --split test --json");
    assert!(output.status.success() && told(&output).contains(warning));
    let scores = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(scores, results["scores"]["test"]);
    place.succeed("--cache cache --epochs 2 --lr 1e-2 --batch-size 8 --name other --seed 1");
    place.succeed("compare runs/run runs/other");
}

/// Runs of versions that went on with such a validation loss.
#[test]
fn a_log_with_null_is_read_and_a_half_line_is_no_finished_run() {
    let place = Place::new(TRAINER, &Recipe::default());
    let line = "--cache cache --epochs 2 --lr 1e-2 --batch-size 8 --name run";
    place.succeed(line);
    let log = place.text("runs/run/metrics.jsonl");
    let epoch = log
        .lines()
        .find(|line| line.contains("\"event\":\"epoch\""))
        .unwrap();
    let mut event = json(epoch);
    event["validation"]["loss"] = serde_json::Value::Null;
    event["train_loss"] = serde_json::Value::Null;
    let path = place.path("runs/run/metrics.jsonl");
    fs_err::write(&path, log.replace(epoch, &event.to_string())).unwrap();
    let results = json(&place.succeed(&format!("{line} --resume --json")));
    assert!(results["scores"]["test"]["value"].as_f64().unwrap() > 0.5);
    place.succeed("compare runs/run");

    let first = log.lines().next().unwrap();
    fs_err::write(&path, format!("{first}\n{}", &first[..20])).unwrap();
    let said = place.fail(1, "compare runs/run");
    assert!(said.contains("not finished"), "{said}");
}

#[test]
fn of_a_sweep_the_run_whose_validation_loss_is_nan_ends_alone() {
    let place = Place::new(TRAINER, &Recipe::default());
    let sweep = "[defaults]\nepochs = 20\nbatch-size = 1000\nschedule = \"constant\"\nclassifier-size = 0\n\
                 head = \"layer:1\"\nlr = 1e-1\n[grid]\nweight-decay = [1e8, 0]\n";
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    let said = place.fail(1, "sweep --cache cache --config sweep.toml --threads 2");
    assert!(
        said.contains("error: run layer-1--weight-decay-100000000: the validation loss is NaN"),
        "{said}"
    );
    let results = json(&place.text("runs/sweep/sweep.json"));
    assert_eq!(results["failed"].as_object().unwrap().len(), 1);
    let left = results["groups"].as_array().unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0]["scores"]["test"]["mean"].as_f64().unwrap() > 0.5);
}
