"""Plots of what `cargo xtask bench` measured: rates of all cases, and time and memory over the data."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OURS, THEIRS = "#1b6e53", "#9aa5b1"


def read(path):
    """Medians over the rounds: case -> number -> value."""
    cases = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines()[1:]:
        one = json.loads(line)
        for key in ["tokens", "seconds", "peak_anonymous"]:
            cases[one["case"]][key].append(one[key])
    return {case: {key: median(values) for key, values in numbers.items()} for case, numbers in cases.items()}


def rates(cases, out):
    names = [name for name in cases if "/extract/" in name or "/train/" in name]
    if not names:
        return
    figure, axis = plt.subplots(figsize=(8, 0.32 * len(names) + 1.2))
    values = [cases[name]["tokens"] / cases[name]["seconds"] for name in names]
    colours = [OURS if name.endswith("ours") else THEIRS for name in names]
    bars = axis.barh(names, values, color=colours)
    axis.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axis.set_xscale("log")
    axis.set_xlabel("real tokens a second (log scale)")
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    figure.savefig(out / "rates.png", dpi=130, bbox_inches="tight")


def scaling(cases, out):
    if not any(name.startswith("scale/") for name in cases):
        return
    figure, (time, memory) = plt.subplots(1, 2, figsize=(8, 3))
    for what, colour in [("extract", OURS), ("train", "#c46a1b")]:
        rows = sorted((name, one) for name, one in cases.items() if name.startswith("scale/") and name.endswith(what))
        if not rows:
            continue
        factors = [int(name.split("/")[1][:-1]) for name, _ in rows]
        first = rows[0][1]["seconds"]
        time.plot(factors, [one["seconds"] / first for _, one in rows], "o-", color=colour, label=what)
        memory.plot(factors, [one["peak_anonymous"] / 1e6 for _, one in rows], "o-", color=colour, label=what)
    time.plot([1, 16], [1, 16], ":", color="grey", label="in proportion")
    time.set(xlabel="times the data", ylabel="times the seconds", xscale="log", yscale="log")
    memory.set(xlabel="times the data", ylabel="peak anonymous memory, MB", xscale="log", ylim=(0, None))
    time.legend(fontsize=8)
    for axis in (time, memory):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "scaling.png", dpi=130, bbox_inches="tight")


folder = Path(sys.argv[1])
measured = read(folder / "measurements.jsonl")
rates(measured, folder)
scaling(measured, folder)
