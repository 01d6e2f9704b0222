"""A tokenizer.json in the words of llama.cpp: tokens, kinds, merges or scores, and how text is split first.

Two kinds are known there: byte-level BPE ("gpt2"), whose merges are listed, and SentencePiece-like BPE ("llama"), which
joins the pair whose result has the best score; a merge's rank serves as that. What cuts text before either is not
written down but known by name, so only tokenizers that cut in one of these ways can go into a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compresslab.messages import Message
from compresslab.models.generation_defaults import GenerationDefaults

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # kinds of tokens in GGUF
UNSEEN = -1e6  # the score of a token that no merge makes
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {  # the regular expression of a split and the name that llama.cpp has for it
    f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}{{1,3}}|{REST}": "llama-bpe",
    f"{CONTRACTIONS}|{LETTERS}|\\p{{N}}|{REST}": "qwen2",
}


@dataclass(frozen=True)
class Vocabulary:
    model: str  # gpt2 or llama
    split: str
    tokens: list[str]
    kinds: list[int]
    scores: list[float]  # of the llama model alone
    merges: list[str]  # of the gpt2 model alone
    space_first: bool
    begins: bool  # with the begin-of-text token
    unknown: int | None


def misfit(plain: Mapping[str, Any]) -> Message | None:
    """Why llama.cpp has no name for this tokenizer.json; None: it has one."""
    if plain["model"].get("type") != "BPE":
        return Message("gguf.not_bpe", kind=plain["model"].get("type"))
    if not _is_bytewise(plain) and not plain["model"].get("byte_fallback"):
        return Message("gguf.bpe_bytes")
    if _is_bytewise(plain) and _split(plain) is None:
        return Message("gguf.pretokenizer")
    return None


def vocabulary(plain: Mapping[str, Any], size: int) -> Vocabulary:
    """`size` tokens: the model may have more rows than the tokenizer has tokens."""
    bytewise = _is_bytewise(plain)
    added = {entry["id"]: entry for entry in plain.get("added_tokens", [])}
    by_id = {number: token for token, number in plain["model"]["vocab"].items()}
    by_id |= {number: entry["content"] for number, entry in added.items()}
    unknown = plain["model"].get("unk_token")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in plain["model"]["merges"]]
    tokens = [by_id.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [_kind(number, by_id, added, unknown, bytewise) for number in range(size)]
    return Vocabulary(
        model="gpt2" if bytewise else "llama",
        split=_split(plain) or "default",
        tokens=tokens,
        kinds=kinds,
        scores=[] if bytewise else _scores(tokens, merges),
        merges=merges if bytewise else [],
        space_first=not bytewise and _puts_space_first(plain),
        begins=_begins(plain),
        unknown=tokens.index(unknown) if unknown in tokens else None,
    )


def _kind(number: int, by_id: Mapping[int, str], added: Mapping[int, Any], unknown: str | None, bytewise: bool) -> int:
    if number not in by_id:
        return UNUSED
    token = by_id[number]
    if token == unknown:
        return UNKNOWN
    if number in added:
        return CONTROL if added[number]["special"] else USER_DEFINED
    is_byte = not bytewise and len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return BYTE if is_byte else NORMAL


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """Earlier merges first, as in BPE: minus the rank of the first merge that makes the token."""
    rank: dict[str, int] = {}
    for place, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", ""), place)
    return [-float(rank[token]) if token in rank else UNSEEN for token in tokens]


def _steps(plain: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """The steps of the normalizer or the pre-tokenizer, one or several."""
    found = plain.get(part) or {}
    return list(found.get("normalizers") or found.get("pretokenizers") or ([found] if found else []))


def _is_bytewise(plain: Mapping[str, Any]) -> bool:
    return any(step["type"] == "ByteLevel" for step in _steps(plain, "pre_tokenizer"))


def _split(plain: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for how text is cut before merging."""
    steps = _steps(plain, "pre_tokenizer")
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and steps[1].get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        return SPLITS.get(steps[0]["pattern"].get("Regex", ""))
    return None


def _puts_space_first(plain: Mapping[str, Any]) -> bool:
    if any(step["type"] == "Prepend" for step in _steps(plain, "normalizer")):
        return True
    metaspaces = [step for step in _steps(plain, "pre_tokenizer") if step["type"] == "Metaspace"]
    return any(step.get("prepend_scheme", "always") != "never" for step in metaspaces)


def _begins(plain: Mapping[str, Any]) -> bool:
    """Whether the post-processor puts a special token before the text."""
    processor = plain.get("post_processor") or {}
    steps = processor.get("processors") or [processor]
    singles = [step["single"] for step in steps if step.get("type") == "TemplateProcessing"]
    return any(single and "SpecialToken" in single[0] for single in singles)


def special_ids(config: Mapping[str, Any], generation: GenerationDefaults) -> dict[str, int]:
    """Of the tokens that begin, end and fill up a text, under gguf's words; the first where there are several."""
    begin = config.get("bos_token_id")
    begin = begin[0] if isinstance(begin, list) and begin else begin
    known = {"bos": begin, "eos": next(iter(generation.ends), None), "pad": generation.padding}
    return {name: token for name, token in known.items() if isinstance(token, int)}
