//! `docs/models.md`, written by a command and never by hand: which encoders are supported, what
//! their hidden states were compared with, and the largest difference seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use shared::terminal::Terminal;

use crate::example;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::sizes;
use crate::steps::{self, Steps};
use crate::test::{TORCH_VARIABLE, cargo_test};

const TEST: &str = "every_hidden_state_is_that_of_transformers";
const HEAD: &str = "# Models

Written by `cargo xtask models`; do not edit.

Families are told by `model_type` in `config.json`, in any size. A setting that changes the result and is not supported is an
error that names it.

| `model_type` | what is read, beside sizes, non-linearity and norm epsilon | refused |
|---|---|---|
| `bert`, `roberta`, `xlm-roberta`, `camembert`, `electra` | causal or not, smaller embeddings (ELECTRA) | relative positions, cross-attention |
| `roberta-prelayernorm`, `xlm-roberta-xl` | causal or not | as `bert` |
| `albert` | groups of layers that share their weights (`num_hidden_groups`, `inner_group_num`), smaller embeddings | as `bert` |
| `distilbert`, `gpt2` | GPT-2's two scales of scores | cross-attention |
| `mpnet` | biases of scores by distance | fewer than 32 buckets |
| `t5`, `mt5`, `umt5` | the encoder, of a whole checkpoint too; `d_kv`, `feed_forward_proj` with a gate or without, `relative_attention_num_buckets`, `relative_attention_max_distance`; texts of up to `n_positions` tokens, or 512 where it is missing: a larger number there is obeyed | fewer than 4 buckets |
| `deberta` | `pos_att_type`, `max_relative_positions`, `position_biased_input`, token types, `embedding_size` | `talking_head` |
| `deberta-v2` (v3, mDeBERTa) | `pos_att_type`, as a list or `c2p\\|p2c`; buckets or none; shared keys, `norm_rel_ebd`, the convolution; `position_biased_input`, token types, `embedding_size` | an even `conv_kernel_size` |
| `esm` | ESM-1b and ESM-2: rotary positions or a table, frequencies that the checkpoint stores, `token_dropout`, `emb_layer_norm_before` | `is_folding_model` (ESMFold), `is_decoder`, cross-attention |
| `modernbert` | `layer_types` or `global_attn_every_n_layers`, `local_attention`, bases and scaling of both kinds of layers, biases | |
| `eurobert`, `llama` | shared keys, `head_dim`, rotary scaling (below), `attention_bias`, `mlp_bias` | `partial_rotary_factor` |
| `nomic_bert` | as transformers 5 writes it, wide heads, rotary scaling; or as the code of the first checkpoints has it (`n_embd`, ...), without running that | of the latter: `activation_function` other than `swiglu`, biases, norms before blocks, scaled, partial or interleaved rotary positions |
| `gte` | as transformers 5 writes it, rotary scaling, no token types (`type_vocab_size` 0) | `ntk` scaling, models of the type `new` |
| `roformer` | smaller embeddings, `rotary_value`, the table of sines of the checkpoint or the usual one | `RoFormerTokenizer`, which cuts Chinese words with jieba: name another `tokenizer_class` |
| `mistral`, `qwen2`, `qwen3` | the window, norms of queries and keys (Qwen3), biases | as `llama` |
| `gemma`, `gemma2`, `gemma3_text` | capped scores, windows, `query_pre_attn_scalar`, bases of both kinds of layers | `use_bidirectional_attention` |
| `opt` | norms before or behind blocks, `word_embed_proj_dim`, `enable_bias`, `layer_norm_elementwise_affine` (Galactica), `_remove_final_layer_norm`; the last hidden state is that before `project_out`, and of the hidden size | |
| `gpt_neox` | blocks in parallel or one after the other, `rotary_pct`, `rotary_emb_base` | |
| `olmo2` | norms of all queries and all keys | as `llama` |
| `phi3` | the window, `partial_rotary_factor` | `longrope` |

