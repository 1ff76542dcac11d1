"""Compares the hidden states in a store with what transformers computes for the same tokens.

    extractor --model DIR --dataset DATA --store-dtype f32 --out ROOT
    python compare.py ROOT/NAME.zarr --model DIR [--sequences 200]

Sequences are drawn evenly from all splits. transformers encodes each alone, in float32 with eager
attention; in the store they were encoded in padded batches. Prints the largest absolute difference of
each layer and fails above the tolerance. Needs torch, transformers, zarr and numpy.
"""

import argparse
import sys

import numpy as np
import torch
import zarr
from transformers import AutoModel


def sequences(store, count):
    """Token ids [tokens] and hidden states [tokens, layers, hidden] of about `count` sequences."""
    splits = [store[name] for name in ("train", "validation", "test") if name in store]
    total = sum(split["offsets"].shape[0] - 1 for split in splits)
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
    for split in splits:
        offsets = split["offsets"][:]
        here = chosen[(chosen >= 0) & (chosen < len(offsets) - 1)]
        chosen = chosen - (len(offsets) - 1)
        for sequence in here:
            tokens = slice(int(offsets[sequence]), int(offsets[sequence + 1]))
            yield split["input_ids"][tokens].astype(np.int64), split["hidden_states"][tokens].astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--model", required=True)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--tolerance", type=float, default=2e-4)
    arguments = parser.parse_args()

    store = zarr.open_group(arguments.store, mode="r")
    layers = store.attrs["activation_cache"]["layers"]
    model = AutoModel.from_pretrained(arguments.model, attn_implementation="eager", dtype=torch.float32).eval()
    largest, count, tokens = np.zeros(len(layers)), 0, 0
    for ids, stored in sequences(store, arguments.sequences):
        with torch.inference_mode():
            states = model(torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states
        theirs = np.stack([states[layer][0].numpy() for layer in layers], axis=1)
        largest = np.maximum(largest, np.abs(stored - theirs).max(axis=(0, 2)))
        count, tokens = count + 1, tokens + len(ids)
    print(f"{count} sequences, {tokens} tokens")
    for layer, difference in zip(layers, largest):
        print(f"layer {layer}: {difference:.2e}")
    if not count or not largest.max() < arguments.tolerance:
        sys.exit(f"the largest difference is {largest.max():.2e}, above {arguments.tolerance:.0e}")


if __name__ == "__main__":
    main()
