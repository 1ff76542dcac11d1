"""A checkpoint of a given size with random weights and the tokenizer of another: speed does not depend on the numbers."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model, ModernBertConfig, ModernBertModel, Qwen3Config, Qwen3Model

VOCABULARY = 30522
SIZES = {
    "bert-base": BertConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "bert-large": BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
    # Layers, sizes, windows and buckets of answerdotai/ModernBERT-base, microsoft/deberta-v3-base and Qwen/Qwen3-0.6B.
    "modernbert-base": ModernBertConfig(
        hidden_size=768, num_hidden_layers=22, num_attention_heads=12, intermediate_size=1152, local_attention=128,
        global_attn_every_n_layers=3, max_position_embeddings=8192, pad_token_id=0, bos_token_id=101, eos_token_id=102,
        cls_token_id=101, sep_token_id=102,
    ),
    "deberta-v3-base": DebertaV2Config(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, relative_attention=True,
        position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0,
        position_biased_input=False, max_relative_positions=-1,
    ),
    "qwen3-0.6b": Qwen3Config(
        hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
        intermediate_size=3072, pad_token_id=0, bos_token_id=101, eos_token_id=102,
    ),
}
MODELS = {BertConfig: BertModel, ModernBertConfig: ModernBertModel, DebertaV2Config: DebertaV2Model, Qwen3Config: Qwen3Model}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--size", choices=SIZES, required=True)
parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a BERT encoder")
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

torch.manual_seed(1)
config = SIZES[options.size]
config.vocab_size = VOCABULARY
MODELS[type(config)](config).save_pretrained(options.out)
for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"]:
    if (options.tokenizer / name).exists():
        shutil.copy(options.tokenizer / name, options.out / name)
# The tokenizer as its file says, whatever class the family's own checkpoints have.
settings = options.out / "tokenizer_config.json"
if type(config) is not BertConfig:
    settings.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}))
