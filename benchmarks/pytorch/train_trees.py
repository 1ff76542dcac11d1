"""The biaffine parser of docs/training.md, behind a scalar mix, trained with PyTorch on the trees of a store.

An independent check of `trainer --task dep --head scalar-mix`: the store is read with zarr-python, sentences are padded, autograd
does the rest, trees are made by a plain Chu-Liu/Edmonds for each possible root, and LAS is counted as the CoNLL 2018 evaluation
counts. Prints LAS and UAS of the last epoch on validation and test as JSON. For stores without windows and untokenized words.
"""

import argparse
import json

import numpy as np
import torch
import zarr
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--store", required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)
group = zarr.open(options.store, mode="r")
BATCH, IGNORE = 32, -100


class Split:
    """The first sub-words of a split's words with their gold arcs."""

    def __init__(self, name):
        part = group[name]
        labels = part["labels/dep"]
        self.classes = labels.attrs["activation_cache"]["classes"]
        first = np.flatnonzero(labels[:] >= 0)
        self.hidden = torch.from_numpy(part["hidden_states"][:][first])
        self.heads = torch.from_numpy(part["heads/dep"][:].astype(np.int64)) + 1
        self.relations = torch.from_numpy(part["word_labels/dep"][:].astype(np.int64))
        self.bounds = part["sentence_words"][:].astype(int)
        assert len(first) == len(self.heads), "words without a token"

    def __len__(self):
        return len(self.bounds) - 1

    def batch(self, chosen):
        """Padded layers [B, T, M, D], heads [B, T] (0 for the root) and relations [B, T]."""
        rows = [slice(self.bounds[i], self.bounds[i + 1]) for i in chosen]
        padded = lambda values, fill: nn.utils.rnn.pad_sequence([values[row] for row in rows], True, fill)
        return padded(self.hidden, 0.0).float(), padded(self.heads, IGNORE), padded(self.relations, IGNORE)


