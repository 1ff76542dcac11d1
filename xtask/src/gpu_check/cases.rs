//! The cases: which programs are run with which options, and the limits of what a batch or a step
//! may cost.

use anyhow::Result;

use super::Check;
use super::case::{Case, Program, Step};
use super::counted::{Counted, Limit, Pair};
use super::counts::Counts;
use super::expected::Expected;
use super::help::Offered;
use super::inputs::{DEEP, Inputs, TOKENS, USUAL};

/// Megabytes of a GPU that holds no weights: a process takes 500 for itself.
const NO_WEIGHTS: u64 = 501;
/// Megabytes that hold the small encoder but no large batch.
const LITTLE: u64 = 560;
/// Megabytes with which memory runs out at one moment or another.
const FEW: [u64; 8] = [502, 503, 505, 510, 520, 540, 560, 580];
/// Batches that an extraction has more of.
const BATCHES: u32 = 16;
/// Steps that a training has more of.
const STEPS: u32 = 64;
const SENTENCES_A_STEP: u32 = 8;

/// What must not happen once the largest batch or the first epoch is over.
const NO_ALLOCATION: Limit = Limit {
    what: "allocations after warm-up",
    of: Counts::allocations,
    most: 0.0,
    then: 0.0,
};
/// Rows made by the graph against rows made by the CPU, for 25 layers.
const ROWS: &[Limit] = &[
    Limit {
        what: "operations a batch for rows and statistics",
        of: Counts::operations,
        most: 30.0,
        then: 8.0,
    },
    NO_ALLOCATION,
];
const EXTRACTION: &[Limit] = &[
    Limit {
        what: "copies out a batch",
        of: Counts::copies_out,
        most: 2.0,
        then: 2.0,
    },
    NO_ALLOCATION,
];
const WARM: &[Limit] = &[
    NO_ALLOCATION,
    // One more for a writer that is late, whenever that first happens; but not one for each batch.
    Limit {
        what: "pinned blocks after warm-up",
        of: Counts::pinned,
        most: 4.0,
        then: 2.0,
    },
];
/// Epochs that a training has more of.
const EPOCHS: u32 = 40;
/// libtorch keeps blocks for later, and takes a new one when those of the size are still in use: a
/// few more or less, as threads happen to run. Whoever asks for one an epoch is found out.
const WARM_TRAINING: &[Limit] = &[
    Limit {
        what: "allocations an epoch",
        of: Counts::allocations,
        most: 0.2,
        then: 0.05,
    },
    Limit {
        what: "pinned blocks an epoch",
        of: Counts::pinned,
        most: 0.3,
        then: 0.1,
    },
];
const CALLS: Limit = Limit {
    what: "launches and library calls a step",
    of: Counts::calls,
    most: 150.0,
    then: 119.0,
};
const RESIDENT: &[Limit] = &[
    CALLS,
    // Losses are fetched every 32 steps.
    Limit {
        what: "waits a step",
        of: Counts::waits,
        most: 0.1,
        then: 0.03,
    },
];
/// Whoever streams waits for a buffer to be free again.
const STREAMED: &[Limit] = &[CALLS];

/// All cases.
pub(super) fn all(inputs: &Inputs, offered: &Offered) -> Result<Vec<Check>> {
    let mut cases = extractions(inputs, offered);
    cases.extend(short_of_memory(inputs));
    cases.extend(without_cudnn(inputs));
    cases.extend(trainings(inputs, offered));
    cases.extend(of_a_run(inputs, offered));
    cases.extend(several_gpus(inputs, offered));
    let mut checks: Vec<Check> = cases.into_iter().map(Check::Case).collect();
    let counted = counted(inputs, offered)?.into_iter();
    checks.extend(counted.map(|counted| Check::Counted(Box::new(counted))));
    Ok(checks)
}

/// An extraction on the GPU whose summary is looked at.
fn extractor(inputs: &Inputs, model: &str) -> Step {
    Step::new(Program::Extractor)
        .path("--model", &inputs.model(model))
        .with("--out cache --json --no-progress")
}

