"""Correctness and speed on a GPU, or several, against transformers and PyTorch on the same GPU; JSON and Markdown tables.

Encoders have random weights of the true sizes: speed does not depend on the numbers. Sentences are random words
with lengths like those of CoNLL-2003, and so are their tags: what is compared is what both sides make of them.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

HERE = Path(__file__).resolve().parent
PYTORCH = HERE.parent / "pytorch"
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "bert-large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}

# Ways to the same store, docs/gpu.md.
WAYS = {
    "one encoder": ["--encoders", 1],
    "two encoders in turn": ["--encoders", 2],
    "rows by the CPU": ["--encoders", 1, "--rows", "host"],
    "rows by the graph": ["--encoders", 1, "--rows", "device"],
}
# The same on all GPUs, where there are several.
ALL_GPUS = {"all GPUs": ["--device", "cuda:all"]}


# Formats of half precision: their distance from float32 must be at most twice that of transformers in the same format.
HALVES = {"f16": torch.float16, "bf16": torch.bfloat16}
# Largest distance of two computations in float32, over the mean size of a layer.
FLOAT32_DISTANCE = 1e-3
# Largest relative difference of the losses of the first steps on the GPU and on the CPU.
LOSS_DISTANCE = 1e-3
# Least share of words that get the same label by both programs: one reads float16 from the store.
SAME_LABELS = 0.995


class Bench:
    """The folders, the device and what was measured so far; saved after each step."""

    def __init__(self, options):
        self.options, self.out = options, options.out
        self.work = options.work or options.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.gpus = torch.cuda.device_count() if options.device != "cpu" else 0
        self.results = {"machine": machine(options.device), "steps": {}}
        self.begin = time.time()

    def step(self, name, work):
        """Does one measurement; one that fails is told and does not end the others."""
        if time.time() - self.begin > self.options.limit:
            self.results["steps"][name] = {"error": "no time left"}
        else:
            print(f"[{time.time() - self.begin:5.0f} s] {name}", file=sys.stderr, flush=True)
            try:
                self.results["steps"][name] = work()
            except Exception as error:  # a number that is missing is reported as missing
                self.results["steps"][name] = {"error": str(error)[-2000:]}
                print(f"        failed: {error}", file=sys.stderr)
        (self.out / "gpu.json").write_text(json.dumps(self.results, indent=1))

    def get(self, step, key):
        """A number of an earlier step, or None."""
        return self.results["steps"].get(step, {}).get(key)

    def run(self, name, *arguments):
        """Runs one of ours, on the device of the options unless the arguments name one; what it prints."""
        arguments = [str(argument) for argument in arguments]
        if "--device" not in arguments and arguments[0] != "doctor":
            arguments += ["--device", self.options.device]
        done = subprocess.run([self.options.bundle / name, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def program(self, name, *arguments):
        """The JSON that one of ours prints, and the seconds of the whole process."""
        begin = time.perf_counter()
        printed = self.run(name, *arguments, "--json")
        return {**json.loads(printed.strip().splitlines()[-1]), "wall": time.perf_counter() - begin}

    def script(self, name, *arguments):
        """Runs a script of the PyTorch side; the JSON it prints."""
        command = [sys.executable, PYTORCH / name, *map(str, arguments), "--device", self.options.device]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def machine(device):
    """What the numbers are from."""
    facts = {"torch": torch.__version__, "device": device, "cpus": os.cpu_count()}
    if device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        facts |= {"gpu": properties.name, "memory_gib": properties.total_memory / 2**30, "cuda": torch.version.cuda}
        facts["gpus"] = torch.cuda.device_count()
    return facts


def ceilings(device):
    """What the GPU reaches: copies within its memory, copies to pinned host memory, matrix products."""
    synchronise = torch.cuda.synchronize if device != "cpu" else lambda: None

    def seconds(work, times=10):
        work()
        synchronise()
        begin = time.perf_counter()
        for _ in range(times):
            work()
        synchronise()
        return (time.perf_counter() - begin) / times

    size = 2**28 if device != "cpu" else 2**22
    source, target = (torch.empty(size, dtype=torch.float32, device=device) for _ in range(2))
    figures = {"copy_gb_s": 8 * size / seconds(lambda: target.copy_(source)) / 1e9}
    if device != "cpu":
        host = torch.empty(size, dtype=torch.float32, pin_memory=True)
        figures["to_host_gb_s"] = 4 * size / seconds(lambda: host.copy_(source, non_blocking=True)) / 1e9
    for dtype in [torch.float16, torch.bfloat16, torch.float32] if device != "cpu" else [torch.float32]:
        n = 8192 if device != "cpu" else 512
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        figures[f"products_{dtype}_tflop_s".replace("torch.", "")] = 2 * n**3 / seconds(lambda: a @ b) / 1e12
    return figures


def checkpoint(folder, size, tokenizer):
    """A BERT with random weights and a word-piece tokenizer over made-up words."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    model = BertModel(BertConfig(vocab_size=30522, **SIZES[size]), add_pooling_layer=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tokenizer():
    """Every word is one to three sub-words of letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [a + b + c for a in letters for b in letters for c in letters]
    pieces += ["##" + piece for piece in pieces[5:]]
    vocabulary = {piece: i for i, piece in enumerate(pieces[:30522])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = {name: vocabulary[name] for name in ["[CLS]", "[SEP]"]}
    inner.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return BertTokenizerFast(tokenizer_object=inner, do_lower_case=False)


def sentences(folder, tokens, seed):
    """Column files with about `tokens` sub-words in train.conll; tags are a function of the words, so heads can learn."""
    numbers = random.Random(seed)
    letters = "abcdefghijklm"
    piece = lambda: "".join(numbers.choice(letters) for _ in range(3))
    folder.mkdir(parents=True, exist_ok=True)
    for name, share in [("train", 1.0), ("validation", 0.02), ("test", 0.02)]:
        lines, count = [], 0
        while count < tokens * share:
            for _ in range(max(1, min(60, int(numbers.gammavariate(3.0, 14.5 / 3))))):
                pieces = 1 + (numbers.random() < 0.25) + (numbers.random() < 0.1)
                word = "".join(piece() for _ in range(pieces))
                tag = TAGS[1 + 2 * (ord(word[0]) % 4)] if word[1] in "ab" else "O"
                lines.append(f"{word}\t{tag}")
                count += pieces
            lines.append("")
            count += 2
        (folder / f"{name}.conll").write_text("\n".join(lines) + "\n")


def doctors(bench):
    """What both programs find on this machine, in their own words."""
    return {name: bench.run(name, "doctor").splitlines() for name in ["extractor", "trainer"]}


def distances(bench, size, dtype, model, data):
    """Largest distance of stored hidden states from those of transformers in float32 on the same GPU, over the layer's mean
    size; and for a half-precision format that of transformers in this format."""
    import numpy as np
    import zarr_free_store as store_reader
    from transformers import AutoModel

    out = bench.work / f"check-{size}-{dtype}"
    found = bench.program(
        "extractor", "--model", model, "--dataset", data, "--out", out, "--overwrite", "--dtype", dtype,
        "--store-dtype", "f32", "--self-check", "0",
    )
    store = store_reader.Split(Path(found["store"]), "train")
    load = lambda kind: AutoModel.from_pretrained(model, dtype=kind).to(bench.options.device).eval()
    encoder, half = load(torch.float32), load(HALVES[dtype]) if dtype in HALVES else None
    worst, relative, theirs = 0.0, 0.0, 0.0
    with torch.inference_mode():
        for sequence in range(0, len(store), max(1, len(store) // 50)):
            ids = torch.tensor(store.ids(sequence).astype(np.int64), device=bench.options.device)[None]
            layers = encoder(ids, output_hidden_states=True).hidden_states
            halves = half(ids, output_hidden_states=True).hidden_states if half else layers
            ours = torch.tensor(store.hidden_states(sequence), device=bench.options.device)
            for layer, (expected, rounded) in enumerate(zip(layers, halves)):
                distance = (ours[:, layer] - expected[0]).abs().max().item()
                mean = expected.abs().mean().item()
                worst, relative = max(worst, distance), max(relative, distance / mean)
                theirs = max(theirs, (rounded.float() - expected).abs().max().item() / mean)
    shutil.rmtree(out)
    allowed = max(2 * theirs, FLOAT32_DISTANCE)
    return {
        "largest_distance": worst, "over_mean_size": relative, "transformers_over_mean_size": theirs,
        "provider": found["provider"], "nodes_on_cpu": found["setup"]["nodes_on_cpu"], "right": relative <= allowed,
    }


def extraction(bench, name, dtype, model, data, *options):
    """Ours: real tokens a second, results in host memory and on disk; with the size of batches that it chooses."""
    out = bench.work / f"cache-{name}"
    found = bench.program(
        "extractor", "--model", model, "--dataset", data, "--out", out, "--overwrite", "--dtype", dtype, *options
    )
    keys = ["store", "tokens_encoded", "seconds", "tokens_per_second", "padding_share", "outside_encoder_share", "limit", "time", "setup", "wall"]
    return {key: found[key] for key in keys}


def extraction_alone(bench, name, dtype, model, data, *options):
    """The same of a store that nothing else reads."""
    found = extraction(bench, name, dtype, model, data, *options)
    shutil.rmtree(bench.work / f"cache-{name}")
    return found


def ways(bench, dtype, model, data):
    """What encoders in turn, rows made on the GPU and further GPUs are each worth, and whether they make the same store."""
    found, digests = {}, set()
    for what, options in (WAYS | (ALL_GPUS if bench.gpus > 1 else {})).items():
        one = extraction(bench, "way", dtype, model, data, "--max-batch-tokens", 8192, *options)
        digests.add(hidden_states_digest(Path(one["store"])))
        found[what] = {key: one[key] for key in ["tokens_per_second", "time", "setup"]}
    shutil.rmtree(bench.work / "cache-way")
    return {**found, "right": len(digests) == 1}


def hidden_states_digest(store):
    """Over all files of hidden states, by name."""
    digest = hashlib.sha256()
    for path in sorted(path for path in store.rglob("hidden_states/**/*") if path.is_file()):
        digest.update(str(path.relative_to(store)).encode())
        with path.open("rb") as file:
            while block := file.read(2**24):
                digest.update(block)
    return digest.hexdigest()


def pytorch(bench, name, model, data, *arguments):
    """Theirs: real tokens a second by their own clock."""
    found = bench.script(name, "--model", model, "--train", data / "train.conll", *arguments)
    seconds = found["epoch_seconds"][1:] or found["epoch_seconds"] if "epoch_seconds" in found else [found["seconds"]]
    tokens = found["tokens"] / len(found.get("epoch_seconds", [0]))
    return {**found, "epoch_s": median(seconds), "tokens_per_second": tokens / median(seconds)}


def events(folder, kind):
    """What a run measured, of one kind."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [event for event in lines if event["event"] == kind]


