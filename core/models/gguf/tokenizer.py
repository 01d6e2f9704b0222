"""A GGUF file's tokens as tokenizer.json and tokenizer_config.json: what cuts a text as llama.cpp cuts it.

Byte-level BPE ("gpt2") lists its merges and names how text is cut first. The SentencePiece-like kind ("llama") has a
score for each token instead: of two neighbours those are joined that make the token of the best score, which merges in
the order of these scores do as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compresslab.errors import BadInput
from compresslab.models.gguf.words import (
    ALSO,
    BYTES,
    CONTROL,
    NORMAL,
    PATTERNS,
    PHI3,
    PHI3_KEEPS,
    SPACE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    WHOLE_WORDS,
)

Values = Mapping[str, Any]
KINDS = ("gpt2", "llama")
LONGEST_MERGED = 128  # letters of a token that is looked at for the two that make it
TURN_ENDS = ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eom_id|>")
EDGES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def tokenizer_json(values: Values, name: str) -> dict[str, Any]:
    """Of the file's keys. Raises BadInput where they make no tokenizer that is known here."""
    kind, tokens, kinds = values.get("tokenizer.ggml.model"), _tokens(values, name), _kinds(values, name)
    if kind not in KINDS:
        raise BadInput("gguf_in.tokenizer_kind", name=name, kind=str(kind), known=list(KINDS))
    used = {token: number for number, token in enumerate(tokens) if kinds[number] != UNUSED}
    parts = _byte_level(values, used, name) if kind == "gpt2" else _spaced(values, tokens, kinds, name)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added(values, tokens, kinds)),
        "post_processor": _edges(values, tokens, kind, name),
        **parts,
        "model": {
            "type": "BPE",
            "dropout": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "vocab": used,
            **parts["model"],
        },
    }


def tokenizer_config(values: Values, context: int, name: str) -> dict[str, Any]:
    """What stands beside it: words for the edges of a text, the longest text, and the chat templates."""
    tokens = _tokens(values, name)
    edges = {key: token_id(values, word, name) for key, word in EDGES.items()}
    found = {key: tokens[number] for key, number in edges.items() if number is not None}
    templates = chat_templates(values)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        **found,
        **({"chat_template": templates} if templates else {}),
    }


def token_id(values: Values, word: str, name: str) -> int | None:
    """Raises BadInput for one that is no number of a token."""
    key = f"tokenizer.ggml.{word}_token_id"
    number = values.get(key)
    if number is None or number == 2**32 - 1:  # llama.cpp's none
        return None
    if type(number) is not int or not 0 <= number < len(_tokens(values, name)):
        raise BadInput("gguf_in.value", name=name, key=key, given=number)
    return number


def ends(values: Values, name: str) -> list[int]:
    """All tokens at which a text ends: those that the file says, or the end of a turn that has no key of its own."""
    said = [token_id(values, word, name) for word in ("eos", "eot", "eom")]
    tokens, kinds = _tokens(values, name), _kinds(values, name)
    turn = (
        []
        if said[1] is not None
        else [number for number, token in enumerate(tokens) if token in TURN_ENDS and kinds[number] == CONTROL]
    )
    return list(dict.fromkeys(number for number in (*said, *turn) if number is not None))


def chat_templates(values: Values) -> str | list[dict[str, str]]:
    """One, or several by name; an empty text where there is none."""
    start = "tokenizer.chat_template"
    default = values.get(start)
    named = {key.removeprefix(f"{start}."): text for key, text in values.items() if key.startswith(f"{start}.")}
    named = {key: text for key, text in named.items() if isinstance(text, str)}
    if not named:
        return default if isinstance(default, str) else ""
    first = {"default": default} if isinstance(default, str) else {}
    return [{"name": key, "template": text} for key, text in (first | named).items()]


# -- inside --------------------------------------------------------------------------------


def _tokens(values: Values, name: str) -> list[str]:
    tokens = values.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], str):
        raise BadInput("gguf_in.no_tokens", name=name)
    if len(set(tokens)) < len(tokens):
        raise BadInput("gguf_in.value", name=name, key="tokenizer.ggml.tokens", given=_twice(tokens))
    return tokens


def _twice(tokens: list[str]) -> str:
    seen: set[str] = set()
    return next(token for token in tokens if token in seen or seen.add(token))  # type: ignore[func-returns-value]


def _kinds(values: Values, name: str) -> list[int]:
    key, count = "tokenizer.ggml.token_type", len(_tokens(values, name))
    kinds = values.get(key, [NORMAL] * count)
    if not isinstance(kinds, list) or len(kinds) != count:
        raise BadInput("gguf_in.value", name=name, key=key, given=len(kinds) if isinstance(kinds, list) else kinds)
    return kinds


