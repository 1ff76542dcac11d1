//! Every head gives the same run to the bit on any number of threads, and however the store is read.
//! Numbers of floating point differ between kinds of CPUs, so runs of one machine are compared.

use serde_json::Value;
use shared::heads::forms;
use testing::labelled::Recipe;
use testing::place::Place;

use super::TRAINER;

/// The events of a run without what is measured by a clock.
fn events(place: &Place, run: &str) -> Vec<Value> {
    let metrics = place.text(&format!("runs/{run}/metrics.jsonl"));
    let events = metrics.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        for clock in ["seconds", "tokens_per_second"] {
            event.as_object_mut().unwrap().remove(clock);
        }
        event
    });
    events.collect()
}

#[test]
fn every_head_gives_the_same_bytes_on_any_threads_and_from_memory() {
    let place = Place::new(
        TRAINER,
        &Recipe {
            sentences: 120,
            ..Recipe::default()
        },
    );
    for (number, head) in forms().flat_map(|form| form.examples).enumerate() {
        // Batches that are divided into parts.
        let line = format!("--cache cache --epochs 1 --lr 1e-2 --batch-size 60 {head}");
        let ways = [
            "--threads 1",
            "--threads 3 --io ram",
            "--threads 2 --io read",
        ];
        for (way, options) in ways.iter().enumerate() {
            place.succeed(&format!("{line} --name {number}-{way} {options}"));
        }
        let first = format!("{number}-0");
        assert!(events(&place, &first).len() > 3, "{head}");
        for (way, options) in ways.iter().enumerate().skip(1) {
            let other = format!("{number}-{way}");
            assert_eq!(
                events(&place, &first),
                events(&place, &other),
                "{head} {options}"
            );
            for file in [
                "adapter.safetensors",
                "predictions.validation.conll",
                "predictions.test.conll",
            ] {
                let bytes = |run: &str| place.bytes(&format!("runs/{run}/{file}"));
                assert!(
                    bytes(&first) == bytes(&other),
                    "{head} {options}: {file} differs"
                );
            }
        }
    }
}