def training(bench, store, epochs, name, *options):
    """Ours: epochs from the stored activations; by itself in the GPU's memory, if there is room."""
    runs = bench.work / "runs"
    found = bench.program(
        "trainer", "--cache", store, "--epochs", epochs, "--out", runs, "--name", name, "--overwrite", *options
    )
    later = events(runs / name, "epoch")[1:]
    return {
        "epoch_s": median(event["seconds"] for event in later),
        "tokens_per_second": median(event["tokens_per_second"] for event in later),
        "f1": found["scores"]["validation"]["value"],
        "activations": json.loads((runs / name / "config.json").read_text())["environment"].get("activations"),
        "wall": found["wall"],
    }


def repeated(bench, store, name):
    """Whether two trainings with --deterministic give the same bits, and what that costs."""
    runs = [f"{name}-again-{i}" for i in range(2)]
    found = [training(bench, store, 3, run, "--deterministic") for run in runs]
    steps, weights = (
        [read(bench.work / "runs" / run) for run in runs]
        for read in (lambda run: events(run, "step"), lambda run: (run / "adapter.safetensors").read_bytes())
    )
    return {**found[-1], "right": steps[0] == steps[1] and weights[0] == weights[1]}


def against_the_cpu(bench, store, name):
    """Losses and norms of the first steps on the GPU and on the CPU, with the same dropout; the largest relative difference."""
    devices = {"gpu": bench.options.device, "cpu": "cpu"}
    steps = {}
    for what, device in devices.items():
        run = f"{name}-{what}"
        options = ["--epochs", 1, "--limit-train", 320, "--out", bench.work / "runs", "--name", run, "--overwrite"]
        bench.program("trainer", "--cache", store, *options, "--device", device)
        steps[what] = events(bench.work / "runs" / run, "step")
    numbers = lambda what: [step[key] for step in steps[what] for key in ["loss", "gradient_norm"]]
    worst = max(abs(ours - theirs) / max(abs(theirs), 1e-6) for ours, theirs in zip(numbers("gpu"), numbers("cpu")))
    return {"steps": len(steps["cpu"]), "largest_relative_difference": worst, "right": worst <= LOSS_DISTANCE}


