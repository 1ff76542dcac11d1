"""A checkpoint of a given size with random weights and the tokenizer of another: speed does not depend on the numbers."""

import argparse
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

SIZES = {
    "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "bert-large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--size", choices=SIZES, required=True)
parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a BERT encoder")
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

torch.manual_seed(1)
model = BertModel(BertConfig(vocab_size=30522, **SIZES[options.size]), add_pooling_layer=False)
model.save_pretrained(options.out)
for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"]:
    if (options.tokenizer / name).exists():
        shutil.copy(options.tokenizer / name, options.out / name)
