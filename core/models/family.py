"""What compresslab must know of a model family, as data: one file a family in `models/families` says it in these words.

The anatomy is all that compressing needs. A family without a `gguf` or a `graph` is refused by that export, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compresslab.models.anatomy import Anatomy

Config = Mapping[str, Any]  # config.json
FULL, SLIDING = "full_attention", "sliding_attention"  # entries of layer_types


@dataclass(frozen=True)
class Refusal:
    """Models that are turned away by name: how their config.json gives them away, and what is said of them.

    The code, or the sentence itself, is given the model's `name`, its `family` and the `families` that are supported.
    """

    code: str
    applies: Callable[[Config], bool]


@dataclass(frozen=True)
class Number:
    """One number of a GGUF file's metadata, written where the config has it."""

    key: str  # without the architecture before it
    config: str  # what config.json calls it
    kind: type[int] | type[float] = int
    unsaid: int | float | None = None  # what is written where the config has none; None: nothing


@dataclass(frozen=True)
class Gguf:
    """What llama.cpp calls a family, and what its graph of it does that the anatomy does not say.

    Tensors and sizes that follow from the anatomy are not repeated here. Names and keys are those of llama.cpp's own
    converter and loader; `models.gguf.tensors` and `models.gguf.metadata` write and read by them.
    """

    architecture: str
    numbers: tuple[Number, ...]  # beside the sizes
    in_block: Mapping[str, str] = field(default_factory=dict)  # further tensors: llama.cpp's name and the module's
    around: Mapping[str, str] = field(default_factory=dict)  # the same, outside the blocks
    by_pairs: bool = False  # rows of q and k lie by pairs that rotate together, not by halves
    rotary: bool = True
    biases: Mapping[str, str] = field(default_factory=dict)  # switches of the config, and a tensor that then has one
    attention_scale: str | None = None  # the config's name for what llama.cpp takes to be the size of a head
    layer_types: tuple[str, ...] = (FULL,)  # repeated over the blocks
    unrotated_every: int | None = None  # of the blocks, one in so many turns nothing
    lacks: Mapping[str, str] = field(default_factory=dict)  # switches that llama.cpp has nothing for: what is said then
    needs: Mapping[str, str] = field(default_factory=dict)  # the same, where they are off
    head: Literal["shared", "own"] | None = None  # the only kind of head that llama.cpp loads; None: both
    scaled_by_width: int | None = None  # with so many blocks, scores are scaled by hidden size / heads instead


@dataclass(frozen=True)
class Positions:
    """A table of learned positions [offset + context, hidden]."""

    table: str
    offset: int = 0


@dataclass(frozen=True)
class Graph:
    """What the graph for onnxruntime needs beside the anatomy and the module."""

    positions: Positions | None = None  # None: rotary, as the module has them
    lacks: Mapping[str, str] = field(default_factory=dict)  # switches that no graph is written for: what is said then


@dataclass(frozen=True)
class Family:
    """All models with one `model_type`."""

    model_type: str
    title: str  # for people
    anatomy: Anatomy
    also: tuple[str, ...] = ()  # models of this type that people know under another name
    refuses: tuple[Refusal, ...] = ()  # configs of the family that are not supported
    adapted: Callable[[Anatomy, Config], Anatomy] | None = None  # where configs of the family differ in anatomy
    gguf: Gguf | None = None
    graph: Graph | None = None
    tiny: Config = field(default_factory=dict)  # of the model that tests build: what its config says beside its sizes
    tiny_forms: Mapping[str, Config] = field(default_factory=dict)  # what further ones say, of another anatomy

    @property
    def name(self) -> str:
        """In registries."""
        return self.model_type

    def anatomy_of(self, config: Config) -> Anatomy:
        """Of the model that a config.json of this family describes."""
        return self.adapted(self.anatomy, config) if self.adapted else self.anatomy