/// A training on the GPU of `epochs` passes over the store of a number format.
fn trainer(inputs: &Inputs, store: &str, command: &str) -> Step {
    let mut step = Step::new(Program::Trainer).with(command);
    if let Some(store) = inputs.stores.get(store) {
        step = step.path("--cache", store);
    }
    step.with("--no-progress")
}

/// Every family, arithmetic and row format; small batches, so that there are several shapes of
/// them.
fn extractions(inputs: &Inputs, offered: &Offered) -> Vec<Case> {
    let mut cases = Vec::new();
    for family in &inputs.families {
        for dtype in &offered.dtypes {
            for store in &offered.store_dtypes {
                let usual = family == USUAL;
                for rows in if usual {
                    &["auto", "host"][..]
                } else {
                    &["auto"]
                } {
                    let step = extractor(inputs, family)
                        .path("--dataset", &inputs.few)
                        .with("--device cuda --max-batch-tokens 128")
                        .with(&format!(
                            "--dtype {dtype} --store-dtype {store} --rows {rows}"
                        ));
                    let on_host = if *rows == "host" { ", rows host" } else { "" };
                    let name = format!("extract {family} {dtype}, store {store}{on_host}");
                    cases.push(Case::new(name, vec![step]));
                }
            }
        }
    }
    for dtype in &offered.dtypes {
        let step = extractor(inputs, USUAL)
            .path("--dataset", &inputs.many)
            .with("--device cuda --dtype")
            .with(dtype);
        let name = format!("extract {USUAL} {dtype}, batches by the memory");
        cases.push(Case::new(name, vec![step]));
    }
    cases
}

/// No memory, little memory.
fn short_of_memory(inputs: &Inputs) -> Vec<Case> {
    let extraction = |options: &str| {
        let step = extractor(inputs, USUAL).path("--dataset", &inputs.many);
        vec![step.with("--device cuda").with(options)]
    };
    let training = |io: &str| {
        let step = trainer(inputs, "f16", "--epochs 2 --out runs --device cuda");
        vec![step.with("--io").with(io)]
    };
    let out_of_memory = Expected::Refused(2, &["memory"]);
    let mut cases = vec![
        Case::new("extract without memory for the weights", extraction(""))
            .memory(NO_WEIGHTS)
            .expect(out_of_memory.clone()),
        Case::new(
            "extract in batches that are too large",
            extraction("--max-batch-tokens 16384"),
        )
        .memory(LITTLE)
        .expect(Expected::Refused(2, &["memory", "would fit"])),
        Case::new("extract in little memory", extraction("")).memory(LITTLE),
        Case::new("train without memory", training("auto"))
            .memory(NO_WEIGHTS)
            .expect(out_of_memory),
        Case::new(
            "train from the GPU's memory without room for it",
            training("device"),
        )
        .memory(LITTLE)
        .expect(Expected::RefusedAtStart(
            1,
            &["no room", "without --io device"],
        )),
        // The rest of a large GPU: what does not fit is streamed.
        Case::new("train with little room", training("auto")).memory(1_000),
    ];
    for memory in FEW {
        let kinds = [("extract", extraction("")), ("train", training("auto"))];
        cases.extend(kinds.into_iter().map(|(kind, steps)| {
            Case::new(format!("{kind} in {memory} MB"), steps)
                .memory(memory)
                .expect(Expected::DoneOrRefused(2, &["memory"]))
        }));
    }
    cases
}

/// Without cuDNN, `--device cuda` must not begin and `--device auto` must not fail.
fn without_cudnn(inputs: &Inputs) -> Vec<Case> {
    let extraction = extractor(inputs, USUAL).path("--dataset", &inputs.many);
    let training = trainer(inputs, "f16", "--epochs 1 --out runs");
    let kinds = [("extract", extraction), ("train", training)];
    let cases = kinds.into_iter().flat_map(|(kind, step)| {
        let on = |device: &str| vec![step.clone().with("--device").with(device)];
        [
            Case::new(format!("{kind} without cuDNN, --device cuda"), on("cuda"))
                .expect(Expected::RefusedAtStart(2, &["cuDNN"])),
            Case::new(format!("{kind} without cuDNN, --device auto"), on("auto"))
                .expect(Expected::OnCpu(&["cuDNN", "CPU"])),
        ]
    });
    cases.map(Case::without_cudnn).collect()
}