Rotary scaling: `linear`, `dynamic` (which changes nothing up to `max_position_embeddings`, and longer texts are windows), `llama3` and
`yarn`, as `rope_parameters` or as older configurations write it (`rope_scaling`, `rope_theta`); any other is refused.

Without `position_biased_input` transformers lets DeBERTa read texts of any length; here `max_position_embeddings` is the limit, as in its
training, and longer texts are windows.

Sequences have 2,048 tokens at most, or as many as the encoder takes where these are fewer; `--max-length` says otherwise.

A layer with a window is computed in blocks of what the window sees: a text of 2,048 tokens through ModernBERT-base's shape took 50 s of CPU
time where it takes 63 to 66 s with every layer global (random weights, 8,000 words in all, two runs each on a loaded machine).

Decoders are frozen encoders here: a token sees what is to its left, and the last hidden state is that after the last norm. The vector
of a word is that of its first sub-word unless `trainer --subword last|mean` says otherwise; in a decoder the first has not seen the rest of
the word.
`Qwen2Tokenizer`, `GemmaTokenizer` and the `PreTrainedTokenizerFast` of Llama 3 give words no leading space (see below), so that each word
of a sentence is cut as at the beginning of a text.

## Tokenizers

Ids, word ids and character offsets are those of `AutoTokenizer.from_pretrained(FOLDER)` of `transformers` 5 (its fast tokenizers,
`is_split_into_words=True`) on accents, CJK, emoji, right-to-left text, words of 300 characters, control characters, and empty
and white-space words, for word pieces, byte-level BPE, BPE with bytes and unigram models (`extractor/tests/fixtures/toy.py`), and for 272
combinations of tokenizer files (`make_tokenizers.py` beside it, which also makes combinations by chance); where they cannot be,
the error names the files that contradict one another. What of the files is replaced or not used is said in a line that begins
with `tokenizer`.

The class decides what is read. It is `tokenizer_class` in `tokenizer_config.json`, else in `config.json`, else that of the
`model_type`; the ending `Fast` makes no difference. As in `transformers` 5, whatever the files name is passed over for types whose
files are known to name a wrong one: `qwen2` has `Qwen2Tokenizer`; `phi3`, `modernbert`, `olmo2`, `mistral`, `umt5`, `xlm-roberta-xl` and
others have `TokenizersBackend` (`mistral` where the Python package `mistral-common` is not installed). A `LlamaTokenizer` whose
`tokenizer.json` is byte-level (Llama 3) is `TokenizersBackend` too.

