"""The loop of the paper's code: the frozen encoder runs again for every batch of every epoch."""

import numpy as np
import torch
from transformers import AutoModel

from common import Clock, Encoded, Trainer, arguments, report, start

parser = arguments(__doc__)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--steps", type=int, default=40, help="steps that are timed, after two to warm up")
options = parser.parse_args()
start(options)

data = Encoded(options.model, options.train)
encoder = AutoModel.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
encoder = encoder.to(options.device).eval()
order = np.random.default_rng(options.seed).permutation(len(data.ids))
batches = data.batches(order, options.batch_size)[: options.steps + 2]
trainer = Trainer(encoder.config.hidden_size, len(data.classes), len(batches), options.device)

tokens = padded = 0
for number, chosen in enumerate(batches):
    if number == 2:
        clock, tokens, padded = Clock(options.device), 0, 0
    ids, mask, labels = (part.to(options.device) for part in data.padded(chosen))
    # Not inference mode: its tensors cannot be kept for the head's backward pass.
    with torch.no_grad():
        layers = encoder(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        hidden = torch.stack(layers, 2).float()
    trainer.step(hidden, mask, labels)
    tokens += int(data.lengths[chosen].sum())
    padded += ids.numel()
report(seconds=clock.seconds(), tokens=tokens, padded_tokens=padded, set_tokens=int(data.offsets[-1]))