/// Every head and number format from the GPU's memory and from the store, and sweeps.
fn trainings(inputs: &Inputs, offered: &Offered) -> Vec<Case> {
    let mut kinds: Vec<(String, String)> = offered
        .heads
        .iter()
        .map(|head| (head.clone(), format!("--head {head}")))
        .collect();
    for option in [
        "--no-tailor",
        "--no-tailor-attention",
        "--decode crf",
        "--subword last",
        "--subword mean",
        "--deterministic",
        "--batch-tokens 300",
    ] {
        kinds.push((format!("adapter {option}"), option.to_owned()));
    }
    let mut cases = Vec::new();
    for (kind, options) in &kinds {
        for store in &offered.store_dtypes {
            // Options that are no heads do not meet the number format.
            if kind.contains(" --") && store != "f16" {
                continue;
            }
            for io in ["device", "mmap"] {
                let step = trainer(inputs, store, "--epochs 2 --out runs --device cuda")
                    .with(&format!("--io {io} --limit-train 200 {options}"));
                cases.push(Case::new(
                    format!("train {kind}, store {store}, {io}"),
                    vec![step],
                ));
            }
        }
    }
    for head in &offered.heads {
        for subword in ["first", "mean"] {
            let options = format!("--task dep --head {head} --subword {subword}");
            let step = trainer(inputs, "f16", "--epochs 2 --out runs --device cuda");
            let step = step.with(&format!("--limit-train 200 {options}"));
            cases.push(Case::new(
                format!("train trees, {head} {subword}"),
                vec![step],
            ));
        }
    }
    for (name, config) in [("8 adapters", &inputs.sweep), ("every head", &inputs.heads)] {
        for io in ["device", "mmap"] {
            let step = trainer(inputs, "f16", "sweep --device cuda --out runs")
                .path("--config", config)
                .with("--io")
                .with(io);
            cases.push(Case::new(format!("sweep of {name}, {io}"), vec![step]));
        }
    }
    cases
}

/// What is done with a run that was trained on the GPU.
fn of_a_run(inputs: &Inputs, offered: &Offered) -> Vec<Case> {
    let train = trainer(
        inputs,
        "f16",
        "--epochs 1 --out runs --name run --device cuda",
    );
    let later = |command: &str| {
        let evaluation = format!("{command} --run runs/run --split validation --device cuda");
        vec![train.clone(), trainer(inputs, "f16", &evaluation)]
    };
    let with_encoder = |command: &str| {
        Step::new(Program::Extractor)
            .with(command)
            .with("--run runs/run")
            .path("--model", &inputs.model(USUAL))
    };
    let mut cases = vec![
        Case::new("trainer eval", later("eval")),
        Case::new("trainer predict", later("predict")),
        Case::new(
            "extractor export",
            vec![train.clone(), with_encoder("export --out model.onnx")],
        ),
    ];
    for head in &offered.heads {
        let train = train.clone().with("--head").with(head);
        for dtype in &offered.dtypes {
            let predict = with_encoder("predict --device cuda --no-progress")
                .path("--input", &inputs.few)
                .with("--dtype")
                .with(dtype);
            let name = format!("extractor predict with {head} {dtype}");
            cases.push(Case::new(name, vec![train.clone(), predict]));
        }
    }
    cases
}

