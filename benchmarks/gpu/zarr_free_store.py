"""Reads an uncompressed store with numpy alone, from docs/format.md: what a GPU node without zarr-python has.

`open(store)[split][array][:]` and `.attrs` are those of zarr-python, for scripts that use no more of it.
"""

import json
import math
from pathlib import Path

import numpy as np

DTYPES = {"float16": np.float16, "float32": np.float32}


class Split:
    """One split of a store: ids and hidden states of its sequences."""

    def __init__(self, store, name):
        manifest = json.loads((store / "zarr.json").read_text())["attributes"]["activation_cache"]
        assert manifest["codec"] == "none", "compressed stores need zarr-python"
        self.folder, sizes = store / name, manifest["splits"][name]
        self.dtype = np.dtype(DTYPES[manifest["store_dtype"]])
        self.layers, self.hidden = len(manifest["layers"]), manifest["hidden"]
        tokens, self.row_bytes = sizes["tokens"], self.layers * self.hidden * self.dtype.itemsize
        # Section 5.1 of the format.
        chunks = max(1, math.ceil(tokens / manifest["chunk_tokens"]))
        self.chunk = max(1, math.ceil(tokens / chunks))
        chunks = max(1, math.ceil(tokens / self.chunk))
        self.file_chunks = min(max(1, manifest["file_tokens"] // manifest["chunk_tokens"]), chunks)
        column = lambda array, dtype, length: np.fromfile(self.folder / array / "c.0", dtype, length)
        self.offsets = column("offsets", np.uint64, sizes["sequences"] + 1).astype(np.int64)
        self.input_ids = column("input_ids", np.uint32, tokens)
        self.files = {}

    def __len__(self):
        return len(self.offsets) - 1

    def ids(self, sequence):
        return self.input_ids[self.offsets[sequence] : self.offsets[sequence + 1]]

    def row(self, token):
        """One token's hidden states, [layers, hidden]."""
        file, within = divmod(token, self.chunk * self.file_chunks)
        if file not in self.files:
            self.files[file] = np.memmap(self.folder / f"hidden_states/c.{file}.0.0", np.uint8, "r")
        inner, place = divmod(within, self.chunk)
        begin = inner * (self.chunk * self.row_bytes + 4) + place * self.row_bytes
        row = self.files[file][begin : begin + self.row_bytes].view(self.dtype)
        return row.reshape(self.layers, self.hidden)

    def hidden_states(self, sequence):
        """[tokens, layers, hidden] of one sequence, float32."""
        rows = [self.row(token) for token in range(self.offsets[sequence], self.offsets[sequence + 1])]
        return np.stack(rows).astype(np.float32)

    def whole(self):
        """All hidden states, [tokens, layers, hidden], chunk by chunk."""
        states = np.empty((len(self.input_ids), self.layers, self.hidden), self.dtype)
        for first in range(0, len(states), self.chunk):
            file, inner = divmod(first // self.chunk, self.file_chunks)
            rows = states[first : first + self.chunk]
            place = inner * (self.chunk * self.row_bytes + 4)
            stored = np.fromfile(self.folder / f"hidden_states/c.{file}.0.0", self.dtype, rows.size, offset=place)
            rows[:] = stored.reshape(rows.shape)
        return states


class Array:
    """An array of one chunk, or the hidden states of a split."""

    def __init__(self, store, path):
        self.store, self.path = store, path
        self.facts = json.loads((store / path / "zarr.json").read_text())
        self.attrs = self.facts.get("attributes", {})

    def __getitem__(self, _):
        if self.path.endswith("/hidden_states"):
            return Split(self.store, self.path.split("/")[0]).whole()
        (length,) = self.facts["shape"]
        return np.fromfile(self.store / self.path / "c.0", self.facts["data_type"], length)


class Group:
    """A store, or one of its groups."""

    def __init__(self, store, path=""):
        self.store, self.path = store, path

    def __getitem__(self, name):
        path = f"{self.path}/{name}".lstrip("/")
        kind = json.loads((self.store / path / "zarr.json").read_text())["node_type"]
        return Array(self.store, path) if kind == "array" else Group(self.store, path)


def open(store, mode="r"):
    """The store at a path."""
    assert mode == "r"
    return Group(Path(store))
