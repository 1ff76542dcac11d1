//! `extractor verify`: every byte of a store against its checksums.

use std::sync::Mutex;
use std::sync::PoisonError;

use cache::verify::{Report, verify};
use shared::exit::ExitStatus;
use shared::size::format_bytes;
use shared::terminal::{Progress, Terminal};

use super::error::CliError;
use super::options::VerifyOptions;

pub(super) fn run(options: &VerifyOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let path = cache::find_store(&options.store.store, None, None)?;
    let report = verify(&path, options.repair, &Meter::new(terminal).report())?;
    for problem in &report.problems {
        terminal.error(problem.to_string(), &[]);
    }
    if options.store.json {
        // Strings and numbers: nothing that JSON could refuse.
        terminal.result(serde_json::to_string(&report).unwrap_or_default());
    }
    conclude(report, terminal)
}

fn conclude(report: Report, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let Report {
        path,
        complete,
        parts_done,
        parts,
        problems,
        repaired,
        ..
    } = report;
    let again = "the same `extractor` command again makes what is missing".to_owned();
    if repaired {
        terminal.status(format!(
            "{}: {} files were deleted; {again}",
            path.display(),
            problems.len()
        ));
        return Ok(ExitStatus::Success);
    }
    if !problems.is_empty() {
        let hint = format!(
            "`extractor verify --repair {}` deletes them, and {again}",
            path.display()
        );
        return Err(CliError::damage(&path, problems.len(), hint));
    }
    if !complete {
        let message = format!(
            "{} is incomplete: {parts_done} of {parts} parts are done, and whole",
            path.display()
        );
        return Err(CliError::usage(message, again));
    }
    terminal.status(format!(
        "{}: {} of hidden states, all checksums right",
        path.display(),
        format_bytes(report.bytes)
    ));
    Ok(ExitStatus::Success)
}

/// A progress bar for bytes that several threads check.
struct Meter<'a> {
    terminal: &'a Terminal,
    shown: Mutex<Option<(Progress, u64)>>,
}

impl<'a> Meter<'a> {
    fn new(terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            shown: Mutex::new(None),
        }
    }

    fn report(&self) -> impl Fn(u64, u64) + Sync + '_ {
        |checked, total| {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let (progress, before) = shown
                .get_or_insert_with(|| (self.terminal.progress("verifying", total, "bytes"), 0));
            progress.inc(checked.saturating_sub(*before));
            *before = checked.max(*before);
            if checked >= total {
                progress.finish();
            }
        }
    }
}
