"""Extraction as a careful script does it: batches of similar length, all layers to a float16 memory map."""

import numpy as np
import torch
from transformers import AutoModel

from common import Clock, Encoded, arguments, report, start

parser = arguments(__doc__)
parser.add_argument("--out", required=True, help="the memory map to write")
parser.add_argument("--order", choices=["sorted", "data"], default="sorted")
parser.add_argument("--batch-size", type=int, default=64)
options = parser.parse_args()
start(options)

data = Encoded(options.model, options.train, options.max_length)
encoder = AutoModel.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
encoder = encoder.to(options.device).eval()
order = np.argsort(-data.lengths, kind="stable") if options.order == "sorted" else np.arange(len(data.ids))
shape = (int(data.offsets[-1]), encoder.config.num_hidden_layers + 1, encoder.config.hidden_size)
store = np.memmap(options.out, np.float16, "w+", shape=shape)

clock, padded = Clock(options.device), 0
with torch.inference_mode():
    for chosen in data.batches(order, options.batch_size):
        ids, mask, _ = (part.to(options.device) for part in data.padded(chosen))
        layers = encoder(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        hidden = torch.stack(layers, 2).half().cpu().numpy()
        for row, sentence in enumerate(chosen):
            begin, end = data.offsets[sentence], data.offsets[sentence + 1]
            store[begin:end] = hidden[row, : end - begin]
        padded += ids.numel()
store.flush()
report(seconds=clock.seconds(), tokens=shape[0], padded_tokens=padded, layers=shape[1], hidden=shape[2])