def prediction(bench, model, data, name):
    """Words a second of encoder and head in one graph, and the share of labels that are those of the trainer."""
    text, run = data / "validation.conll", bench.work / "runs" / name
    begin = time.perf_counter()
    printed = bench.run("extractor", "predict", "--run", run, "--model", model, "--input", text)
    seconds = time.perf_counter() - begin
    labels = lambda lines: [line.split()[-1] for line in lines.splitlines() if line.strip()]
    ours, theirs = labels(printed), labels((run / "predictions.validation.conll").read_text())
    if len(ours) != len(theirs):
        raise RuntimeError(f"{len(ours)} words got labels, expected {len(theirs)}")
    same = sum(a == b for a, b in zip(ours, theirs)) / len(ours)
    return {"words": len(ours), "wall": seconds, "same_labels": same, "right": same >= SAME_LABELS}


def sweep(bench, store, name, epochs, seeds, *options):
    """Ours: heads that differ in their seeds, computed as one; an epoch of all, and the scores of each."""
    config = bench.work / f"{name}.toml"
    config.write_text(f"[defaults]\nepochs = {epochs}\norder-seed = 0\n[grid]\nseed = {list(range(seeds))}\n")
    runs = bench.work / "runs"
    found = bench.program("trainer", "sweep", "--cache", store, "--config", config, "--out", runs, "--overwrite", *options)
    folders = [Path(run["folder"]) for group in found["groups"] for run in group["runs"]]
    epoch = [event["seconds"] for folder in folders for event in events(folder, "epoch")[1:]]
    scores = [events(folder, "final") for folder in folders]
    f1 = [last["scores"]["value"] for run in scores for last in run if last["split"] == "validation"]
    # Each head tells of its share of the time.
    return {"epoch_s_of_all": median(epoch) * len(folders), "validation": f1, "wall": found["wall"]}


