"""Words of GGUF files for tokens: their kinds, what stands for blanks and bytes, and how texts are cut by name.

The patterns are those of llama.cpp's own cutting (src/llama-vocab.cpp), each text cut by one after the other.
"""

from __future__ import annotations

import re

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # kinds of tokens
UNSEEN = -1e6  # the score of a token that no merge makes
SPACE = "\u2581"
BYTES = tuple(f"<0x{number:02X}>" for number in range(256))
PHI3 = re.compile(r"phi-?3", re.IGNORECASE)  # in general.name: blanks after special tokens are left out
PHI3_KEEPS = {"<unk>", "<s>", "<|endoftext|>"}  # tokens after which they stay all the same
WHOLE_WORDS = "llama-bpe"  # the split after which a word that is a token is not merged
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
PATTERNS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}{{1,3}}|{REST}"],
    "qwen2": [f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}|{REST}"],
}
ALSO = {  # further names of the same patterns
    "phi-2": "gpt-2",
    "roberta-bpe": "gpt-2",
    "starcoder": "smollm",
    "command-r": "smollm",
    "refact": "smollm",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "falcon3": "llama-bpe",
    "deepseek-r1-qwen": "qwen2",
    "stablelm2": "qwen2",
}
