//! `trainer-torch`: the trainer itself, linked with libtorch. Started by `trainer`, which finds the libraries.

use std::process::ExitCode;

use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::terminal::Terminal;
use trainer::cli;

fn main() -> ExitCode {
    let options = match trainer_options::parse(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => {
            let printed = error.print();
            return if error.use_stderr() || printed.is_err() {
                ExitStatus::User.into()
            } else {
                ExitStatus::Success.into()
            };
        }
    };
    let terminal: Terminal = options.terminal.terminal();
    match cli::run(&options, &terminal) {
        Ok(status) => status.into(),
        Err(error) => {
            terminal.error(error.to_string(), &[]);
            error.exit_status().into()
        }
    }
}
