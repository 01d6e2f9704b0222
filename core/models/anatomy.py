"""How the blocks of a model family are built, and what its configs call things: the words for it.

Names are module names, those of a block relative to it (`mlp.up_proj`); a weight is that name with `.weight`, and its
bias, where `ModelFacts` lists one, with `.bias`. Matrices are [out, in] here whatever the checkpoint does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Layout = Literal["separate", "stacked", "interleaved"]
NormKind = Literal["layer", "rms", "rms_plus_one"]  # LayerNorm, RMSNorm, RMSNorm that multiplies by 1 + weight
Task = Literal["causal", "classification", "seq2seq"]  # writes on; names a class; answers an input
HeadCount = Literal["fixed", "divisors", "free"]  # what plain transformers loads beside an unchanged hidden size
Part = Literal["q", "k", "v"]
QKV: tuple[Part, ...] = ("q", "k", "v")


@dataclass(frozen=True)
class Norm:
    name: str
    kind: NormKind


@dataclass(frozen=True)
class Heads:
    """Query heads, the key/value heads that they share (as many, or a divisor), and rows of one head."""

    count: int
    kv_count: int
    dim: int

    @property
    def shared_by(self) -> int:
        """Query heads of one key/value head: head h reads k and v of head h // shared_by."""
        return self.count // self.kv_count


@dataclass(frozen=True)
class Attention:
    inputs: tuple[str, ...]  # q, k, v; or the one matrix that holds all three
    layout: Layout  # stacked: all rows of q, then of k, then of v; interleaved: q, k and v of one head after the other
    output: str
    norm: Norm | None  # its only readers are the inputs (and the MLP's, where it is the same); None: there is no such
    after: Norm | None = None  # stands between the output and the residual stream

    def rows(self, part: Part, head: int, heads: Heads) -> tuple[str, range]:
        """The matrix that holds one head of q, k or v, and its rows there."""
        place = QKV.index(part)
        if self.layout == "interleaved":
            first = 3 * head + place
        elif self.layout == "stacked":
            first = head + (0, heads.count, heads.count + heads.kv_count)[place]
        else:
            first = head
        return self.inputs[min(place, len(self.inputs) - 1)], range(first * heads.dim, (first + 1) * heads.dim)


@dataclass(frozen=True)
class Mlp:
    """output(activation(up(x))), or output(activation(gate(x)) * up(x)) where there is a gate."""

    up: str
    output: str
    norm: Norm | None
    gate: str | None = None  # the same name as `up`: one matrix, first all rows of the gate, then those of up
    after: Norm | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.up,) if self.gate in (None, self.up) else (str(self.gate), self.up)

    def rows(self, part: Literal["gate", "up"], width: int) -> tuple[str, range]:
        """The matrix that holds the channels of the gate or of up, and their rows there, channel 0 first."""
        if part == "gate" and self.gate is not None:
            return self.gate, range(width)
        first = width if self.gate == self.up else 0
        return self.up, range(first, first + width)


@dataclass(frozen=True)
class Keys:
    """What the config calls the sizes; None where it has no say in one."""

    depth: str = "num_hidden_layers"
    hidden: str = "hidden_size"
    heads: str = "num_attention_heads"
    kv_heads: str | None = "num_key_value_heads"
    head_dim: str | None = "head_dim"
    mlp_width: str | None = "intermediate_size"
    context: tuple[str, ...] = ("max_position_embeddings",)
    activation: str | None = "hidden_act"
    per_layer: tuple[str, ...] = ()  # lists with an entry for every block


BY_HIDDEN_SIZE = Keys(kv_heads=None, head_dim=None)  # heads times their size is the hidden size


@dataclass(frozen=True)
class Anatomy:
    root: str  # what every name but lm_head's begins with; old checkpoints leave it away
    blocks: str
    embedding: str
    final_norm: Norm | None
    attention: Attention
    mlp: Mlp
    keys: Keys = Keys()
    parallel: bool = False  # attention and MLP both read the block's input; else the MLP reads what attention left
    head_count: HeadCount = "free"
    tied: bool = False  # lm_head shares the embedding where the config does not say
    always_tied: bool = False  # it does where no file holds one, whatever the config says
    activation: str = "silu"  # where the config does not say
    context: int | None = None  # tokens, where the config may not say
    conv1d: bool = False  # the checkpoint keeps the blocks' matrices [in, out]
    renamed: tuple[tuple[str, str], ...] = ()  # module names of old checkpoints and what they are now
    head: str = "lm_head"
    task: Task = "causal"
    beside_head: tuple[str, ...] = ()  # modules outside the root that the head stands on
    decoder: str | None = None  # the second stack of blocks, counted on from the first, which is an encoder then
    copies: tuple[str, ...] = ()  # weights that are the embedding once more, unless a file says otherwise
    tables: tuple[str, ...] = ()  # endings of weights in blocks that are looked up in, not multiplied with
    unused_positions: int = 0  # of the context that the config says

    @property
    def shares_norm(self) -> bool:
        """Whether one norm feeds attention and MLP alike."""
        return self.attention.norm is not None and self.attention.norm == self.mlp.norm

    def without_norms(self) -> Anatomy:
        """Where no norm of a block feeds its matrices alone."""
        return replace(self, attention=replace(self.attention, norm=None), mlp=replace(self.mlp, norm=None))

    def module(self, layer: int, name: str) -> str:
        """The full name of a module of a block."""
        return f"{self.blocks}.{layer}.{name}"

    def weight(self, layer: int, name: str) -> str:
        """The full name of the weight of a module of a block."""
        return f"{self.blocks}.{layer}.{name}.weight"
