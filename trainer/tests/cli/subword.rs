//! `--subword`: which vector a word has, from the option to the files of a run. Every third word of
//! the toy store is two sub-words, and both say its label.

use shared::tasks::Task;
use testing::labelled::Recipe;
use testing::place::{Place, json};

use crate::TRAINER;

const TRAIN: &str = "--cache cache --epochs 3 --lr 1e-2 --batch-size 8 --head scalar-mix";

#[test]
fn the_choice_is_recorded_and_kept() {
    let place = Place::new(TRAINER, &Recipe::default());
    let weights = |run: &str| fs_err::read(place.path(run).join("adapter.safetensors")).unwrap();
    place.succeed(TRAIN);
    place.succeed(&format!("{TRAIN} --subword first --name first"));
    let plain = "runs/toy--synthetic--scalar-mix-0";
    assert_eq!(weights("runs/first"), weights(plain));
    let mut all = vec![weights(plain)];
    for subword in ["last", "mean"] {
        let results = json(&place.succeed(&format!("{TRAIN} --subword {subword} --json")));
        let run = format!("runs/toy--synthetic--scalar-mix-{subword}-subword-0");
        assert_eq!(results["run"], run);
        let score = results["scores"]["test"]["value"].as_f64().unwrap();
        assert!(score > 0.8, "{subword}: {score}");
        let config = json(&place.text(&format!("{run}/config.json")));
        assert_eq!(config["head"]["subword"], subword);
        let scores = json(&place.succeed(&format!("eval --run {run} --cache cache --json")));
        assert_eq!(scores, results["scores"]["test"]);
        let told = place.succeed(&format!("predict --run {run} --cache cache"));
        assert_eq!(told, place.text(&format!("{run}/predictions.test.conll")));
        for file in ["report.html", "README.md"] {
            let text = place.text(&format!("{run}/{file}"));
            assert!(text.contains("subword") && text.contains(subword), "{file}");
        }
        let other = format!("{TRAIN} --name toy--synthetic--scalar-mix-0 --resume");
        let told = place.fail(1, &format!("{other} --subword {subword}"));
        let expected = format!("head.subword: was \"first\", is now \"{subword}\"");
        assert!(told.contains(&expected), "{told}");
        all.push(weights(&run));
    }
    assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);

    // Heads of one pass may have other choices each.
    let sweep = "[defaults]\nepochs = 3\nlr = 1e-2\nbatch-size = 8\nhead = \"scalar-mix\"\n\
                 [grid]\nsubword = [\"first\", \"last\", \"mean\"]\n";
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    place.succeed("sweep --cache cache --config sweep.toml");
    for (subword, alone) in ["first", "last", "mean"].iter().zip(all) {
        let run = format!("runs/sweep/scalar-mix--subword-{subword}");
        assert_eq!(weights(&run), alone, "{subword}");
    }
}

#[test]
fn texts_have_no_sub_words_to_choose_from() {
    let recipe = Recipe {
        task: Task::Sequence,
        ..Recipe::default()
    };
    let place = Place::new(TRAINER, &recipe);
    let told = place.fail(1, &format!("{TRAIN} --subword mean"));
    assert!(
        told.contains("--subword mean does not go with --task sequence"),
        "{told}"
    );
    assert!(!place.path("runs").exists());
}
