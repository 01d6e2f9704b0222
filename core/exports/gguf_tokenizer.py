"""A tokenizer.json in the words of llama.cpp: tokens, kinds, merges or scores, and how text is split first.

Two kinds are known there: byte-level BPE ("gpt2"), whose merges are listed, and SentencePiece-like BPE ("llama"), which
joins the pair whose result has the best score; a merge's rank serves as that. What is done with text before either is
not written down but known by name, so only tokenizers that do one of these things can go into a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from compresslab.files.reading import read_json
from compresslab.messages import Message
from compresslab.models.gguf.words import (
    BYTE,
    BYTES,
    CONTROL,
    NORMAL,
    PATTERNS,
    PHI3,
    PHI3_KEEPS,
    SPACE,
    UNKNOWN,
    UNSEEN,
    UNUSED,
    USER_DEFINED,
    WHOLE_WORDS,
)

SPECIAL = (UNKNOWN, CONTROL, USER_DEFINED)  # that are found in a text before it is cut
SPLITS = {PATTERNS[name][0]: name for name in ("llama-bpe", "qwen2")}  # that stand in tokenizer.json as they are
PHI3_HAS = PHI3_KEEPS | {"</s>"}  # without which such a file does not open
ENDS = ("eos", "eot", "eom")  # keys for the tokens that end a text


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of its tokenizer."""

    model: str  # gpt2 or llama
    split: str
    tokens: list[str]
    kinds: list[int]
    scores: list[float]  # of the llama model alone
    merges: list[str]  # of the gpt2 model alone
    space_first: bool
    begins: bool  # with the begin-of-text token
    ends: bool  # with the end-of-text token
    name: str = ""  # general.name, by which llama.cpp knows what strips blanks
    ids: dict[str, int] = field(default_factory=dict)  # of bos, eos, eot, eom, pad and unk

    @property
    def strips(self) -> bool:
        """Whether blanks after special tokens are left out."""
        return PHI3.search(self.name) is not None


@lru_cache(maxsize=2)
def _parsed(file: Path, modified: int) -> dict[str, Any]:
    plain: dict[str, Any] = read_json(file)
    return plain


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """tokenizer.json. Raises BadInput, NotJson."""
    file = folder / "tokenizer.json"
    return _parsed(file, file.stat().st_mtime_ns if file.exists() else 0)


# -- what llama.cpp can't follow --------------------------------------------------------------


def misfit(plain: Mapping[str, Any]) -> Message | None:
    """What llama.cpp would do otherwise with a text than this tokenizer.json; None: nothing that its parts show."""
    if plain["model"].get("type") != "BPE":
        return Message("gguf.not_bpe", kind=plain["model"].get("type"))
    model = _bytewise_misfit(plain) if _is_bytewise(plain) else _spaced_misfit(plain)
    return model or _merging_misfit(plain["model"]) or _added_misfit(plain) or _edges_misfit(plain)


def _bytewise_misfit(plain: Mapping[str, Any]) -> Message | None:
    changed = [step["type"] for step in _steps(plain, "normalizer") if step["type"] != "NFC"]
    if changed:
        return Message("gguf.normalizer", kind=changed[0])
    split = _split(plain)
    if split is None:
        return Message("gguf.pretokenizer")
    if any(step.get("add_prefix_space") for step in _steps(plain, "pre_tokenizer")):
        return Message("gguf.space_first")
    if plain["model"].get("ignore_merges") and split != WHOLE_WORDS:
        return Message("gguf.whole_words")
    return None


def _spaced_misfit(plain: Mapping[str, Any]) -> Message | None:
    model = plain["model"]
    if not model.get("byte_fallback") or not set(BYTES) <= model["vocab"].keys():
        return Message("gguf.bpe_bytes")
    normalizers, cuts = _steps(plain, "normalizer"), _steps(plain, "pre_tokenizer")
    odd = next((step["type"] for step in normalizers if not _marks_spaces(step)), None)
    if odd is not None:
        return Message("gguf.normalizer", kind=odd)
    marked = any(step["type"] == "Replace" for step in normalizers)
    if not all(_cuts_nothing(step, marked, model["vocab"]) for step in cuts) or not (marked or cuts):
        return Message("gguf.pretokenizer")
    if _scheme(plain) == "first" and _stands_inside(plain):
        return Message("gguf.space_at_start")
    return None