| class | for | of `tokenizer.json` | of `tokenizer_config.json`, and what holds where it says nothing |
|---|---|---|---|
| `BertTokenizer` (`DistilBertTokenizer`, `ElectraTokenizer`, ...) | bert, distilbert, electra | the vocabulary; or `vocab.txt` | `do_lower_case` (true), `strip_accents` (as lower case), `tokenize_chinese_chars` (true), special tokens (`[CLS]`, ...) |
| `RobertaTokenizer` (`LongformerTokenizer`, ...) | roberta | vocabulary and merges; or `vocab.json`, `merges.txt` | `trim_offsets` (true), special tokens; `cls_token` and `sep_token` stand around a sentence |
| `GPT2Tokenizer` | gpt2, opt, phi | vocabulary, merges and post-processor; or `vocab.json`, `merges.txt` | without `tokenizer.json`: `add_bos_token`, `add_eos_token` (false) |
| `GPTNeoXTokenizer` | gpt_neox, olmo, mamba | vocabulary and merges; or `vocab.json`, `merges.txt`; text is in NFC | the same; with `tokenizer.json` nothing stands around a sentence |
| `Qwen2Tokenizer`, `Qwen3_5Tokenizer` | qwen2, qwen3, qwen3_5 | vocabulary, merges and post-processor; or `vocab.json`, `merges.txt` (Qwen 2 and 3); text is in NFC | `add_prefix_space` (false; true gives a space to each part of a word), special tokens, whose properties Qwen 2 and 3 do not obey |
| `DebertaTokenizer` | deberta | vocabulary and merges; or `vocab.json`, `merges.txt` | special tokens; `cls_token` and `sep_token` stand around a sentence |
| `LlamaTokenizer` (`Phi3Tokenizer`) | llama | vocabulary, merges and post-processor | `add_prefix_space` (true), `legacy` (false; true gives a space also to what follows a special token in a word), special tokens |
| `GemmaTokenizer` | gemma, gemma2, gemma3 | the same | special tokens (`<bos>`, ...); words get no leading space |
| `XLMRobertaTokenizer` | xlm-roberta | pieces with scores, the character map; `<unk>` is piece 3 | `add_prefix_space` (true); `bos_token` and `eos_token` stand around a sentence |
| `CamembertTokenizer` | camembert | the same; `<unk>` is the piece of that name | the same; further `<s>NOTUSED`, `</s>NOTUSED`, `<unk>NOTUSED`; a mask takes the space before it |
| `DebertaV2Tokenizer` | deberta-v2 | pieces with scores; `[UNK]` is the piece of that name with the score 0, else piece `unk_id` (1) | `do_lower_case` (false), `split_by_punct` (false), `add_prefix_space` (true); `cls_token` and `sep_token` stand around a sentence |
| `AlbertTokenizer` | albert | pieces with scores, the character map, the post-processor; `<unk>` is piece 1 | `do_lower_case` (true), `keep_accents` (false), `add_prefix_space` (true), special tokens |
| `T5Tokenizer` | t5, mt5 | pieces with scores, the character map; `<unk>` is piece 2 | `extra_ids` (100) where no special tokens without a role are named; `eos_token` stands behind a sentence |
| `MPNetTokenizer` | mpnet | the vocabulary; or `vocab.txt` | as `BertTokenizer`; `cls_token` (`<s>`) and `sep_token` (`</s>`) stand around a sentence |
| `EsmTokenizer` | esm | nothing: `vocab.txt` | special tokens; `cls_token` and `eos_token` stand around a sentence |
| `PreTrainedTokenizerFast`, `TokenizersBackend`, a name that `transformers` does not know, no `config.json` | | all of it, as it is | tokens alone |

- A `tokenizer.json` of cased text without `tokenizer_config.json` is lower-cased by `BertTokenizer`, as in `transformers` 5.
- Byte-level BPE needs a space before a word. `RobertaTokenizer`, `GPT2Tokenizer`, `GPTNeoXTokenizer` and `DebertaTokenizer` are as with
  `add_prefix_space=True`, each word, the first too, whatever the files say, as their documentation asks for words. `Qwen2Tokenizer` is as
  its files say. `PreTrainedTokenizerFast` has no such setting: its `tokenizer.json` decides.
- `add_bos_token` and `add_eos_token` count only without `tokenizer.json`. `add_dummy_prefix` and Metaspace's settings in
  `tokenizer.json` count for no class that rebuilds it, `legacy` for `LlamaTokenizer` alone.
