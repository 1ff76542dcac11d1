"""What the PyTorch side of the comparison shares: data, the head, timing.

Written as a careful PyTorch user would write it: tensors are made once, nothing is computed twice, threads are
pinned, no gradient is kept for the frozen encoder, attention is the library's own fused one.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoTokenizer

IGNORE = -100


def arguments(description):
    """The options that every script takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--train", type=Path, required=True, help="column file: word, tab, tag")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--max-length", type=int, default=512, help="most tokens of a sentence")
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    return parser


def start(options):
    """Pins the threads and seeds the generators."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def read_columns(path):
    """Sentences of a column file as (words, tags)."""
    sentences, words, tags = [], [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.rstrip("\r").split("\t")
        if not line.strip():
            if words:
                sentences.append((words, tags))
            words, tags = [], []
        elif len(fields) == 2:
            words.append(fields[0])
            tags.append(fields[1])
    if words:
        sentences.append((words, tags))
    return sentences


class Encoded:
    """Token ids and first-sub-word labels of a data set, one array a sentence."""

    def __init__(self, model, path, max_length=512):
        tokenizer = AutoTokenizer.from_pretrained(model)
        self.pad = tokenizer.pad_token_id or 0
        sentences = read_columns(path)
        self.classes = sorted({tag for _, tags in sentences for tag in tags})
        index = {name: i for i, name in enumerate(self.classes)}
        batch = tokenizer(
            [words for words, _ in sentences],
            is_split_into_words=True,
            truncation=True,
            max_length=min(tokenizer.model_max_length, max_length),
        )
        self.ids, self.labels = [], []
        for i, (_, tags) in enumerate(sentences):
            previous, labels = None, []
            for word in batch.word_ids(i):
                first = word is not None and word != previous
                labels.append(index[tags[word]] if first else IGNORE)
                previous = word
            self.ids.append(torch.tensor(batch["input_ids"][i]))
            self.labels.append(torch.tensor(labels))
        self.lengths = np.array([len(ids) for ids in self.ids])
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])

    def batches(self, order, size):
        """Indices in pieces of `size`."""
        return [order[i : i + size] for i in range(0, len(order), size)]

    def padded(self, chosen):
        """Ids, mask and labels of some sentences, padded on the right."""
        pad = lambda rows, value: nn.utils.rnn.pad_sequence(rows, True, value)
        lengths = torch.tensor(self.lengths[chosen])
        ids = pad([self.ids[i] for i in chosen], self.pad)
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        return ids, mask, pad([self.labels[i] for i in chosen], IGNORE)


class Adapter(nn.Module):
    """Token-layer attention, tailor and classifier (Basirat 2024) on padded batches.

    Only the weights of the two attention blocks count, so they are written out: the library's attention
    module would compute values and outputs that nobody reads.
    """

    def __init__(self, hidden, classes, size=16, heads=2, dropout=0.1, between=256):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(hidden, size), nn.Linear(hidden, size)
        self.layer_q, self.layer_k = nn.Linear(size, size), nn.Linear(size, size)
        self.norm, self.feed = nn.LayerNorm(hidden, eps=1e-12), nn.Linear(hidden, hidden)
        self.reduce = nn.Linear(hidden, size)
        self.self_q, self.self_k = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Sequential(nn.Linear(hidden, between), nn.Linear(between, classes))

    def weights(self, q, k, mask=None):
        """Attention weights, mean over heads: [B, Q, A] x [B, K, A] -> [B, Q, K]."""
        split = lambda x: x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q, k = split(q), split(k)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], float("-inf"))
        return scores.softmax(-1).mean(1)

    def forward(self, hidden, mask):
        """hidden [B, T, M, D] float32, mask [B, T] -> logits [B, T, C]."""
        real = mask[..., None, None].to(hidden.dtype)
        keys = (hidden * real).sum(1) / mask.sum(1)[:, None, None]
        q = self.layer_q(self.query(hidden.mean(2)))
        a = self.weights(q, self.layer_k(self.key(keys)))
        r = torch.einsum("btm,btmd->btd", a, hidden)
        x = self.dropout(r + torch.relu(self.dropout(self.feed(self.norm(r)))))
        z = self.reduce(x)
        s = self.weights(self.self_q(z), self.self_k(z), mask)
        return self.classifier(r + s @ x)


class Trainer:
    """Adam, one-cycle and clipping around the head."""

    def __init__(self, hidden, classes, steps, device="cpu"):
        self.head = Adapter(hidden, classes).to(device)
        self.adam = torch.optim.Adam(self.head.parameters(), lr=1e-3)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(self.adam, 1e-3, total_steps=max(steps, 2))

    def step(self, hidden, mask, labels):
        """One update; hidden [B, T, M, D]. The loss stays on the device."""
        logits = self.head(hidden, mask)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.head.parameters(), 1.0)
        self.adam.step()
        self.cycle.step()
        return loss.detach()


class Clock:
    """Wall time of a stretch of work that may run on a device."""

    def __init__(self, device="cpu"):
        self.device = device
        self.synchronise()
        self.begin = time.perf_counter()

    def synchronise(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def seconds(self):
        self.synchronise()
        return time.perf_counter() - self.begin


def report(**figures):
    """One JSON object on standard output: what the driver reads."""
    figures["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures["torch"] = torch.__version__
    print(json.dumps(figures))