class Parser(nn.Module):
    def __init__(self, layers, hidden, classes):
        super().__init__()
        self.arc, self.classes = max(16, min(256, hidden // 3)), classes
        self.relation = max(8, min(64, self.arc // 4))
        self.weights, self.scale = nn.Parameter(torch.zeros(layers)), nn.Parameter(torch.ones(1))
        self.drop, self.drop_words = nn.Dropout(0.1), nn.Dropout(0.33)
        self.words = nn.Linear(hidden, 2 * (self.arc + self.relation))
        self.root = nn.Parameter(torch.empty(hidden).uniform_(-(hidden**-0.5), hidden**-0.5))
        self.arcs = nn.Linear(self.arc, self.arc)
        self.relations = nn.Linear(self.relation, classes * (self.relation + 1))

    def forward(self, hidden):
        """Arc scores [B, T, T + 1]; dependents [B, T, C, R + 1] and heads [B, T + 1, R] of relations."""
        mixed = self.drop(self.scale * torch.einsum("m,btmd->btd", self.weights.softmax(0), hidden))
        words = self.drop_words(torch.relu(self.words(mixed)))
        root = torch.relu(self.words(self.root)).expand(len(words), 1, -1)
        parts = [self.arc, self.arc, self.relation, self.relation]
        arc_dependents, arc_heads, dependents, heads = torch.cat([root, words], 1).split(parts, -1)
        arcs = self.arcs(arc_dependents[:, 1:]) @ arc_heads.transpose(1, 2)
        of_classes = self.relations(dependents[:, 1:]).unflatten(-1, (self.classes, self.relation + 1))
        return arcs, of_classes, heads

    def relation_scores(self, of_classes, heads, chosen):
        """[B, T, C] at the chosen heads [B, T]."""
        at = heads.gather(1, chosen[..., None].expand(-1, -1, heads.shape[2]))
        return (of_classes[..., :-1] @ at[..., None])[..., 0] + of_classes[..., -1]


def arborescence(scores):
    """Heads of the best tree on node 0, scores [dependent, head]; node 0 has none."""
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    scores[0] = -np.inf
    heads = scores.argmax(1)
    heads[0] = 0
    for start in range(1, len(heads)):
        seen, node = [], start
        while node and node not in seen:
            seen.append(node)
            node = heads[node]
        if node:
            cycle = seen[seen.index(node) :]
            break
    else:
        return heads
    rest = [node for node in range(len(heads)) if node not in cycle]
    lost = scores[cycle, heads[cycle]]
    smaller = np.full((len(rest) + 1, len(rest) + 1), -np.inf)
    smaller[:-1, :-1] = scores[np.ix_(rest, rest)]
    into = scores[np.ix_(cycle, rest)] - lost[:, None]
    out = scores[np.ix_(rest, cycle)]
    smaller[-1, :-1], smaller[:-1, -1] = into.max(0), out.max(1)
    found = arborescence(smaller)
    for place, node in enumerate(rest[1:], 1):
        head = found[place]
        heads[node] = rest[head] if head < len(rest) else cycle[out[place].argmax()]
    entered = into[:, found[-1]].argmax()
    heads[cycle[entered]] = rest[found[-1]]
    return heads


def tree(scores):
    """Heads (0 for the root) of the best tree with one root, scores [words, words + 1]."""
    square = np.vstack([np.full(scores.shape[1], -np.inf), scores])
    heads = arborescence(square)
    if (heads[1:] == 0).sum() == 1:
        return heads[1:]
    best = None
    for root in range(1, len(square)):
        only = square.copy()
        only[[word for word in range(1, len(square)) if word != root], 0] = -1e9
        heads = arborescence(only)
        total = only[np.arange(1, len(square)), heads[1:]].sum()
        if best is None or total > best[0]:
            best = total, heads[1:]
    return best[1]


@torch.no_grad()
def score(head, split):
    head.eval()
    kind = [name.split(":")[0] for name in split.classes]
    right_heads = right = words = 0
    for begin in range(0, len(split), BATCH):
        chosen = range(begin, min(begin + BATCH, len(split)))
        hidden, gold, relations = split.batch(chosen)
        arcs, of_classes, heads = head(hidden)
        predicted = torch.zeros_like(gold)
        for row, i in enumerate(chosen):
            length = split.bounds[i + 1] - split.bounds[i]
            predicted[row, :length] = torch.from_numpy(tree(arcs[row, :length, : length + 1].double().numpy()))
        found = head.relation_scores(of_classes, heads, predicted).argmax(-1)
        for place in (gold != IGNORE).nonzero().tolist():
            row, word = place
            same = bool(gold[row, word] == predicted[row, word])
            words += 1
            right_heads += same
            right += same and kind[found[row, word]] == kind[relations[row, word]]
    return {"las": right / words, "uas": right_heads / words}


train, validation, test = Split("train"), Split("validation"), Split("test")
head = Parser(*train.hidden.shape[1:], len(train.classes))
adam = torch.optim.Adam(head.parameters(), lr=1e-3)
steps = options.epochs * -(-len(train) // BATCH)
cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-3, total_steps=steps)
random = np.random.default_rng(options.seed)
for epoch in range(options.epochs):
    head.train()
    order = random.permutation(len(train))
    for begin in range(0, len(order), BATCH):
        hidden, gold, relations = train.batch(order[begin : begin + BATCH])
        arcs, of_classes, heads = head(hidden)
        lengths = (gold != IGNORE).sum(1)
        columns = torch.arange(arcs.shape[2])[None, None]
        arcs = arcs.masked_fill(columns > lengths[:, None, None], -1e30)
        at_gold = head.relation_scores(of_classes, heads, gold.clamp(min=0))
        entropy = nn.functional.cross_entropy
        loss = entropy(arcs.flatten(0, 1), gold.flatten(), ignore_index=IGNORE)
        loss = loss + entropy(at_gold.flatten(0, 1), relations.flatten(), ignore_index=IGNORE)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        adam.step()
        cycle.step()
print(json.dumps({"validation": score(head, validation), "test": score(head, test)}))