- `auto_map` (code of the checkpoint's own) is never run: the class that is named or belongs to the type is taken, as without
  `trust_remote_code`; where there is none, it is an error.
- Added tokens: `added_tokens_decoder` where `tokenizer_config.json` has it, and then no other list; else `special_tokens_map.json`
  (before `tokenizer_config.json`), `added_tokens.json` and over it `added_tokens` of `tokenizer.json`. Then `extra_special_tokens` or
  `additional_special_tokens`, and special tokens that are not in the vocabulary, get the next free ids, in this order.
- `EsmTokenizer` is in Python alone: its ids are compared, words and offsets are those of the tokens that it finds in each word. What it
  would find in ways of its own (a token that begins within another, white space in one, `single_word`) is refused.
- `split_special_tokens` is obeyed; `extractor export` refuses it, because `tokenizer.json` cannot say it.

Refused: a model in `tokenizer.json` of another kind than the class needs; an added token whose id in a file is not the one that it
gets; a token around a sentence that is neither in the vocabulary nor added by a file; an unknown token that is not in a word piece
vocabulary; two added tokens that the normalizer makes one (which is found is left to chance in `transformers`); classes written in
Python alone (`BertJapaneseTokenizer`, `BertweetTokenizer`, ...: no word ids) and other fast classes (`FunnelTokenizer`, ...),
with what to do; `fix_mistral_regex` where it would change the pattern of `tokenizer.json`; a SentencePiece model alone, which has to be turned into `tokenizer.json` first.

A store's `tokenizer_digest` is that of `tokenizer.json` alone where the files beside it change no id; else all files that were read
count. Stores made before these files were read are found again where nothing changed.

## Small random checkpoints

Every hidden state of each, computed here from `config.json` and `*.safetensors`, against `transformers`
(`output_hidden_states=True`, eager attention, eval mode, float32). Half-precision weights are compared with the same weights
in float32. The checkpoints and the script that makes them are in `extractor/tests/fixtures/`.
The largest differences are rounding: hidden state 2 of `modernbert-long` holds values up to 48, and `transformers` in float32 is as much
as 1.7e-4 from `transformers` in float64 there.

| checkpoint | family | layers | heads | width | activation | norm eps | weights | largest difference |
|---|---|---|---|---|---|---|---|---|
";

/// Measures and writes the page.
pub(crate) fn run(project: &Project, terminal: &Terminal) -> Result<ExitCode> {
    let mut steps = Steps::new(4, terminal);
    let encoder = steps.step("libraries and a real encoder", || {
        setup::run(project, SetupOptions::default(), terminal)?;
        example::encoder(project, terminal)
    })?;
    let mut page = HEAD.to_owned();
    steps.step("small random checkpoints", || {
        page += &random_checkpoints(project, &encoder)?;
        Ok(())
    })?;
    steps.step("a real encoder on real sentences", || {
        page += &real_encoder(project, &encoder, terminal)?;
        Ok(())
    })?;
    steps.step("true sizes", || {
        page += &sizes::measure(project, terminal)?;
        Ok(())
    })?;
    let path = project.root().join("docs/models.md");
    fs_err::write(&path, page)?;
    terminal.status(format!("wrote {}", project.shown(&path)));
    Ok(ExitCode::SUCCESS)
}

/// Runs the test of all families and makes a row of each checkpoint.
fn random_checkpoints(project: &Project, encoder: &Path) -> Result<String> {
    let arguments = [
        "-p",
        "extractor",
        "--test",
        "encoder",
        TEST,
        "--",
        "--nocapture",
    ];
    let arguments: Vec<String> = arguments.map(str::to_owned).into();
    let printed = printed_by(&mut cargo_test(project, encoder, &arguments))?;
    let differences = largest_differences(&printed);
    if differences.is_empty() {
        bail!("the test {TEST} printed no difference:\n{printed}");
    }
    let fixtures = project.root().join("extractor/tests/fixtures/checkpoints");
    let mut rows = String::new();
    for (name, difference) in &differences {
        // The exported ONNX file is not a checkpoint of its own.
        let folder = fixtures.join(name);
        if folder.is_dir() {
            rows += &row(&folder, name, *difference)?;
        }
    }
    if let Some(difference) = differences.get("exported") {
        writeln!(
            rows,
            "\n`bert-plain` as an exported ONNX file: {difference:.1e}."
        )?;
    }
    Ok(rows)
}

/// Lines `NAME LAYER: DIFFERENCE`, the largest of each name.
fn largest_differences(printed: &str) -> BTreeMap<String, f64> {
    let mut largest = BTreeMap::new();
    for line in printed.lines() {
        let Some((what, difference)) = line.split_once(": ") else {
            continue;
        };
        let Some((name, layer)) = what.split_once(' ') else {
            continue;
        };
        let (Ok(_), Ok(difference)) = (layer.parse::<usize>(), difference.parse::<f64>()) else {
            continue;
        };
        let entry = largest.entry(name.to_owned()).or_insert(difference);
        *entry = entry.max(difference);
    }
    largest
}

fn row(folder: &Path, name: &str, difference: f64) -> Result<String> {
    let text = fs_err::read_to_string(folder.join("config.json"))?;
    let config: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", folder.display()))?;
    let field = |names: &[&str]| {
        let found = names
            .iter()
            .find_map(|name| config.get(name).filter(|value| !value.is_null()));
        found.map_or_else(
            || "-".to_owned(),
            |value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            },
        )
    };
    let mut files = 0;
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files += usize::from(name.starts_with("model") && name.ends_with(".safetensors"));
    }
    let files = if files == 1 {
        "1 file".to_owned()
    } else {
        format!("{files} files")
    };
    Ok(format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {}, {files} | {difference:.1e} |\n",
        field(&["model_type"]),
        field(&["num_hidden_layers", "n_layers", "n_layer", "num_layers"]),
        field(&["num_attention_heads", "n_heads", "n_head", "num_heads"]),
        field(&["hidden_size", "dim", "n_embd", "d_model"]),
        field(&[
            "hidden_act",
            "hidden_activation",
            "activation",
            "activation_function",
            "feed_forward_proj",
        ]),
        field(&[
            "layer_norm_eps",
            "layer_norm_epsilon",
            "rms_norm_eps",
            "norm_eps",
        ]),
        field(&["dtype", "torch_dtype"]),
    ))
}