def _marks_spaces(step: Mapping[str, Any]) -> bool:
    """Whether a normalizer does what llama.cpp does: a mark for every space, and maybe one before the text."""
    if step["type"] == "Replace":
        return bool(step["pattern"].get("String") == " " and step["content"] == SPACE)
    return step["type"] == "Prepend" and step.get("prepend") == SPACE


def _cuts_nothing(step: Mapping[str, Any], marked: bool, vocabulary: Iterable[str]) -> bool:
    """Whether a pre-tokenizer leaves the text whole, or cuts it where no token reaches over."""
    if step["type"] == "Split":
        return marked and step["pattern"].get("String") == " "
    if step["type"] != "Metaspace" or step.get("replacement", SPACE) != SPACE:
        return False
    return step.get("split") is False or not any(SPACE in token[1:] for token in vocabulary)


def _scheme(plain: Mapping[str, Any]) -> str:
    """Before which parts of a text a space is put: always, first or never."""
    if any(step["type"] == "Prepend" for step in _steps(plain, "normalizer")):
        return "always"
    found = [step.get("prepend_scheme", "always") for step in _steps(plain, "pre_tokenizer") if "replacement" in step]
    return str(found[0]) if found else "never"


def _stands_inside(plain: Mapping[str, Any]) -> bool:
    """Whether a special token may be followed by text: one that is neither unknown nor an edge."""
    edges = {plain["model"].get("unk_token"), "<s>", "</s>", "<pad>", "<bos>", "<eos>"}
    return any(entry["content"] not in edges for entry in plain.get("added_tokens", []))


def _merging_misfit(model: Mapping[str, Any]) -> Message | None:
    if model.get("dropout") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return Message("gguf.bpe_words")
    return None


def _added_misfit(plain: Mapping[str, Any]) -> Message | None:
    """What is done around added tokens: blanks before or after them are left out, or they are found in words alone."""
    added = plain.get("added_tokens", [])
    odd = next((entry for entry in added if entry.get("lstrip") or entry.get("single_word")), None)
    if odd is not None:
        return Message("gguf.added_token", token=odd["content"][:40])
    stripping = _stripping(plain)
    if stripping and not _is_like_phi3(plain):
        return Message("gguf.added_token", token=min(stripping)[:40])
    return None


def _stripping(plain: Mapping[str, Any]) -> set[str]:
    return {entry["content"] for entry in plain.get("added_tokens", []) if entry.get("rstrip")}


def _is_like_phi3(plain: Mapping[str, Any]) -> bool:
    """Whether blanks are left out where llama.cpp does it for a name with phi-3 in it, and it knows all its tokens."""
    added = {entry["content"] for entry in plain.get("added_tokens", [])}
    return added | plain["model"]["vocab"].keys() >= PHI3_HAS and _stripping(plain) == added - PHI3_KEEPS


def _edges_misfit(plain: Mapping[str, Any]) -> Message | None:
    edges = _edges(plain)
    return Message("gguf.template") if edges is None or max(map(len, edges)) > 1 else None


def _edges(plain: Mapping[str, Any]) -> tuple[list[int], list[int]] | None:
    """Tokens that are put before and after a text; None where it is not a list of them that says so."""
    before: list[int] = []
    after: list[int] = []
    for step in _processors(plain):
        if step["type"] == "ByteLevel":
            continue
        if step["type"] != "TemplateProcessing":
            return None
        place = before
        for part in step["single"]:
            if "Sequence" in part:
                place = after
            else:
                place += step["special_tokens"][part["SpecialToken"]["id"]]["ids"]
    return before, after


