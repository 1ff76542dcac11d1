"""The head's own matrix products and nothing else, on packed tokens: what libtorch reaches here, to measure against.

Forward, backward and Adam of every product whose size grows with the tokens, on the words of the batch that carry a
label where only those matter; no attention over layers, no gather, no loss. Nothing that trains this head does less.
"""

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig

from common import IGNORE, Clock, Encoded, arguments, report, start

parser = arguments(__doc__)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--steps", type=int, default=40, help="steps that are timed, after two to warm up")
options = parser.parse_args()
start(options)

data = Encoded(options.model, options.train)
hidden = AutoConfig.from_pretrained(options.model).hidden_size
feed, query, reduce = nn.Linear(hidden, hidden), nn.Linear(hidden, 16), nn.Linear(hidden, 16)
classifier = nn.Sequential(nn.Linear(hidden, 256), nn.Linear(256, len(data.classes)))
parts = nn.ModuleList([feed, query, reduce, classifier])
adam = torch.optim.Adam(parts.parameters(), lr=1e-3)
order = np.random.default_rng(options.seed).permutation(len(data.ids))
batches = data.batches(order, options.batch_size)[: options.steps + 2]

tokens = 0
for number, chosen in enumerate(batches):
    if number == 2:
        clock, tokens = Clock(), 0
    count = int(data.lengths[chosen].sum())
    labelled = sum(int((data.labels[i] != IGNORE).sum()) for i in chosen)
    # The activations get a gradient, as those that the layer attention mixed do.
    rows = torch.randn(count, hidden, requires_grad=True)
    adam.zero_grad(set_to_none=True)
    x = feed(rows)
    (query(rows).sum() + reduce(x).sum() + classifier(x[:labelled]).sum()).backward()
    adam.step()
    tokens += count
report(seconds=clock.seconds(), tokens=tokens)
