"""The adapter of `common.py` trained with PyTorch on the activations of a store, and scored as the store says.

An independent check of the trainer's results: the store is read with zarr-python (by numpy alone on a GPU node without
it), batches are padded, autograd does the rest, spans are counted by seqeval. The best epoch on the validation split is
scored on the test split.
"""

import argparse
import copy
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

try:
    import zarr
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parent.parent / "gpu"))
    import zarr_free_store as zarr

from common import IGNORE, Adapter, Clock, report

warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr hierarchy.*")
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--store", required=True)
parser.add_argument("--task", required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)
group = zarr.open(options.store, mode="r")


class Split:
    """A split in memory; sentences were not cut into windows."""

    def __init__(self, name):
        part = group[name]
        read = lambda path: part[path][:]
        self.hidden = torch.from_numpy(read("hidden_states")).to(options.device)
        self.offsets, self.word_ids = read("offsets").astype(int), read("word_ids")
        assert np.array_equal(read("sentence_of"), np.arange(len(self.offsets) - 1)), "sentences in windows"
        labels = part[f"labels/{options.task}"]
        facts = labels.attrs["activation_cache"]
        self.classes, self.by_token = facts["classes"], facts["level"] == "token"
        self.labels = torch.from_numpy(labels[:].astype(np.int64))
        if self.by_token:
            self.gold, self.words = read(f"word_labels/{options.task}"), read("sentence_words").astype(int)

    def __len__(self):
        return len(self.offsets) - 1

    def batch(self, chosen):
        """Padded activations [B, T, M, D], mask [B, T], labels [B, T] or [B]."""
        rows = [slice(self.offsets[i], self.offsets[i + 1]) for i in chosen]
        lengths = torch.tensor([row.stop - row.start for row in rows])
        width = int(lengths.max())
        hidden = self.hidden.new_zeros(len(rows), width, *self.hidden.shape[1:])
        labels = torch.full((len(rows), width), IGNORE)
        for i, row in enumerate(rows):
            hidden[i, : lengths[i]] = self.hidden[row]
            if self.by_token:
                labels[i, : lengths[i]] = self.labels[row]
        mask = torch.arange(width)[None] < lengths[:, None]
        labels = labels if self.by_token else self.labels[chosen]
        return hidden.float(), mask.to(options.device), labels.to(options.device)


class SentenceAdapter(Adapter):
    """The mean of the tokens' features is classified."""

    def forward(self, hidden, mask):
        classify, self.classifier = self.classifier, nn.Identity()
        features = super().forward(hidden, mask)
        self.classifier = classify
        real = mask[..., None].to(features.dtype)
        return classify((features * real).sum(1) / real.sum(1))


@torch.no_grad()
def predict(head, split):
    """The class of each token, or of each sentence."""
    head.eval()
    predicted = []
    for begin in range(0, len(split), options.batch_size):
        chosen = np.arange(begin, min(begin + options.batch_size, len(split)))
        hidden, mask, _ = split.batch(chosen)
        best = head(hidden, mask).argmax(-1)
        predicted.append(best[mask] if split.by_token else best)
    return torch.cat(predicted).cpu().numpy()


def score(head, split):
    """Span F1 of named entities, else accuracy; words without a sub-word are predicted as O."""
    predicted = predict(head, split)
    if not split.by_token:
        return float((predicted == split.labels.numpy()).mean())
    outside = split.classes.index("O") if "O" in split.classes else -1
    words = np.full(len(split.gold), outside)
    for i in range(len(split)):
        rows = np.arange(split.offsets[i], split.offsets[i + 1])
        first = rows[split.labels.numpy()[rows] != IGNORE]
        words[split.words[i] + split.word_ids[first]] = predicted[first]
    if options.task not in ("ner", "chunk"):
        return float((words == split.gold).mean())
    name = lambda ids: ["O" if i < 0 else split.classes[i] for i in ids]
    sentences = lambda ids: [name(ids[a:b]) for a, b in zip(split.words, split.words[1:])]
    return span_f1(sentences(split.gold), sentences(words))


def span_f1(gold, predicted):
    """Micro F1 of spans, by seqeval; where that is not installed, spans are counted here as it counts them."""
    try:
        from seqeval.metrics import f1_score
    except ImportError:
        gold, predicted = spans(gold), spans(predicted)
        return 2 * len(gold & predicted) / max(1, len(gold) + len(predicted))
    return float(f1_score(gold, predicted, zero_division=0))


def spans(sentences):
    """(sentence, first word, word after the last, kind) of each span; I- after another kind begins one."""
    found = set()
    for number, tags in enumerate(sentences):
        begin, kind = 0, None
        for place, tag in enumerate([*tags, "O"]):
            prefix, _, own = tag.partition("-")
            if kind is not None and (prefix != "I" or own != kind):
                found.add((number, begin, place, kind))
                kind = None
            if prefix != "O" and kind is None:
                begin, kind = place, own
    return found


train, validation, test = Split("train"), Split("validation"), Split("test")
kind = Adapter if train.by_token else SentenceAdapter
head = kind(train.hidden.shape[2], len(train.classes)).to(options.device)
for block in (head.layer_q, head.layer_k, head.self_q, head.self_k):
    # As in the library's attention module: one matrix of three blocks, Xavier over the whole.
    bound = (6 / (4 * block.in_features)) ** 0.5
    nn.init.uniform_(block.weight, -bound, bound)
    nn.init.zeros_(block.bias)
nn.init.xavier_uniform_(head.reduce.weight)
adam = torch.optim.Adam(head.parameters(), lr=1e-3)
steps = options.epochs * -(-len(train) // options.batch_size)
cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-3, total_steps=steps)
random = np.random.default_rng(options.seed)
clock, scores, best = Clock(options.device), [], None
for epoch in range(1, options.epochs + 1):
    head.train()
    order = random.permutation(len(train))
    for begin in range(0, len(order), options.batch_size):
        hidden, mask, labels = train.batch(order[begin : begin + options.batch_size])
        logits = head(hidden, mask)
        loss = nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORE)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        adam.step()
        cycle.step()
    scores.append(score(head, validation))
    if best is None or scores[-1] > scores[best - 1]:
        best, weights = epoch, copy.deepcopy(head.state_dict())
head.load_state_dict(weights)
report(
    seed=options.seed, best_epoch=best, validation=scores[best - 1], test=score(head, test), seconds=clock.seconds()
)