def _processors(plain: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = plain.get("post_processor")
    return list(found.get("processors") or [found]) if found else []


def remark(plain: Mapping[str, Any]) -> Message | None:
    """What llama.cpp does otherwise with few texts, for which nobody would want to do without the file."""
    return Message("gguf.nfc") if any(step["type"] == "NFC" for step in _steps(plain, "normalizer")) else None


# -- what is written --------------------------------------------------------------------------


def vocabulary(
    plain: Mapping[str, Any], size: int, name: str = "", tokens: Mapping[str, Sequence[int]] | None = None
) -> Vocabulary:
    """`size` tokens: the model may have more rows than the tokenizer has tokens. `tokens` are those of the model that
    begin ("bos"), end ("eos") and fill up ("pad") a text.
    """
    bytewise = _is_bytewise(plain)
    added = {entry["id"]: entry for entry in plain.get("added_tokens", [])}
    by_id = {number: token for token, number in plain["model"]["vocab"].items()}
    by_id |= {number: entry["content"] for number, entry in added.items()}
    unknown = plain["model"].get("unk_token")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in plain["model"]["merges"]]
    texts = _texts(by_id, size)
    kinds = [_kind(number, by_id, added, unknown, bytewise) for number in range(size)]
    edges = _edges(plain) or ([], [])
    return Vocabulary(
        model="gpt2" if bytewise else "llama",
        split=_split(plain) or "default",
        tokens=texts,
        kinds=kinds,
        scores=[] if bytewise else _scores(texts, merges),
        merges=merges if bytewise else [],
        space_first=not bytewise and _scheme(plain) != "never",
        begins=bool(edges[0]),
        ends=bool(edges[1]),
        name=_named(plain, name),
        ids=_ids(tokens or {}, edges) | ({"unk": texts.index(unknown)} if unknown in texts else {}),
    )


def _texts(by_id: Mapping[int, str], size: int) -> list[str]:
    """No two alike: llama.cpp ends where two are."""
    taken = set(by_id.values())
    fill = "PAD"
    while any(f"[{fill}{number}]" in taken for number in range(size) if number not in by_id):
        fill += "_"
    return [by_id.get(number, f"[{fill}{number}]") for number in range(size)]


def _named(plain: Mapping[str, Any], name: str) -> str:
    """The model's name, with "phi-3" in it where blanks after special tokens are to be left out, and only there."""
    if not _is_like_phi3(plain):
        return PHI3.sub("Phi 3", name)
    return name if PHI3.search(name) or not _stripping(plain) else f"{name} (phi-3 tokens)"


def _ids(tokens: Mapping[str, Sequence[int]], edges: tuple[list[int], list[int]]) -> dict[str, int]:
    """Under GGUF's words. What the tokenizer itself puts before and after a text comes first."""
    before, after = edges
    ends = list(dict.fromkeys([*after, *tokens.get("eos", ())]))
    found = dict(zip(ENDS, ends, strict=False))
    for key, several in (("bos", [*before, *tokens.get("bos", ())]), ("pad", tokens.get("pad", ()))):
        found |= {key: several[0]} if several else {}
    return found


def metadata_bytes(found: Vocabulary) -> int:
    """Of tokens, kinds, scores and merges, as they lie in the file: a text has its length, 8 bytes, before it."""
    texts = sum(8 + len(text.encode()) for text in (*found.tokens, *found.merges))
    return texts + 4 * (len(found.kinds) + len(found.scores))


def _kind(number: int, by_id: Mapping[int, str], added: Mapping[int, Any], unknown: str | None, bytewise: bool) -> int:
    if number not in by_id:
        return UNUSED
    token = by_id[number]
    if token == unknown:
        return UNKNOWN
    if number in added:
        return CONTROL if added[number]["special"] else USER_DEFINED
    return BYTE if not bytewise and token in BYTES else NORMAL


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
    if kinds == ["Split", "ByteLevel"] and _keeps_all(steps[0]) and not steps[1].get("use_regex", True):
        return SPLITS.get(steps[0]["pattern"].get("Regex", ""))
    return None


def _keeps_all(step: Mapping[str, Any]) -> bool:
    """Whether every piece of a text that the pattern finds stays: it finds all there is."""
    return (step.get("behavior"), bool(step.get("invert"))) in (("Isolated", False), ("Removed", True))