def f1(bench, store, name, epochs=8, seeds=3):
    """F1 on the validation split in per cent, means over seeds: ours and PyTorch's from the same activations."""
    ours = sweep(bench, store, name, epochs, seeds)["validation"]
    options = ["--store", store, "--task", "ner", "--epochs", epochs]
    theirs = [bench.script("train_store.py", *options, "--seed", seed)["validation"] for seed in range(seeds)]
    mean = lambda scores: 100 * sum(scores) / len(scores)
    return {"ours": ours, "theirs": theirs, "difference": mean(ours) - mean(theirs)}


def f1_distance(bench):
    """Of our mean F1 from theirs, in points; None if not measured."""
    difference = bench.get(f"{bench.options.sizes[0]}: F1", "difference")
    return None if difference is None else abs(difference)


def checks(bench):
    """What must be true, by step: a step that looks at something says whether it is right, and no node may be on the CPU."""
    rows = []
    for name, step in bench.results["steps"].items():
        nodes = step.get("nodes_on_cpu", step.get("setup", {}).get("nodes_on_cpu"))
        found = [] if step.get("right", True) else ["wrong"]
        found += [f"on the CPU: {', '.join(nodes)}"] if nodes else []
        found += [step["error"].strip().splitlines()[-1]] if "error" in step else []
        if found or "right" in step:
            rows.append((name, "; ".join(found) or "right"))
    return rows