def _added(values: Values, tokens: list[str], kinds: list[int]) -> Iterator[dict[str, Any]]:
    """Tokens that are found in a text before it is cut."""
    strips = PHI3.search(str(values.get("general.name", ""))) is not None
    for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if kind in (UNKNOWN, CONTROL, USER_DEFINED) and token:
            yield {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": strips and token not in PHI3_KEEPS,
                "normalized": False,
                "special": kind != USER_DEFINED,
            }


def _byte_level(values: Values, used: dict[str, int], name: str) -> dict[str, Any]:
    split = str(values.get("tokenizer.ggml.pre", "default"))
    split = ALSO.get(split, split)
    if split not in PATTERNS:
        raise BadInput("gguf_in.split", name=name, split=split, known=sorted({*PATTERNS, *ALSO}))
    merges = values.get("tokenizer.ggml.merges")
    pairs = (
        [merge.split(" ") for merge in merges]
        if isinstance(merges, list) and all(isinstance(merge, str) for merge in merges)
        else [[]]
    )
    wrong = next((pair for pair in pairs if len(pair) != 2 or not {*pair, "".join(pair)} <= used.keys()), None)
    if wrong is not None:
        raise BadInput("gguf_in.value", name=name, key="tokenizer.ggml.merges", given=" ".join(wrong))
    return {
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(split),
        "decoder": _bytes_of_letters(use_regex=True),
        "model": {
            "merges": pairs,
            "unk_token": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": split == WHOLE_WORDS,
        },
    }


def _bytes_of_letters(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _pre_tokenizer(split: str) -> dict[str, Any]:
    """In the form in which tokenizer.json mostly has it, so that it is known again when it is exported."""
    if split == "gpt-2":
        return _bytes_of_letters(use_regex=True)
    if split == "smollm":
        steps = [{"type": "Digits", "individual_digits": True}, _bytes_of_letters(use_regex=True)]
    else:
        pattern = {"Regex": PATTERNS[split][0]}
        cut = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
        steps = [cut, _bytes_of_letters(use_regex=False)]
    return {"type": "Sequence", "pretokenizers": steps}


def _spaced(values: Values, tokens: list[str], kinds: list[int], name: str) -> dict[str, Any]:
    key, unknown = "tokenizer.ggml.scores", token_id(values, "unknown", name)
    scores = values.get(key)
    if not isinstance(scores, list) or len(scores) != len(tokens) or not all(type(s) is float for s in scores):
        raise BadInput("gguf_in.value", name=name, key=key, given=len(scores) if isinstance(scores, list) else scores)
    marks = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    undone: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}]
    undone += [{"type": "ByteFallback"}, {"type": "Fuse"}]
    if values.get("tokenizer.ggml.add_space_prefix", True):
        marks.insert(0, {"type": "Prepend", "prepend": SPACE})
        undone.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": marks},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": undone},
        "model": {
            "merges": _merges(tokens, kinds, scores),
            "unk_token": None if unknown is None else tokens[unknown],
            "fuse_unk": True,
            "byte_fallback": set(BYTES) <= set(tokens),
            "ignore_merges": False,
        },
    }


def _merges(tokens: list[str], kinds: list[int], scores: list[float]) -> list[list[str]]:
    """Every pair of tokens that makes a token, the best score first."""
    joined = {token: scores[number] for number, token in enumerate(tokens) if kinds[number] in (NORMAL, USER_DEFINED)}
    found = [
        (-score, token[:place], token[place:])
        for token, score in joined.items()
        if len(token) <= LONGEST_MERGED
        for place in range(1, len(token))
        if token[:place] in joined and token[place:] in joined
    ]
    return [[first, second] for _, first, second in sorted(found, key=lambda merge: merge[0])]


def _edges(values: Values, tokens: list[str], kind: str, name: str) -> dict[str, Any] | None:
    """What puts the tokens before and after a text that the file asks for."""
    split = values.get("tokenizer.ggml.pre")
    begins = kind == "llama" or ALSO.get(str(split), split) == WHOLE_WORDS
    before = token_id(values, "bos", name) if values.get("tokenizer.ggml.add_bos_token", begins) else None
    after = token_id(values, "eos", name) if values.get("tokenizer.ggml.add_eos_token", False) else None
    if before is None and after is None:
        return None

    def part(number: int | None, type_id: int) -> list[dict[str, Any]]:
        return [] if number is None else [{"SpecialToken": {"id": tokens[number], "type_id": type_id}}]

    def text(letter: str, type_id: int) -> list[dict[str, Any]]:
        inside = [{"Sequence": {"id": letter, "type_id": type_id}}]
        return [*part(before, type_id), *inside, *part(after, type_id)]

    special = {tokens[number]: number for number in (before, after) if number is not None}
    return {
        "type": "TemplateProcessing",
        "single": text("A", 0),
        "pair": [*text("A", 0), *text("B", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]} for token, number in special.items()
        },
    }
