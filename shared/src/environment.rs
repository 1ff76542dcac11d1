//! The environment variables that stand for options: one for each long option of a program, made
//! from its name, so that a job script can set what a command line would.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Command};

/// The same command, each long option of which may also be given by an environment variable:
/// `--batch-size` of the program with the prefix `TRAINER` is `TRAINER_BATCH_SIZE`, unless the option
/// names another one. A flag is set by anything but `0`, `false`, `no`, `off`, their first letters and
/// nothing.
#[must_use]
pub fn with_variables(command: Command, prefix: &'static str) -> Command {
    let with_variable = |argument: clap::Arg| {
        let Some(name) = argument.get_long().map(|long| variable(prefix, long)) else {
            return argument;
        };
        // An option may have a variable of another name.
        let name = argument.get_env().map_or(name, OsString::from);
        let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
        let argument = argument.env(name);
        if is_flag {
            argument.value_parser(FalseyValueParser::new())
        } else {
            argument
        }
    };
    command
        .mut_args(with_variable)
        .mut_subcommands(|command| with_variables(command, prefix))
}

fn variable(prefix: &str, long: &str) -> OsString {
    format!("{prefix}_{}", long.replace('-', "_").to_uppercase()).into()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_long_option_has_a_variable_in_sub_commands_too() {
        let option = |name: &'static str| Arg::new(name).long(name);
        let command = Command::new("program")
            .arg(option("batch-size"))
            .arg(Arg::new("positional"))
            .arg(option("out").env("PROGRAM_EXPORT_OUT"))
            .subcommand(Command::new("job").arg(option("no-shuffle").action(ArgAction::SetTrue)));
        let command = with_variables(command, "PROGRAM");
        let variables = |command: &Command| -> Vec<Option<OsString>> {
            let arguments = command.get_arguments();
            let variables = arguments.map(|argument| argument.get_env().map(OsString::from));
            variables.collect()
        };
        assert_eq!(
            variables(&command),
            [
                Some("PROGRAM_BATCH_SIZE".into()),
                None,
                Some("PROGRAM_EXPORT_OUT".into())
            ]
        );
        let job = command.find_subcommand("job").unwrap();
        assert_eq!(variables(job), [Some("PROGRAM_NO_SHUFFLE".into())]);
    }
}
