//! The built program on a small store that the tests write themselves.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is the failure being reported, in helpers too"
)]

mod compare;
mod decoding;
mod numbers;
mod same_bytes;
mod subword;
mod sweep;
mod trees;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shared::datasets::SplitName;
use shared::tasks::Task;
use testing::labelled::{Recipe, build};
use testing::place::{Place, json, told};

/// The program that is tested.
const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");
const TRAIN: &str = "--cache cache --epochs 6 --lr 1e-2 --batch-size 8";

#[test]
fn a_head_learns_what_the_activations_tell_and_leaves_all_files() {
    let place = Place::new(TRAINER, &Recipe::default());
    let results = json(&place.succeed(&format!("{TRAIN} --json")));
    for split in ["validation", "test"] {
        let f1 = results["scores"][split]["value"].as_f64().unwrap();
        assert!(f1 > 0.98, "{split}: {f1}");
    }
    let run = "runs/toy--synthetic--adapter-0";
    assert_eq!(results["run"], run);
    for file in [
        "adapter.safetensors",
        "config.json",
        "metrics.jsonl",
        "report.html",
        "README.md",
        "last/state.json",
    ] {
        assert!(place.path(run).join(file).is_file(), "{file}");
    }
    let files = fs_err::read_dir(place.path(run))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        files
            .filter(|name| name.starts_with("events.out.tfevents."))
            .count(),
        1
    );

    let predictions = place.text(&format!("{run}/predictions.test.conll"));
    assert_eq!(predictions.matches("\n\n").count(), 60);
    assert!(
        predictions
            .lines()
            .filter(|line| !line.is_empty())
            .all(|line| line.split(' ').count() == 3)
    );

    let report = place.text(&format!("{run}/report.html"));
    for part in [
        "Layer attention, on test",
        "Scores on validation",
        "Confusion matrix",
        "further sub-words",
        "</svg>",
    ] {
        assert!(report.contains(part), "{part}");
    }
    assert!(
        !report.contains("http"),
        "a report must open without a network"
    );

    // The same numbers from eval and predict.
    let scores = json(&place.succeed(&format!(
        "eval --run {run} --cache cache --split test --json"
    )));
    assert_eq!(scores, results["scores"]["test"]);
    let told = place.succeed(&format!("predict --run {run} --cache cache --split test"));
    assert_eq!(told, predictions);
    place.succeed(&format!(
        "predict --run {run} --cache cache --split validation --out told.conll"
    ));
    assert_eq!(
        place.text("told.conll"),
        place.text(&format!("{run}/predictions.validation.conll"))
    );
    let options = "--split test --out again.conll --logits logits.jsonl";
    place.succeed(&format!("predict --run {run} --cache cache {options}"));
    assert_logits_give(&place.text("logits.jsonl"), &predictions);
}

/// That the largest logit of each word is that of its predicted label.
fn assert_logits_give(logits: &str, predictions: &str) {
    let mut sentences = 0;
    for (line, sentence) in logits.lines().zip(predictions.trim_end().split("\n\n")) {
        let line = json(line);
        let words = line["logits"].as_array().unwrap();
        assert_eq!(words.len(), sentence.lines().count());
        for (word, row) in words.iter().zip(sentence.lines()) {
            let logits = word
                .as_array()
                .unwrap()
                .iter()
                .map(|logit| logit.as_f64().unwrap());
            let (largest, _) = logits
                .enumerate()
                .max_by(|(_, one), (_, other)| one.total_cmp(other))
                .unwrap();
            let label = line["classes"][largest].as_str().unwrap();
            assert!(row.ends_with(&format!(" {label}")), "{row}: {label}");
        }
        sentences += 1;
    }
    assert_eq!(sentences, 60);
}

#[test]
fn sentences_are_classified_as_a_whole_windows_together() {
    let place = Place::new(
        TRAINER,
        &Recipe {
            task: Task::Sequence,
            ..Recipe::default()
        },
    );
    let results = json(&place.succeed(&format!("{TRAIN} --json --head attention-fusion")));
    let accuracy = results["scores"]["test"]["value"].as_f64().unwrap();
    assert!(accuracy > 0.98, "{accuracy}");
    assert_eq!(results["scores"]["test"]["metric"], "accuracy");
    assert_eq!(results["scores"]["test"]["micro"]["support"], 60);
}

