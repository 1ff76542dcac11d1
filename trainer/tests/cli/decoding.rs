//! `--decode`: how the tags of spans are chosen, from the option to the files of a run.

use serde_json::Value;
use shared::tasks::Task;
use shared::tasks::schemes::{Scheme, to_iob2};
use testing::labelled::Recipe;
use testing::place::{Place, json};

use crate::TRAINER;

/// A head on a layer that says nothing, so that it chooses many tags by chance.
const BY_CHANCE: &str =
    "--cache cache --epochs 2 --lr 1e-2 --batch-size 8 --head layer:0 --classifier-size 0";

/// How many sentences of a file of predictions have tags that IOB2 does not allow.
fn illegal(predictions: &str) -> usize {
    let sentences = predictions.trim_end().split("\n\n");
    let tags = sentences.map(|sentence| {
        let words = sentence.lines();
        words.map(|word| word.rsplit(' ').next().unwrap()).collect()
    });
    let illegal = |tags: &Vec<&str>| to_iob2(Scheme::Iob2, tags) != *tags;
    tags.filter(illegal).count()
}

#[test]
fn viterbi_changes_what_is_chosen_and_nothing_that_is_learned() {
    let recipe = Recipe {
        bare_word: true,
        ..Recipe::default()
    };
    let place = Place::new(TRAINER, &recipe);
    place.succeed(BY_CHANCE);
    let results = json(&place.succeed(&format!("{BY_CHANCE} --decode viterbi --json")));
    let (single, run) = (
        "runs/toy--synthetic--layer-0-0",
        "runs/toy--synthetic--layer-0-viterbi-0",
    );
    assert_eq!(results["run"], run);
    let text = |run: &str| place.text(&format!("{run}/predictions.test.conll"));
    assert!(illegal(&text(single)) > 5, "{}", illegal(&text(single)));
    assert_eq!(illegal(&text(run)), 0);
    let weights = |run: &str| fs_err::read(place.path(run).join("adapter.safetensors")).unwrap();
    // Of one epoch, as the best one of several may be another.
    let one = |decode: &str| {
        let options = format!("--epochs 1 --name {decode} --decode {decode}");
        place.succeed(&BY_CHANCE.replace("--epochs 2", &options));
        weights(&format!("runs/{decode}"))
    };
    assert_eq!(one("viterbi"), one("argmax"));

    let config = json(&place.text(&format!("{run}/config.json")));
    assert_eq!(config["head"]["decode"], "viterbi");
    let scores = json(&place.succeed(&format!("eval --run {run} --cache cache --json")));
    assert_eq!(scores, results["scores"]["test"]);
    let told = place.succeed(&format!("predict --run {run} --cache cache"));
    assert_eq!(told, text(run));

    // A run from before there was a choice.
    let file = place.path(single).join("config.json");
    let mut config = json(&fs_err::read_to_string(&file).unwrap());
    config["head"].as_object_mut().unwrap().remove("decode");
    fs_err::write(&file, config.to_string()).unwrap();
    let told = place.succeed(&format!("predict --run {single} --cache cache"));
    assert_eq!(told, text(single));
    let resumed = "--name toy--synthetic--layer-0-0 --decode viterbi --resume";
    let told = place.fail(1, &format!("{BY_CHANCE} {resumed}"));
    assert!(
        told.contains("head.decode: was \"argmax\", is now \"viterbi\""),
        "{told}"
    );
    let found = json(&place.succeed(&format!("compare {single} {run} --json")));
    assert_eq!(found["groups"][1]["label"], "layer:0-viterbi");
}

/// What a field learns is in its own files, the same on any number of threads, in a sweep, after a
/// stop, and from weights that are given.
#[test]
fn a_field_is_learned_kept_and_used() {
    let place = Place::new(TRAINER, &Recipe::default());
    let cross_entropy = json(&place.succeed(&format!("{BY_CHANCE} --json")));
    let run = "runs/toy--synthetic--layer-0-crf-0";
    let results = json(&place.succeed(&format!("{BY_CHANCE} --decode crf --threads 1 --json")));
    assert_eq!(results["run"], run);
    // Which tag follows which is all that can be learned there.
    let loss = |results: &Value| results["scores"]["test"]["loss"].as_f64().unwrap();
    let (found, alone) = (loss(&results), loss(&cross_entropy));
    assert!(found < 0.97 * alone, "{found} for {alone}");
    let scores = json(&place.succeed(&format!("eval --run {run} --cache cache --json")));
    assert_eq!(scores, results["scores"]["test"]);
    let told = place.succeed(&format!("predict --run {run} --cache cache"));
    assert_eq!(told, place.text(&format!("{run}/predictions.test.conll")));
    assert!(
        place
            .text(&format!("{run}/report.html"))
            .contains("all tags of a sentence")
    );

    let weights = |run: &str| fs_err::read(place.path(run).join("adapter.safetensors")).unwrap();
    let file = String::from_utf8_lossy(&weights(run)).into_owned();
    for name in ["crf.transitions", "crf.start", "crf.end"] {
        assert!(file.contains(&format!("\"{name}\"")), "{name}");
    }
    place.succeed(&format!(
        "{BY_CHANCE} --decode crf --threads 3 --name threads"
    ));
    assert_eq!(weights("runs/threads"), weights(run));
    let sweep = "[defaults]\nepochs = 2\nlr = 1e-2\nbatch-size = 8\nclassifier-size = 0\nhead = \"layer:0\"\n\
                 [grid]\ndecode = [\"argmax\", \"crf\"]\n";
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    place.succeed("sweep --cache cache --config sweep.toml");
    assert_eq!(weights("runs/sweep/layer-0--decode-crf"), weights(run));

    let from = format!(
        "--cache cache --head layer:0 --classifier-size 0 --epochs 1 --lr 0 --init-weights {run}/adapter.safetensors"
    );
    place.succeed(&format!("{from} --decode crf --name again"));
    assert_eq!(weights("runs/again"), weights(run));
    let told = place.fail(1, &format!("{from} --name other"));
    assert!(
        told.contains("'crf.transitions' [5, 5] is not part of it"),
        "{told}"
    );
}

#[test]
fn tasks_without_spans_have_argmax_alone() {
    for task in [Task::Pos, Task::Sequence] {
        let place = Place::new(
            TRAINER,
            &Recipe {
                task,
                ..Recipe::default()
            },
        );
        for decode in ["viterbi", "crf"] {
            let told = place.fail(1, &format!("{BY_CHANCE} --decode {decode}"));
            let expected = format!("--decode {decode} does not go with --task {task}");
            assert_eq!(told.matches("error:").count(), 1, "{told}");
            assert!(
                told.contains(&expected) && told.contains("argmax"),
                "{told}"
            );
            assert!(!place.path("runs").exists());
        }
    }
}