/// The second of two GPUs, and both.
fn several_gpus(inputs: &Inputs, offered: &Offered) -> Vec<Case> {
    let extraction = |device: &str| {
        let step = extractor(inputs, USUAL).path("--dataset", &inputs.many);
        vec![step.with("--max-batch-tokens 128 --device").with(device)]
    };
    let train = trainer(inputs, "f16", "--epochs 1 --out runs --device cuda:1");
    let sweep = trainer(inputs, "f16", "sweep --out runs --device cuda:0,1")
        .path("--config", &inputs.heads);
    let both = Expected::DoneOn(&[0, 1]);
    let mut cases = vec![
        Case::new("extract on the second GPU", extraction("cuda:1")).expect(Expected::DoneOn(&[1])),
        Case::new("extract on both GPUs", extraction("cuda:0,1")).expect(both.clone()),
        Case::new("extract on all GPUs", extraction("cuda:all")).expect(both.clone()),
        Case::new("train on the second GPU", vec![train]).expect(Expected::DoneOn(&[1])),
    ];
    if offered.sweep_on_several_gpus {
        cases.push(Case::new("sweep on both GPUs", vec![sweep]).expect(both));
    }
    cases.into_iter().map(|case| case.gpus(2)).collect()
}

/// What a batch and a step cost, and whether memory is asked for once everything has been seen.
fn counted(inputs: &Inputs, offered: &Offered) -> Result<Vec<Counted>> {
    let mut all = Vec::new();
    let (little, more) = (inputs.repeated(1)?, inputs.repeated(5)?);
    let alike = inputs.alike(128)?;
    let alike_more = inputs.alike(128 + 8 * BATCHES as usize)?;
    for dtype in &offered.dtypes {
        let case = |data: &std::path::Path, options: &str| {
            let step = extractor(inputs, DEEP)
                .path("--dataset", data)
                .with("--device cuda --self-check 0 --dtype")
                .with(dtype)
                .with(options);
            Case::new("extraction", vec![step])
        };
        for rows in ["auto", "host"] {
            // Without the trial that chooses a number format: its few sentences are batches of other
            // shapes, and what they need is not asked for in each batch.
            let options = format!("--max-batch-tokens 128 --store-dtype f16 --rows {rows}");
            all.push(Counted {
                name: format!("memory of extraction {dtype}, rows {rows}"),
                pair: Pair {
                    little: case(&little, &options),
                    more: case(&more, &options),
                },
                beyond: None,
                units: 1,
                limits: WARM,
            });
        }
        let pair = |rows: &str| {
            let options = format!("--max-batch-tokens {} --rows {rows}", 8 * TOKENS);
            Pair {
                little: case(&alike, &options),
                more: case(&alike_more, &options),
            }
        };
        all.push(Counted {
            name: format!("a batch of extraction {dtype}, 25 layers"),
            pair: pair("auto"),
            beyond: None,
            units: BATCHES,
            limits: EXTRACTION,
        });
        all.push(Counted {
            name: format!("rows of a batch {dtype}, 25 layers"),
            pair: pair("auto"),
            beyond: Some(pair("host")),
            units: BATCHES,
            limits: ROWS,
        });
    }
    for io in ["device", "mmap"] {
        let case = |epochs: u32| {
            let step = trainer(inputs, "f16", "--out runs --device cuda");
            let step = step.with(&format!("--epochs {epochs} --io {io} --limit-train 320"));
            Case::new("training", vec![step])
        };
        all.push(Counted {
            name: format!("memory of training, {io}"),
            pair: Pair {
                little: case(4),
                more: case(4 + EPOCHS),
            },
            beyond: None,
            units: EPOCHS,
            limits: WARM_TRAINING,
        });
        let case = |steps: u32| {
            let sentences = steps * SENTENCES_A_STEP;
            let step = trainer(inputs, "f16", "--epochs 1 --out runs --device cuda").with(
                &format!("--io {io} --batch-size {SENTENCES_A_STEP} --limit-train {sentences}"),
            );
            Case::new("training", vec![step])
        };
        all.push(Counted {
            name: format!("a step of the adapter, {io}"),
            pair: Pair {
                little: case(STEPS),
                more: case(2 * STEPS),
            },
            beyond: None,
            units: STEPS,
            limits: if io == "device" { RESIDENT } else { STREAMED },
        });
    }
    Ok(all)
}