def table(bench):
    """What is to be reached and what was, and what was checked."""
    size = bench.options.sizes[-1]
    rate = lambda step: bench.get(step, "tokens_per_second")
    ratio = lambda a, b: a / b if a and b else None
    every, ours_wall = rate(f"{size}: encoder in every step, float16"), None
    extract, train = bench.results["steps"].get(f"{size}: extraction f16", {}), bench.results["steps"].get(f"{size}: training", {})
    if extract.get("wall") and train.get("wall"):
        ours_wall = extract["wall"] + train["wall"]
    tokens = extract.get("tokens_encoded")
    rows = [
        (f"extraction, {size}, float16, against transformers length-sorted", 1.0, 1.3,
         ratio(rate(f"{size}: extraction f16"), rate(f"{size}: transformers, length-sorted, float16"))),
        ("extraction, real tokens/s", 200_000, 400_000, rate(f"{size}: extraction f16")),
        ("training epoch, s (less is better)", 1.5, 0.5, train.get("epoch_s")),
        ("training epoch against the best cached PyTorch loop", 2, 5,
         ratio(rate(f"{size}: training"), rate(f"{size}: cached PyTorch, bucketed"))),
        ("20 epochs with extraction against the encoder in every step, float16", 10, 30,
         ratio(20 * tokens / every, ours_wall) if every and tokens and ours_wall else None),
        ("whole job, 20 epochs, s (less is better)", 90, 30, ours_wall),
        ("distance of F1 from PyTorch's on the same activations, points (less is better)", 0.3, 0.3, f1_distance(bench)),
        ("eight heads as one against eight times one", 1.0, 4.0, ratio(8 * (train.get("epoch_s") or 0), bench.get(f"{size}: eight heads as one", "epoch_s_of_all"))),
    ]
    show = lambda value: "not measured" if value is None else f"{value:,.2f}"
    lines = ["| measure | at least | aim | measured |", "|---|---|---|---|"]
    lines += [f"| {what} | {least} | {aim} | {show(value)} |" for what, least, aim, value in rows]
    lines += ["", "| check | |", "|---|---|", *(f"| {name} | {found} |" for name, found in checks(bench))]
    lines += ["", "```", json.dumps(bench.results, indent=1), "```", ""]
    (bench.out / "gpu.md").write_text("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="room for models and stores: about 50 GB [OUT/work]")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["bert-base", "bert-large"])
    parser.add_argument("--tokens", type=int, default=280_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--limit", type=float, default=540, help="seconds after which no step is begun")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    bench = Bench(options)
    device, cuda = options.device, options.device != "cpu"
    bench.step("doctor", lambda: doctors(bench))
    bench.step("ceilings", lambda: ceilings(device))
    data, some, few = (bench.work / name for name in ["data", "some", "few"])
    sentences(data, options.tokens, 1)
    sentences(some, min(options.tokens, 40_000), 3)
    sentences(few, min(options.tokens, 4_000), 2)
    pieces = tokenizer()
    for size in options.sizes:
        model = bench.work / size
        checkpoint(model, size, pieces)
        for kind in ["f32", *(HALVES if cuda else [])]:
            bench.step(f"{size}: distance {kind}", lambda: distances(bench, size, kind, model, few))
        dtype = "f16" if cuda else "f32"
        main_step = f"{size}: extraction {dtype}"
        bench.step(main_step, lambda: extraction(bench, size, dtype, model, data))
        bench.step(f"{size}: ways to one store", lambda: ways(bench, dtype, model, some))
        for kind in ["bf16", "f32"] if cuda else []:
            bench.step(f"{size}: extraction {kind}", lambda: extraction_alone(bench, f"{size}-{kind}", kind, model, data))
        if bench.gpus > 1:
            bench.step(
                f"{size}: extraction {dtype}, all GPUs",
                lambda: extraction_alone(bench, f"{size}-all", dtype, model, data, "--device", "cuda:all"),
            )
        store = bench.get(main_step, "store")
        if store:
            bench.step(f"{size}: training", lambda: training(bench, store, options.epochs, size))
            bench.step(f"{size}: training, streamed", lambda: training(bench, store, 3, f"{size}-streamed", "--io", "mmap"))
            bench.step(f"{size}: training, deterministic", lambda: repeated(bench, store, size))
            bench.step(f"{size}: eight heads as one", lambda: sweep(bench, store, f"{size}-eight", 3, 8))
            if bench.gpus > 1:
                on_all = ["--device", "cuda:all"]
                bench.step(f"{size}: eight heads, all GPUs", lambda: sweep(bench, store, f"{size}-all", 3, 8, *on_all))
            bench.step(f"{size}: prediction", lambda: prediction(bench, model, data, size))
            if cuda:
                bench.step(f"{size}: first steps against the CPU", lambda: against_the_cpu(bench, store, f"{size}-first"))
            if size == options.sizes[0]:
                bench.step(f"{size}: F1", lambda: f1(bench, store, f"{size}-f1"))
        memory_map = bench.work / "activations.f16"
        for precision in ["float16", "float32"] if cuda else ["float32"]:
            bench.step(
                f"{size}: transformers, length-sorted, {precision}",
                lambda: pytorch(bench, "extract.py", model, data, "--out", memory_map, "--dtype", precision, "--batch-size", 64),
            )
        for order in ["bucketed", "random"]:
            bench.step(
                f"{size}: cached PyTorch, {order}",
                lambda: pytorch(bench, "train_cached.py", model, data, "--store", memory_map, "--order", order, "--epochs", 3),
            )
        for precision in ["float16"] if cuda else ["float32"]:
            bench.step(
                f"{size}: encoder in every step, {precision}",
                lambda: pytorch(bench, "encoder_in_every_step.py", model, data, "--steps", 60, "--dtype", precision),
            )
        memory_map.unlink(missing_ok=True)
    table(bench)
    print((options.out / "gpu.md").read_text().split("```")[0])
    sys.exit(any(found != "right" for _, found in checks(bench)))


if __name__ == "__main__":
    main()
