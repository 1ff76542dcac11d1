"""Training on cached activations as a careful script does it, from the memory map that `extract.py` wrote.

`--order random` takes batches from the whole set, as training should. `--order bucketed` is the fastest plain
loop: sentences of similar length share a batch, and only the order of the batches is random.
"""

import numpy as np
import torch
from transformers import AutoConfig

from common import Clock, Encoded, Trainer, arguments, report, start

parser = arguments(__doc__)
parser.add_argument("--store", required=True, help="the memory map to read")
parser.add_argument("--order", choices=["random", "bucketed"], default="random")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--steps", type=int, default=0, help="stop an epoch after so many steps (0: whole epochs)")
options = parser.parse_args()
start(options)

data = Encoded(options.model, options.train)
config = AutoConfig.from_pretrained(options.model)
layers = config.num_hidden_layers + 1
shape = (int(data.offsets[-1]), layers, config.hidden_size)
store = torch.from_file(options.store, False, int(np.prod(shape)), dtype=torch.float16).view(shape)
random = np.random.default_rng(options.seed)
if options.device != "cpu":
    store = store.to(options.device)


def order():
    """The batches of one epoch."""
    if options.order == "random":
        batches = data.batches(random.permutation(len(data.ids)), options.batch_size)
    else:
        batches = data.batches(np.argsort(-data.lengths, kind="stable"), options.batch_size)
        batches = [batches[i] for i in random.permutation(len(batches))]
    return batches[: options.steps or None]


def gather(chosen, width):
    """Activations of some sentences, [B, T, M, D] float16, padded with zeros."""
    hidden = torch.zeros(len(chosen), width, layers, config.hidden_size, dtype=torch.float16, device=options.device)
    for row, sentence in enumerate(chosen):
        begin, end = data.offsets[sentence], data.offsets[sentence + 1]
        hidden[row, : end - begin] = store[begin:end]
    return hidden


trainer = Trainer(config.hidden_size, len(data.classes), len(order()) * options.epochs, options.device)
seconds, tokens, padded, losses = [], 0, 0, []
for _ in range(options.epochs):
    clock, total = Clock(options.device), torch.zeros((), device=options.device)
    batches = order()
    for chosen in batches:
        ids, mask, labels = data.padded(chosen)
        hidden = gather(chosen, ids.shape[1]).float()
        total += trainer.step(hidden, mask.to(options.device), labels.to(options.device))
        tokens += int(data.lengths[chosen].sum())
        padded += ids.numel()
    losses.append(float(total) / len(batches))
    seconds.append(clock.seconds())
report(seconds=sum(seconds), epoch_seconds=seconds, tokens=tokens, padded_tokens=padded, losses=losses)
