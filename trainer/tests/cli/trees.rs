//! `--task dep`: dependency trees, from the store to the files of a run. The toy store's
//! activations tell which word is what, and so what hangs on what.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::tasks::Task;
use shared::tasks::dependencies::{Arc, AttachmentScores, check};
use testing::labelled::Recipe;
use testing::place::{Place, json};

use crate::TRAINER;

const TRAIN: &str = "--cache cache --epochs 12 --lr 1e-2 --batch-size 8 --head scalar-mix";

fn recipe() -> Recipe {
    Recipe {
        task: Task::Dep,
        ..Recipe::default()
    }
}

/// A word of a file of trees: head and relation, as they are predicted and as they are gold.
type Word = [(i32, String); 2];

/// The sentences of a file of trees.
fn sentences(text: &str) -> Vec<Vec<Word>> {
    let mut sentences = Vec::new();
    for sentence in text.trim_end().split("\n\n") {
        let word = |(place, line): (usize, &str)| {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 10, "{line}");
            assert_eq!(columns[0], (place + 1).to_string());
            let misc: BTreeMap<&str, &str> = columns[9]
                .split('|')
                .map(|one| one.split_once('=').unwrap())
                .collect();
            let head = |text: &str| text.parse::<i32>().unwrap() - 1;
            [
                (head(columns[6]), columns[7].to_owned()),
                (head(misc["GoldHead"]), misc["GoldDeprel"].to_owned()),
            ]
        };
        sentences.push(sentence.lines().enumerate().map(word).collect());
    }
    sentences
}

/// UAS, LAS and CLAS of a file of trees, each of which is one.
fn scores(text: &str) -> [f64; 3] {
    let mut scores = AttachmentScores::default();
    for sentence in sentences(text) {
        let heads: Vec<i32> = sentence.iter().map(|word| word[0].0).collect();
        assert_eq!(check(&heads), Ok(()));
        let arcs = |side: usize| -> Vec<Arc<'_>> {
            let arc = |word| {
                let (head, relation): &(i32, String) = word;
                Arc {
                    head: usize::try_from(*head).ok(),
                    relation,
                }
            };
            sentence.iter().map(|word| arc(&word[side])).collect()
        };
        scores.add(&arcs(1), &arcs(0));
    }
    [scores.uas(), scores.las(), scores.clas()]
}

fn assert_scores(found: &Value, text: &str) {
    let [uas, las, clas] = scores(text);
    for (found, expected) in [
        (&found["value"], las),
        (&found["attachment"]["uas"], uas),
        (&found["attachment"]["clas"], clas),
    ] {
        assert!((found.as_f64().unwrap() - expected).abs() < 1e-12);
    }
}

#[test]
fn trees_are_learned_and_written() {
    let place = Place::new(TRAINER, &recipe());
    let results = json(&place.succeed(&format!("{TRAIN} --json")));
    let run = "runs/toy--synthetic--scalar-mix-0";
    assert_eq!(results["run"], run);
    let on_test = &results["scores"]["test"];
    assert_eq!(on_test["metric"], "LAS");
    assert!(on_test["value"].as_f64().unwrap() > 0.97, "{on_test}");
    let text = place.text(&format!("{run}/predictions.test.conllu"));
    assert_scores(on_test, &text);
    let classes: Vec<&str> = on_test["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["name"].as_str().unwrap())
        .collect();
    assert_eq!(classes, ["case", "nsubj", "obj", "punct", "root"]);
    assert_eq!(on_test["attachment"]["distances"][0]["name"], "root");

    let scores = json(&place.succeed(&format!("eval --run {run} --cache cache --json")));
    assert_eq!(scores, *on_test);
    let told = place.succeed(&format!("predict --run {run} --cache cache"));
    assert_eq!(told, text);
    let report = place.text(&format!("{run}/report.html"));
    for expected in [
        "LAS",
        "UAS",
        "CLAS",
        "By distance",
        "cross-entropy of heads",
    ] {
        assert!(report.contains(expected), "{expected}");
    }
    let card = place.text(&format!("{run}/README.md"));
    assert!(
        card.contains("predictions.*") && card.contains("UAS"),
        "{card}"
    );
    let refused = format!("predict --run {run} --cache cache --logits file");
    assert!(place.fail(1, &refused).contains("scores pairs of words"));

    // A head that has learned little makes trees, too, and other scores.
    let poor = format!("{TRAIN} --name poor --head layer:0 --json").replace("12", "1");
    let poor = json(&place.succeed(&poor.replace("--head scalar-mix", "")));
    let text = place.text("runs/poor/predictions.test.conllu");
    assert_scores(&poor["scores"]["test"], &text);
    assert!(poor["scores"]["test"]["value"].as_f64().unwrap() < 0.6);
    let found = json(&place.succeed(&format!("compare {run} runs/poor --json")));
    let difference = found["differences"][0]["found"]["difference"].as_f64();
    let value = |scores: &Value| scores["value"].as_f64().unwrap();
    let expected = value(on_test) - value(&poor["scores"]["test"]);
    assert!((difference.unwrap() - expected).abs() < 1e-9, "{found}");
}

/// Threads, a sweep, other words' vectors, a word without a token.
#[test]
fn trees_are_the_same_on_any_number_of_threads_and_in_a_sweep() {
    let recipe = Recipe {
        bare_word: true,
        ..recipe()
    };
    let place = Place::new(TRAINER, &recipe);
    let weights = |run: &str| fs_err::read(place.path(run).join("adapter.safetensors")).unwrap();
    let train = TRAIN
        .replace("--epochs 12", "--epochs 4")
        .replace("scalar-mix", "adapter");
    place.succeed(&format!("{train} --threads 1 --name one"));
    place.succeed(&format!("{train} --threads 3 --name three"));
    assert_eq!(weights("runs/one"), weights("runs/three"));
    let options = "--arc-size 12 --relation-size 6 --parser-dropout 0.1 --subword mean";
    let results = json(&place.succeed(&format!("{train} {options} --name other --json")));
    let config = json(&place.text("runs/other/config.json"));
    assert_eq!(config["head"]["parser"]["arc_size"], 12);
    assert_eq!(config["head"]["parser"]["relation_size"], 6);
    let text = place.text("runs/other/predictions.test.conllu");
    assert_scores(&results["scores"]["test"], &text);
    // The word without a token hangs on the root.
    for sentence in sentences(&text) {
        let [(head, relation), _] = sentence.last().unwrap();
        assert_eq!(relation, "dep");
        assert_eq!(sentence[usize::try_from(*head).unwrap()][0].0, -1);
    }

    let sweep = "[defaults]\nepochs = 4\nlr = 1e-2\nbatch-size = 8\n[grid]\nhead = [\"adapter\", \"last\"]\n";
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    place.succeed("sweep --cache cache --config sweep.toml");
    assert_eq!(weights("runs/sweep/adapter"), weights("runs/one"));
}

#[test]
fn sizes_that_are_none_are_refused() {
    let place = Place::new(TRAINER, &recipe());
    for options in ["--arc-size 0", "--parser-dropout 1", "--relation-size x"] {
        let told = place.fail(1, &format!("{TRAIN} {options}"));
        assert!(told.contains(options.split(' ').next().unwrap()), "{told}");
    }
    let told = place.fail(1, &format!("{TRAIN} --decode crf"));
    assert!(
        told.contains("--decode crf does not go with --task dep"),
        "{told}"
    );
    assert!(!place.path("runs").exists());
}
