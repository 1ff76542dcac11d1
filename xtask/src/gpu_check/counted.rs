//! What a batch or a step costs: the same case with little and with more to do, and the difference
//! of what was counted. Start, warm-up, validation and end are in both, so that the difference is
//! of the added batches or steps alone.

use std::path::Path;

use anyhow::Result;

use super::Verdict;
use super::case::{Case, Machine};
use super::counts::Counts;

/// A case with little and with more to do.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) little: Case,
    pub(super) more: Case,
}

/// One pair, or what one pair costs more than another.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) pair: Pair,
    /// What is subtracted.
    pub(super) beyond: Option<Pair>,
    /// Batches or steps that `more` has more.
    pub(super) units: u32,
    pub(super) limits: &'static [Limit],
}

/// The most that one unit may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// What is counted, and of what.
    pub(super) what: &'static str,
    pub(super) of: fn(&Counts) -> u64,
    pub(super) most: f64,
    /// What it was when the limit was set: to see when it can be lowered, and what has crept up.
    pub(super) then: f64,
}

impl Counted {
    /// Runs all its cases.
    pub(super) fn run(&self, machine: &Machine, folder: &Path) -> Result<Verdict> {
        let mut failures = Vec::new();
        let mut counts = Vec::new();
        for (pair, kind) in [Some(&self.pair), self.beyond.as_ref()]
            .into_iter()
            .zip(["", "beyond-"])
            .filter_map(|(pair, kind)| Some((pair?, kind)))
        {
            for (case, size) in [(&pair.little, "little"), (&pair.more, "more")] {
                let outcome = machine.run(case, &folder.join(format!("{kind}{size}")))?;
                let failed = case.expected.failures(&outcome).into_iter();
                failures.extend(failed.map(|failure| format!("{kind}{size}: {failure}")));
                counts.push(outcome.counts);
            }
        }
        let mut figures = Vec::new();
        // What is counted of programs that failed says nothing.
        if failures.is_empty() {
            for limit in self.limits {
                let figure = limit.figure(&counts, self.units);
                figures.push(limit.told(figure));
                failures.extend(limit.broken(figure));
            }
        }
        Ok(Verdict {
            failures,
            figures: figures.join(", "),
        })
    }
}

impl Limit {
    /// What a unit costs, from the counts of little and more, and of those to subtract where there
    /// are any.
    fn figure(&self, counts: &[Counts], units: u32) -> f64 {
        let added: Vec<f64> = counts
            .chunks(2)
            .filter_map(|pair| match pair {
                [little, more] => Some(float((self.of)(more)) - float((self.of)(little))),
                _ => None,
            })
            .collect();
        let beyond = added.get(1).copied().unwrap_or(0.0);
        (added.first().copied().unwrap_or(0.0) - beyond) / f64::from(units)
    }

    fn told(&self, figure: f64) -> String {
        format!("{:.2} {} (at most {})", figure, self.what, self.most)
    }

    fn broken(&self, figure: f64) -> Option<String> {
        (figure > self.most).then(|| {
            format!(
                "{}: at most {} are allowed, got {figure:.2} (it was {} when the limit was set)",
                self.what, self.most, self.then
            )
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of events are far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        what: "launches a batch",
        of: |counts| counts.launches,
        most: 10.0,
        then: 9.0,
    };

    fn launches(numbers: &[u64]) -> Vec<Counts> {
        let counts = |&launches| {
            let mut counts = Counts::default();
            counts.launches = launches;
            counts
        };
        numbers.iter().map(counts).collect()
    }

    #[test]
    fn a_figure_is_what_was_added_for_each_unit() {
        let figure = |numbers: &[u64]| LIMIT.figure(&launches(numbers), 4);
        assert!((figure(&[100, 140]) - 10.0).abs() < 1e-9);
        assert!((figure(&[100, 140, 7, 35]) - 3.0).abs() < 1e-9);
        assert!((figure(&[100, 140, 7, 55]) + 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_limit_holds_to_itself() {
        assert_eq!(LIMIT.broken(10.0), None);
        let broken = LIMIT.broken(10.25).unwrap();
        assert!(
            broken.contains("at most 10 ") && broken.contains("10.25"),
            "{broken}"
        );
    }
}
