//! What the programs offer, read from their `--help`: a number format or a head that is added is
//! checked from then on.

use anyhow::{Context, Result, ensure};

use super::case::{Machine, Program, Step};

/// What the cases are made of.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    /// Of the encoder's arithmetic.
    pub(super) dtypes: Vec<String>,
    /// Of the store.
    pub(super) store_dtypes: Vec<String>,
    /// Heads with their layers filled in.
    pub(super) heads: Vec<String>,
    /// Whether a sweep takes several GPUs.
    pub(super) sweep_on_several_gpus: bool,
}

impl Offered {
    /// Asks the built programs.
    pub(super) fn ask(machine: &Machine) -> Result<Self> {
        let help = |program, command: &str| {
            let step = Step::new(program).with(command).with("--help");
            let output = machine.command(&step, true).output()?;
            anyhow::Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        Self::read(
            &help(Program::Extractor, "")?,
            &help(Program::Trainer, "")?,
            &help(Program::Trainer, "sweep")?,
        )
    }

    fn read(extractor: &str, trainer: &str, sweep: &str) -> Result<Self> {
        let of = |help: &str, option: &str| {
            section(help, option).with_context(|| format!("--help has no {option}"))
        };
        let offered = Self {
            dtypes: values(&of(extractor, "--dtype")?),
            // One of the others, chosen by the values.
            store_dtypes: values(&of(extractor, "--store-dtype")?)
                .into_iter()
                .filter(|value| value != "auto")
                .collect(),
            heads: heads(&of(trainer, "--head")?),
            sweep_on_several_gpus: of(sweep, "--device")?.contains("cuda:all"),
        };
        for (what, found, known) in [
            ("--dtype", &offered.dtypes, "f16"),
            ("--store-dtype", &offered.store_dtypes, "i8"),
            ("--head", &offered.heads, "adapter"),
        ] {
            ensure!(
                found.iter().any(|value| value == known),
                "cannot read what --help says of {what}: it should name {known}, read {found:?}"
            );
        }
        Ok(offered)
    }
}

/// The text about an option, up to the next one.
fn section(help: &str, option: &str) -> Option<String> {
    let is_option = |line: &str| {
        let line = line.trim_start();
        line.starts_with("--") || (line.starts_with('-') && line.get(2..6) == Some(", --"))
    };
    let names = |line: &&str| line.split_whitespace().any(|word| word == option);
    let mut lines = help
        .lines()
        .skip_while(|line| !(is_option(line) && names(line)));
    let first = lines.next()?;
    let rest = lines.take_while(|line| {
        !is_option(line) && !line.ends_with(':') || line.trim() == "Possible values:"
    });
    Some(
        std::iter::once(first)
            .chain(rest)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// The values that an option takes, in either of clap's two ways to list them.
fn values(section: &str) -> Vec<String> {
    let words = section.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((_, list)) = words.split_once("[possible values: ") {
        let list = list.split(']').next().unwrap_or_default();
        return list.split(", ").map(str::to_owned).collect();
    }
    let value = |line: &str| {
        let value = line.trim().strip_prefix("- ")?;
        Some(value.split([':', ' ']).next()?.to_owned())
    };
    section.lines().filter_map(value).collect()
}

/// The heads in a list such as `adapter, last, layer:N or concat:A,B,C`, of layers that every store
/// has.
fn heads(section: &str) -> Vec<String> {
    let listed = values(section);
    if !listed.is_empty() {
        return listed;
    }
    // Behind the option's own line, up to the paragraph's end.
    let lines = section.lines().skip(1).map(str::trim);
    let lines: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let text = lines.join(" ").replace(" or ", ", ");
    let is_head = |name: &&str| {
        let known = |sign: char| sign.is_ascii_alphanumeric() || "-:,".contains(sign);
        !name.is_empty() && name.chars().all(known)
    };
    let filled = |name: &str| match name.split_once(':') {
        Some((kind, layers)) if layers.contains(',') => format!("{kind}:0,1"),
        Some((kind, _)) => format!("{kind}:1"),
        None => name.to_owned(),
    };
    text.split(", ")
        .map(|name| name.trim_end_matches('.'))
        .filter(is_head)
        .map(filled)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTRACTOR: &str = "
Store:
      --store-dtype <STORE_DTYPE>
          Number format of the store

          Possible values:
          - auto: f16, or bf16
          - f16:  IEEE 754 half precision, up to 65504
          - bf16: The upper half of a float32: its range with 8 bits of precision. zarr-python
            cannot read it
          - i8

          [env: EXTRACTOR_STORE_DTYPE=]
          [default: f16]

Encoding:
      --dtype <DTYPE>
          Number format of weights and arithmetic; f16 needs a GPU [possible values: f32,
          f16, bf16]

      --device <DEVICE>
          auto, cpu, cuda or cuda:N
";
    const SWEEP: &str = "
Machine:
      --device <DEVICE>  auto, cpu, cuda:N, or several GPUs as cuda:N,M or cuda:all [default: auto]
";
    const TRAINER: &str = "
Head:
      --head <HEAD>
          adapter, attention-fusion, last, layer:N or
          concat:A,B,C

          [default: adapter]
";

    #[test]
    fn what_is_offered_is_read_from_the_help() {
        let offered = Offered::read(EXTRACTOR, TRAINER, SWEEP).unwrap();
        assert_eq!(offered.dtypes, ["f32", "f16", "bf16"]);
        assert_eq!(offered.store_dtypes, ["f16", "bf16", "i8"]);
        let heads = [
            "adapter",
            "attention-fusion",
            "last",
            "layer:1",
            "concat:0,1",
        ];
        assert_eq!(offered.heads, heads);
        assert!(offered.sweep_on_several_gpus);
    }

    #[test]
    fn help_that_cannot_be_read_is_an_error_and_not_a_check_of_nothing() {
        let error = Offered::read(
            EXTRACTOR,
            &TRAINER.replace("adapter, ", "See below: "),
            SWEEP,
        );
        assert!(error.unwrap_err().to_string().contains("--head"));
        assert!(Offered::read(EXTRACTOR, "", SWEEP).is_err());
    }
}