/// Extracts the built-in example in float32 and compares 200 of its sentences with transformers.
fn real_encoder(project: &Project, encoder: &Path, terminal: &Terminal) -> Result<String> {
    let Some(python) = std::env::var_os(TORCH_VARIABLE) else {
        bail!(
            "{TORCH_VARIABLE} must name a Python with torch, transformers, zarr and numpy (`cargo xtask parity` makes one)"
        );
    };
    let out = project.downloads().join("parity");
    let mut extractor = project.cargo(&[
        "run",
        "--quiet",
        "--package",
        "extractor",
        "--",
        "--json",
        "--overwrite",
    ]);
    extractor
        .args(["--store-dtype", "f32", "--model"])
        .arg(encoder);
    extractor
        .arg("--dataset")
        .arg(example::dataset(project))
        .arg("--out")
        .arg(out);
    let told: Value = serde_json::from_str(printed_by(&mut extractor)?.trim())
        .context("the extractor names no store")?;
    let store = told
        .get("store")
        .and_then(Value::as_str)
        .context("the extractor names no store")?;
    let mut compare = Command::new(python);
    compare
        .arg(project.root().join("extractor/tests/parity/compare.py"))
        .arg(store)
        .arg("--model")
        .arg(encoder);
    let printed = printed_by(compare.current_dir(project.root()))?;
    terminal.status(&printed);
    let (count, layers) = printed
        .split_once('\n')
        .context("the comparison printed nothing")?;
    let name = encoder.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!(
        "\n## {name}, on the built-in example\n\n{count}, evenly over all splits, each alone in `transformers` and in padded \
         batches here (`extractor/tests/parity/compare.py`).\n\n| hidden state | largest difference |\n|---|---|\n"
    );
    for (layer, difference) in layers.lines().filter_map(|line| line.split_once(": ")) {
        writeln!(
            text,
            "| {} | {difference} |",
            layer.trim_start_matches("layer ")
        )?;
    }
    Ok(text)
}

/// What a command prints to stdout; an error when it fails.
fn printed_by(command: &mut Command) -> Result<String> {
    let child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a command")?;
    let output = child.wait_with_output()?;
    let name = command.get_program().to_string_lossy().into_owned();
    steps::ended(&name, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_of_each_checkpoint_counts() {
        let printed =
            "running 1 test\nbert-plain 0: 1e-7\nbert-plain 1: 3e-6\ngpt2 0: 2e-7\ntest x ... ok\n";
        let largest = largest_differences(printed);
        assert_eq!(largest.len(), 2);
        assert!((largest["bert-plain"] - 3e-6).abs() < 1e-12);
    }
}
