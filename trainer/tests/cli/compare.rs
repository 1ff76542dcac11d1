//! `trainer compare`: runs side by side.

use crate::TRAINER;
use testing::labelled::{Recipe, build};
use testing::place::{Place, json};

#[test]
fn runs_are_compared_on_the_same_sentences_only() {
    let place = Place::new(TRAINER, &Recipe::default());
    let sweep = "[defaults]\nepochs = 2\nlr = 1e-2\n[grid]\nhead = [\"adapter\", \"layer:0\"]\nseed = [0, 1]\n";
    fs_err::write(place.path("sweep.toml"), sweep).unwrap();
    let swept = json(&place.succeed("sweep --cache cache --config sweep.toml --json"));
    let found = json(&place.succeed("compare runs/sweep --json"));
    assert_eq!(found["runs"].as_array().unwrap().len(), 4);
    for (group, swept) in found["groups"]
        .as_array()
        .unwrap()
        .iter()
        .zip(swept["groups"].as_array().unwrap())
    {
        assert_eq!(group["label"], swept["head"]);
        assert_eq!(group["scores"], swept["scores"]);
    }
    // The first layer says nothing, the adapter finds the one that does.
    let tested = &found["differences"][0];
    assert_eq!(
        (&tested["one"], &tested["other"]),
        (&"adapter".into(), &"layer:0".into())
    );
    let mean = |group: usize| {
        swept["groups"][group]["scores"]["test"]["mean"]
            .as_f64()
            .unwrap()
    };
    let number = |name: &str| tested["found"][name].as_f64().unwrap();
    assert!((number("difference") - (mean(0) - mean(1))).abs() < 1e-9);
    assert!(number("p") < 0.001 && number("low") > 0.5, "{tested}");
    assert_eq!(
        json(&place.succeed("compare runs/sweep --json")),
        found,
        "draws are not seeded"
    );

    // Accuracies, and a single run.
    let told = json(&place.succeed("compare runs/sweep/adapter--seed-0 --split validation --json"));
    assert_eq!(told["differences"].as_array().unwrap().len(), 0);

    let told = place.fail(1, "compare runs/sweep runs/none");
    assert!(told.contains("runs/none is not a finished run"), "{told}");
    // Other sentences under the same name.
    build(
        &place.path("other"),
        &Recipe {
            sentences: 50,
            ..Recipe::default()
        },
    );
    place.succeed("--cache other --epochs 1 --name other");
    let told = place.fail(1, "compare runs/sweep/adapter--seed-0 runs/other");
    assert!(
        told.contains("sentences of their predictions") && told.contains("line 1"),
        "{told}"
    );
    let other = place.path("runs/other/predictions.test.conll");
    fs_err::write(&other, "one two\n").unwrap();
    let told = place.fail(1, "compare runs/other");
    assert!(
        told.contains("predictions.test.conll line 1: expected token"),
        "{told}"
    );
    fs_err::write(place.path("runs/other/metrics.jsonl"), "").unwrap();
    let told = place.fail(1, "compare runs/other");
    assert!(told.contains("not finished"), "{told}");
}
