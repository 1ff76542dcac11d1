//! The results as a page: heads by data sets, and what is more than luck.

use std::fmt::Write;

use serde_json::Value;

/// The page for `results`, as written to `heads.json`.
pub(super) fn markdown(results: &Value) -> String {
    let sets: Vec<&Value> = results["sets"].as_array().into_iter().flatten().collect();
    let first = sets.first().map_or(&Value::Null, |set| &set["heads"]);
    let heads: Vec<&str> = first
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|head| head["head"].as_str())
        .collect();
    let encoder = results["encoder"].as_str().unwrap_or_default();
    let seeds = sets
        .first()
        .and_then(|set| set["seeds"].as_array())
        .map_or(0, Vec::len);
    let mut page = format!(
        "# Heads on real data\n\n\
         Frozen `{encoder}`, activations stored once as float16. Each number is the mean over {seeds} seeds ± the standard\n\
         deviation of the sample, on the test split, in per cent: F1 of spans for `ner`, accuracy for `pos` and `sequence`.\n\
         The best epoch on the validation split, otherwise the default settings (`benchmarks/heads.toml`).\n\
         Written by `cargo xtask results`.\n\n"
    );
    row(
        &mut page,
        "head",
        sets.iter()
            .map(|set| format!("{} ({})", text(&set["set"]), text(&set["task"]))),
    );
    row(&mut page, "---", sets.iter().map(|_| "---".to_owned()));
    let number = |value: &Value| value.as_u64().unwrap_or(0).to_string();
    row(
        &mut page,
        "epochs",
        sets.iter().map(|set| number(&set["epochs"])),
    );
    for (place, head) in heads.iter().enumerate() {
        row(
            &mut page,
            head,
            sets.iter()
                .map(|set| spread(&set["heads"][place]["scores"]["test"])),
        );
    }
    against_pytorch(&mut page, &sets);
    let _ = write!(
        page,
        "\n## More than luck?\n\n\
         The adapter's mean score less that of each other head, in per cent, with p of a paired bootstrap over the test\n\
         sentences (`trainer compare`, 10,000 draws).\n\n"
    );
    row(
        &mut page,
        "adapter against",
        sets.iter().map(|set| text(&set["set"]).to_owned()),
    );
    row(&mut page, "---", sets.iter().map(|_| "---".to_owned()));
    for head in heads.iter().skip(1) {
        row(
            &mut page,
            head,
            sets.iter().map(|set| difference(set, heads[0], head)),
        );
    }
    page
}

/// The rows of the same adapter in PyTorch, and how far it is away.
fn against_pytorch(page: &mut String, sets: &[&Value]) {
    let pytorch: Vec<Option<(f64, String)>> = sets.iter().map(|set| of_pytorch(set)).collect();
    if pytorch.iter().any(Option::is_some) {
        let told = pytorch.iter().map(|one| {
            one.as_ref()
                .map_or("-".to_owned(), |(_, told)| told.clone())
        });
        row(page, "adapter in PyTorch, same activations", told);
        let runs = |set: &&Value| set["pytorch_adapter"].as_array().map_or(0, Vec::len);
        row(
            page,
            "seeds of PyTorch",
            sets.iter().map(|set| runs(set).to_string()),
        );
        let apart = pytorch.iter().zip(sets).map(|(one, set)| {
            let own = set["heads"][0]["scores"]["test"]["mean"].as_f64();
            let apart = one
                .as_ref()
                .zip(own)
                .map(|((mean, _), own)| 100.0 * (own - mean));
            (
                apart,
                apart.map_or("-".to_owned(), |apart| format!("{apart:+.2}")),
            )
        });
        let apart: Vec<_> = apart.collect();
        row(
            page,
            "adapter here less PyTorch's",
            apart.iter().map(|(_, told)| told.clone()),
        );
        let known: Vec<f64> = apart.iter().filter_map(|(apart, _)| *apart).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few data sets")]
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let _ = write!(
            page,
            "\nThe PyTorch adapter is written apart from this project's, reads the store with zarr-python, trains on padded\n\
             batches and counts spans with seqeval (`benchmarks/pytorch/train_store.py`). Start weights and order are its own,\n\
             so single runs differ; on average over the data sets it is {:.2} points {}.\n",
            mean.abs(),
            if mean >= 0.0 { "below" } else { "above" },
        );
    }
}

fn row(page: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(page, "| {first} | {} |", cells.join(" | "));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn spread(spread: &Value) -> String {
    let Some(mean) = spread["mean"].as_f64() else {
        return "-".to_owned();
    };
    let deviation = spread["deviation"]
        .as_f64()
        .map(|one| format!(" ± {:.2}", 100.0 * one));
    format!("{:.2}{}", 100.0 * mean, deviation.unwrap_or_default())
}

/// Mean of PyTorch's adapter on the test split, and as told.
fn of_pytorch(set: &Value) -> Option<(f64, String)> {
    let runs = set["pytorch_adapter"].as_array()?;
    let scores: Vec<f64> = runs.iter().filter_map(|run| run["test"].as_f64()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few seeds")]
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    let deviation = (count > 1.0).then(|| (squares / (count - 1.0)).sqrt());
    let spread = serde_json::json!({ "mean": mean, "deviation": deviation });
    (count > 0.0).then(|| (mean, self::spread(&spread)))
}

/// What `one` has more than `other` on a data set.
fn difference(set: &Value, one: &str, other: &str) -> String {
    let mut all = set["differences"].as_array().into_iter().flatten();
    let found = all.find(|found| found["one"] == one && found["other"] == other);
    let found = found.map_or(&Value::Null, |found| &found["found"]);
    let (Some(difference), Some(p)) = (found["difference"].as_f64(), found["p"].as_f64()) else {
        return "-".to_owned();
    };
    let p = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    format!("{:+.2} ({p})", 100.0 * difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_by_data_sets() {
        let score = |mean: f64| serde_json::json!({ "test": { "mean": mean, "deviation": 0.01 } });
        let results = serde_json::json!({ "encoder": "toy", "sets": [{
            "set": "news", "task": "ner", "epochs": 3, "seeds": [0, 1],
            "heads": [{ "head": "adapter", "scores": score(0.5) }, { "head": "last", "scores": score(0.25) }],
            "differences": [{ "one": "adapter", "other": "last", "found": { "difference": 0.25, "p": 0.0001 } }],
            "pytorch_adapter": [{ "test": 0.47 }, { "test": 0.49 }],
        }]});
        let page = markdown(&results);
        for line in [
            "| head | news (ner) |",
            "| epochs | 3 |",
            "| seeds of PyTorch | 2 |",
            "| adapter | 50.00 ± 1.00 |",
            "| last | 25.00 ± 1.00 |",
            "| adapter in PyTorch, same activations | 48.00 ± 1.41 |",
            "| adapter here less PyTorch's | +2.00 |",
            "| last | +25.00 (p < 0.001) |",
        ] {
            assert!(page.lines().any(|there| there == line), "{line}\n{page}");
        }
        assert!(page.contains("2.00 points below"));
    }
}