#[test]
fn the_same_command_gives_the_same_bytes_and_another_seed_others() {
    let place = Place::new(TRAINER, &Recipe::default());
    for name in ["one", "two"] {
        place.succeed(&format!("{TRAIN} --name {name} --seed 3"));
    }
    place.succeed(&format!("{TRAIN} --name other --seed 4"));
    let weights = |name: &str| place.bytes(&format!("runs/{name}/adapter.safetensors"));
    assert_eq!(place.steps("one"), place.steps("two"));
    assert!(weights("one") == weights("two"), "weights differ");
    assert!(
        weights("one") != weights("other"),
        "the seed changes nothing"
    );
    // Six epochs of 25 batches.
    assert_eq!(place.steps("one").len(), 150);

    // Batches that fall into parts, for one thread and for more than there are cores.
    let large = TRAIN.replace("--batch-size 8", "--batch-size 100");
    for threads in [1, 3] {
        place.succeed(&format!("{large} --name on-{threads} --threads {threads}"));
    }
    assert_eq!(place.steps("on-1"), place.steps("on-3"));
    assert!(weights("on-1") == weights("on-3"), "threads change weights");
}

#[test]
fn a_run_that_is_stopped_twice_ends_as_one_that_never_was() {
    let place = Place::new(
        TRAINER,
        &Recipe {
            sentences: 600,
            ..Recipe::default()
        },
    );
    let line = "--cache cache --epochs 12 --batch-size 4 --patience 12";
    place.succeed(&format!("{line} --name whole"));
    let metrics = place.path("runs/cut/metrics.jsonl");
    let mut lengths = vec![0];
    for (signal, options) in [("-TERM", ""), ("-USR1", "--resume"), ("-KILL", "--resume")] {
        let mut child = place
            .trainer(&format!("{line} --name cut {options}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let before = lengths[lengths.len() - 1];
        let begun = Instant::now();
        // The log is written in blocks: it has grown when the training is well under way.
        while fs_err::metadata(&metrics).map_or(0, |file| file.len()) < before + 20_000 {
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "the training does not get on"
            );
            assert!(
                child.try_wait().unwrap().is_none(),
                "the training was over before it was stopped"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        if signal == "-KILL" {
            assert_eq!(output.status.code(), None);
        } else {
            assert_eq!(output.status.code(), Some(75), "{}", told(&output));
            assert!(told(&output).contains("--resume"), "{}", told(&output));
        }
        lengths.push(fs_err::metadata(&metrics).unwrap().len());
    }
    place.succeed(&format!("{line} --name cut --resume"));
    assert_eq!(place.steps("cut"), place.steps("whole"));
    for file in ["adapter.safetensors", "predictions.test.conll"] {
        assert!(
            place.bytes(&format!("runs/cut/{file}")) == place.bytes(&format!("runs/whole/{file}")),
            "{file} differs"
        );
    }
    // Once more: nothing left to do, the results are shown again.
    let results = json(&place.succeed(&format!("{line} --name cut --resume --json")));
    assert!(results["scores"]["test"]["value"].as_f64().unwrap() > 0.98);
}

#[test]
fn a_run_goes_on_with_its_own_settings_only() {
    let place = Place::new(TRAINER, &Recipe::default());
    place.succeed(&format!("{TRAIN} --name run"));
    let told = place.fail(1, &format!("{TRAIN} --name run"));
    for remedy in ["--resume", "--name", "--overwrite"] {
        assert!(told.contains(remedy), "{told}");
    }
    let told = place.fail(
        1,
        "--cache cache --epochs 9 --lr 1e-3 --batch-size 8 --name run --resume",
    );
    assert!(told.contains("training.epochs: was 6, is now 9"), "{told}");
    assert!(
        told.contains("training.learning_rate: was 0.01, is now 0.001"),
        "{told}"
    );

    build(
        &place.path("other"),
        &Recipe {
            weights: "fedc",
            ..Recipe::default()
        },
    );
    let told = place.fail(
        1,
        "--cache other --epochs 6 --lr 1e-2 --batch-size 8 --name run --resume",
    );
    assert!(
        told.contains("store.model.weights_digest: was \"0123\", is now \"fedc\""),
        "{told}"
    );
    let told = place.fail(1, "eval --run runs/run --cache other --split test");
    assert!(told.contains("model.weights_digest"), "{told}");

    fs_err::create_dir_all(place.path("runs/thesis")).unwrap();
    fs_err::write(place.path("runs/thesis/chapter.tex"), "years of work").unwrap();
    let told = place.fail(1, &format!("{TRAIN} --name thesis --overwrite"));
    assert!(told.contains("not a run"), "{told}");
    assert_eq!(place.text("runs/thesis/chapter.tex"), "years of work");
    place.succeed(&format!("{TRAIN} --name run --overwrite"));
}

#[test]
fn what_is_wrong_with_a_store_is_said_in_one_line() {
    let place = Place::new(
        TRAINER,
        &Recipe {
            complete: false,
            ..Recipe::default()
        },
    );
    let told = place.fail(1, TRAIN);
    assert!(
        told.contains("incomplete") && told.contains("extractor"),
        "{told}"
    );
    assert_eq!(
        told.lines()
            .filter(|line| line.starts_with("error:"))
            .count(),
        1,
        "{told}"
    );

    let place = Place::new(TRAINER, &Recipe::default());
    build(
        &place.path("cache"),
        &Recipe {
            dataset: "second",
            ..Recipe::default()
        },
    );
    let told = place.fail(1, TRAIN);
    assert!(
        told.contains("toy--synthetic.zarr") && told.contains("toy--second.zarr"),
        "{told}"
    );
    assert!(told.contains("--dataset"), "{told}");
    place.succeed(&format!("{TRAIN} --dataset second"));
    let told = place.fail(1, &format!("{TRAIN} --dataset second --task pos"));
    assert!(told.contains("pos") && told.contains("ner"), "{told}");

    let told = place.fail(1, "--cache nowhere --epochs 1");
    assert!(told.contains("nowhere"), "{told}");
    assert!(
        !place.path("runs/toy--synthetic--adapter-0").exists(),
        "a failure left a run behind"
    );
}

#[test]
fn labels_that_are_missing_or_never_seen_are_told() {
    let place = Place::new(
        TRAINER,
        &Recipe {
            unseen_class: true,
            ..Recipe::default()
        },
    );
    let output = place.run("--cache cache --epochs 1");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("never in the training split, so never learned: rare"),
        "{told}"
    );

    for split in [SplitName::Train, SplitName::Validation] {
        let place = Place::new(
            TRAINER,
            &Recipe {
                unlabelled: Some(split),
                ..Recipe::default()
            },
        );
        let told = place.fail(1, TRAIN);
        assert!(
            told.contains(&format!("the {split} split")) && told.contains("no labels"),
            "{told}"
        );
        assert!(told.contains("extractor label"), "{told}");
        assert!(!place.path("runs").exists());
    }
}

#[test]
fn a_word_without_a_sub_word_counts_as_not_found() {
    let scores = |bare_word: bool| {
        let place = Place::new(
            TRAINER,
            &Recipe {
                bare_word,
                ..Recipe::default()
            },
        );
        let results = json(&place.succeed(&format!("{TRAIN} --name run --json")));
        let predictions = place.text("runs/run/predictions.test.conll");
        let persons = results["scores"]["test"]["classes"][1].clone();
        assert_eq!(persons["name"], "PER");
        (persons, predictions)
    };
    let (all, _) = scores(false);
    let (some, predictions) = scores(true);
    let number = |score: &serde_json::Value, name: &str| score[name].as_f64().unwrap();
    // All that has a sub-word is found, here and there; the 60 words without are not.
    assert!(number(&all, "recall") > 0.98);
    let support = number(&all, "support");
    assert!((number(&some, "support") - support - 60.0).abs() < 1e-9);
    let expected = number(&all, "recall") * support / (support + 60.0);
    assert!((number(&some, "recall") - expected).abs() < 0.02, "{some}");
    assert!(number(&some, "precision") > 0.98);
    let last_words = predictions
        .split("\n\n")
        .filter_map(|sentence| sentence.lines().last());
    assert_eq!(
        last_words.filter(|word| word.ends_with(" B-PER O")).count(),
        60
    );
}

#[test]
fn options_that_cannot_be_are_refused() {
    let place = Place::new(TRAINER, &Recipe::default());
    let told = place.fail(1, "--epochs 3");
    assert!(told.contains("--cache"), "{told}");
    for (wrong, word) in [
        ("--head adaptor", "adapter"),
        ("--head layer:7", "layer 7"),
        ("--heads 3", "--attention-size"),
        ("--weight-decay=-1", "--weight-decay"),
        ("--device gpu", "cuda:N"),
        ("--io device", "--io ram"),
        ("--io disk", "mmap"),
        ("--name a/b", "--name"),
        ("--init-weights none.safetensors", "none.safetensors"),
        ("--no-such-option", "--no-such-option"),
    ] {
        let told = place.fail(1, &format!("{TRAIN} {wrong}"));
        assert!(told.contains(word), "{wrong}: {told}");
    }
    assert!(
        !place.path("runs").exists(),
        "a refused command left something behind"
    );
    assert!(place.succeed("--help").contains("--no-tailor"));
    assert!(
        place
            .succeed("--version")
            .contains(env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn cuda_that_is_not_there_is_an_error() {
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let place = Place::new(TRAINER, &Recipe::default());
    let told = place.fail(2, &format!("{TRAIN} --device cuda"));
    assert!(
        told.contains("NVIDIA driver") && told.contains("--device cpu"),
        "{told}"
    );
}

#[test]
fn a_loss_that_is_nan_stops_the_training_at_its_step() {
    let place = Place::new(TRAINER, &Recipe::default());
    let line = "--cache cache --epochs 6 --batch-size 8";
    let told = place.fail(
        1,
        &format!("{line} --name bad --lr 1e30 --schedule constant"),
    );
    assert!(told.contains("at step 2 (epoch 1"), "{told}");
    assert!(
        told.contains("lower --lr") && told.contains("--overwrite"),
        "{told}"
    );
    // A linear head grows slowly enough to come through the first epoch; that state stays.
    let slow = "--head last --classifier-size 0 --schedule linear --warm-up 0.9 --lr 1e38";
    let told = place.fail(1, &format!("{line} --name later {slow}"));
    let state = json(&place.text("runs/later/last/state.json"));
    let epoch = state["epoch"].as_u64().unwrap();
    assert!(
        epoch >= 1 && told.contains(&format!("after epoch {epoch} is kept")),
        "{told}"
    );
    assert!(place.path("runs/later/adapter.safetensors").is_file());
}

#[test]
fn the_environment_stands_in_for_options() {
    let place = Place::new(TRAINER, &Recipe::default());
    let output = place
        .trainer("--cache cache")
        .envs([
            ("TRAINER_EPOCHS", "1"),
            ("TRAINER_NO_TAILOR", "1"),
            ("TRAINER_LIMIT_TRAIN", "16"),
            ("TRAINER_BATCH_SIZE", "8"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(place.steps("toy--synthetic--adapter-no-tailor-0").len(), 2);
}

#[test]
fn doctor_tells_what_will_be_used() {
    let place = Place::new(TRAINER, &Recipe::default());
    let findings = json(&place.succeed("doctor --cache cache --json"));
    assert_eq!(findings["device"], "cpu");
    assert!(
        findings["libtorch"]
            .as_str()
            .unwrap()
            .starts_with(shared::native::LIBTORCH_VERSION)
    );
    assert!(
        findings["store"]
            .as_str()
            .unwrap()
            .contains("toy--synthetic.zarr")
    );
}
