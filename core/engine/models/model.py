"""A model in memory: what would be written to disk is the truth, the torch module is a rendering of it.

`stored` holds every weight as the packed file keeps it (in the checkpoint's dtype, or as codes on a grid) and `masks`
says which weights are zeroed. The module's parameters are made from both in the compute dtype. Copies share every
tensor until one is replaced: tensors are never changed in place.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
from compresslab.engine.models.activations import round_inputs
from compresslab.engine.models.architecture import module_of, replace_parameter
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import BadInput
from compresslab.models.facts import BLOCK, ModelFacts
from compresslab.models.narrowing import Slice, narrowed
from compresslab.models.weights import WeightPlan
from compresslab.recipes.layerwise import LayerMethod
from compresslab.records.results import Kernel, WeightReport
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

LayerMethodT = TypeVar("LayerMethodT", bound=LayerMethod)
STORAGE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass
class CompressedModel:
    """A causal language model of which every weight can be pruned, quantized or trained."""

    facts: ModelFacts  # of the checkpoint that it comes from
    weights: dict[str, WeightPlan]  # as they are now, without grid and mask
    stored: MutableMapping[str, Tensor | QuantizedWeight]
    masks: MutableMapping[str, Tensor]
    module: PreTrainedModel
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    _hash: str | None = None
    offloaded: ClassVar[bool] = False  # its blocks lie on disk

    def __post_init__(self) -> None:
        self._take_generation_defaults()

    def _take_generation_defaults(self) -> None:
        if self.module.can_generate():  # where texts begin and end is for the checkpoint to say, not for the class
            self.module.generation_config = GenerationConfig(**self.facts.generation.edges())

    # -- what a method may ask ----------------------------------------------------------

    @property
    def depth(self) -> int:
        return 1 + max((w.layer for w in self.weights.values() if w.layer is not None), default=-1)

    @property
    def context_length(self) -> int:
        return self.facts.context_length

    def linear_names(self) -> list[str]:
        """Weight matrices of the decoder blocks."""
        return [name for name, weight in self.weights.items() if weight.role == "linear"]

    def embedding_names(self) -> list[str]:
        """The token embedding, and lm_head where it is a matrix of its own."""
        return [name for name, weight in self.weights.items() if weight.role in ("embedding", "head")]

    def layer_of(self, name: str) -> int:
        """The block that a weight belongs to. Raises LookupError for one outside the blocks."""
        layer = self.weights[name].layer
        if layer is None:
            raise LookupError(f"{name} is in no block")
        return layer

    def chosen(self, method: LayerMethodT) -> list[tuple[str, LayerMethodT]]:
        """The matrices that a method is meant for, each with the settings that hold for it."""
        touched = (name for name, weight in self.weights.items() if method.touches(weight))
        own = ((name, method.for_weight(name)) for name in touched)
        return [(name, settings) for name, settings in own if settings is not None]

    def weight(self, name: str) -> Tensor:
        """The weight as it takes effect: float32, [out, in] for a matrix."""
        if self.dtype == torch.float32 and self.weights[name].role != "other":  # of those one may be a buffer
            return self.module.get_parameter(name).detach()
        return effective(self.stored[name])

    def block(self, layer: int) -> nn.Module:
        return self.module.get_submodule(f"{self.facts.anatomy.blocks}.{layer}")

    @contextmanager
    def resident(self, layer: int) -> Iterator[None]:
        """While a block runs several times: it must not be fetched for each of them."""
        yield

    @contextmanager
    def replaced_blocks(self, forward: Callable[..., Any]) -> Iterator[None]:
        """All blocks answer as `forward` does: what stands before and after them runs without them."""
        blocks = [self.block(layer) for layer in range(self.depth)]
        for block in blocks:
            block.forward = forward
        try:
            yield
        finally:
            for block in blocks:
                del block.forward  # that of its class shows again

    # -- what a method may do -----------------------------------------------------------

    def prune(self, name: str, mask: Tensor) -> None:
        """Zero the weights where the mask is True; those zeroed before stay zero."""
        mask = mask | self.masks[name] if name in self.masks else mask
        self.masks[name] = mask
        stored = self.stored[name]
        zeroed = stored.with_zeros(mask) if isinstance(stored, QuantizedWeight) else stored.masked_fill(mask, 0)
        self.stored[name] = zeroed
        self._render(name)

    def quantize(self, name: str, quantized: QuantizedWeight) -> None:
        """Put the weight on a grid; zeros stay zeros."""
        mask = self.masks.get(name)
        self.stored[name] = quantized if mask is None else quantized.with_zeros(mask)
        self._render(name)

    def round_inputs(self, names: Iterable[str], bits: int) -> None:
        """Let these matrices, whose inputs come as they are so far, read them in so many bits."""
        for name in names:
            self.weights[name] = replace(self.weights[name], activation_bits=bits)
            round_inputs(self.module, [self.weights[name]])
        self._hash = None

    def take_over(self, name: str, stored: Tensor | QuantizedWeight, mask: Tensor | None) -> None:
        """A weight as it is stored in another model of the same shapes, with its zeros."""
        self.stored[name] = stored
        if mask is not None:
            self.masks[name] = mask
        self._render(name)

    def keep_layers(self, indices: Iterable[int]) -> None:
        """Keep these decoder blocks, in this order, and drop the others."""
        place = {old: new for new, old in enumerate(indices)}
        self.weights = dict(_moved(weight, place) for weight in self.weights.values() if _stays(weight, place))
        self.stored = {_renamed(name, place): value for name, value in self.stored.items() if _kept(name, place)}
        self.masks = {_renamed(name, place): mask for name, mask in self.masks.items() if _kept(name, place)}
        config, keys = self.module.config, self.facts.anatomy.keys
        lists = {key: getattr(config, key) for key in keys.per_layer if getattr(config, key, None)}
        entries = {key: [values[old] for old in place] for key, values in lists.items()}
        self._rebuild({keys.depth: len(place)} | entries)

    def narrow(self, slices: Iterable[Slice], config_changes: dict[str, Any]) -> None:
        """Keep these rows and columns, and drop the others. Raises BadInput for weights on a grid."""
        for cut in slices:
            stored = self.stored[cut.name]
            if isinstance(stored, QuantizedWeight):
                raise BadInput("model.quantized_already", name=cut.name)
            kept = torch.tensor(cut.indices, device=stored.device)
            self.stored[cut.name] = stored.index_select(cut.dimension, kept)
            if cut.name in self.masks:
                self.masks[cut.name] = self.masks[cut.name].index_select(cut.dimension, kept)
            self.weights[cut.name] = narrowed(self.weights[cut.name], cut)
        self._rebuild(config_changes)

    def settle(self, trained: dict[str, Tensor]) -> None:
        """Take over trained values, rounded to the checkpoint's dtype: what is measured is what is written."""
        for name, value in trained.items():
            rounded = value.detach().to(STORAGE[self.weights[name].dtype])
            mask = self.masks.get(name)
            self.stored[name] = rounded if mask is None else rounded.masked_fill(mask, 0)
            self._render(name)

    # -- what the pipeline asks ---------------------------------------------------------

    def copy(self) -> CompressedModel:
        """A model of its own that shares every tensor with this one."""
        shared = {id(tensor): tensor for tensor in [*self.module.parameters(), *self.module.buffers()]}
        return replace(
            self,
            weights=dict(self.weights),
            stored=dict(self.stored),
            masks=dict(self.masks),
            module=copy.deepcopy(self.module, shared),
        )

    def layout(self) -> list[WeightPlan]:
        """Every weight as it would be written now, real counts included."""
        return [self._plan(name) for name in sorted(self.weights)]

    def in_memory(self) -> tuple[Any, ...]:
        """What of it takes memory."""
        return self.module, self.stored, self.masks

    @property
    def kernel(self) -> Kernel:
        """Whether the matmul that runs is the one that the format promises."""
        quantized = any(isinstance(value, QuantizedWeight) for value in self.stored.values())
        return "simulated" if quantized or self.masks else "real"

    @property
    def memory_bytes(self) -> int:
        """Bytes of the parameters as they are held while the model runs, tied ones once."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.module.parameters())

    def weights_hash(self) -> str:
        """Twelve hex digits over names, float32 bytes of the effective weights, the bits of what they read, and the
        checkpoint's config and tokenizer: with others, the same weights are another model.
        """
        if self._hash is None:
            digest = hashlib.sha256(self.facts.digest.encode())
            for name in sorted(self.stored):
                digest.update(name.encode())
                digest.update(self.weight(name).cpu().contiguous().numpy().data)
                bits = self.weights[name].activation_bits
                digest.update(b"" if bits is None else f"inputs {bits}".encode())
            self._hash = digest.hexdigest()[:12]
        return self._hash

    def reports(self) -> list[WeightReport]:
        """What became of every weight matrix."""
        return [_report(plan) for plan in self.layout() if plan.role != "other"]

    def sparsity(self) -> float:
        """Share of the weights in the linear layers that are masked."""
        linear = self.linear_names()
        zeros = sum(int(self.masks[name].sum()) for name in linear if name in self.masks)
        return zeros / max(1, sum(self.weights[name].count for name in linear))

    # -- inside -------------------------------------------------------------------------

    def _rebuild(self, config_changes: dict[str, Any]) -> None:
        """A new module for weights of new names or shapes."""
        config = copy.deepcopy(self.module.config)
        for key, value in config_changes.items():
            setattr(config, key, value)
        values = {name: effective(stored) for name, stored in self.stored.items()}
        self.module = module_of(config, values, self.dtype, self.device)
        self._take_generation_defaults()
        round_inputs(self.module, self.weights.values())
        self._hash = None

    def _plan(self, name: str) -> WeightPlan:
        stored, mask = self.stored[name], self.masks.get(name)
        grid = stored.grid if isinstance(stored, QuantizedWeight) else None
        nonzero = None if mask is None else mask.numel() - int(mask.sum())
        return replace(self.weights[name], grid=grid, nonzero=nonzero)

    def _render(self, name: str) -> None:
        """Put the stored weight into the module, under every name that shares it."""
        if self._in_memory(name):
            replace_parameter(self.module, name, nn.Parameter(self._rendering(name), requires_grad=False))
        self._hash = None

    def _rendering(self, name: str) -> Tensor:
        """The weight as the module computes with it."""
        return effective(self.stored[name]).to(self.device, self.dtype)

    def _in_memory(self, name: str) -> bool:
        """Whether the module holds the weight."""
        return True


def effective(stored: Tensor | QuantizedWeight) -> Tensor:
    """The weight as it takes effect, in float32."""
    return stored.dequantize() if isinstance(stored, QuantizedWeight) else stored.float()


def _stays(weight: WeightPlan, place: dict[int, int]) -> bool:
    return weight.layer is None or weight.layer in place


def _moved(weight: WeightPlan, place: dict[int, int]) -> tuple[str, WeightPlan]:
    name = _renamed(weight.name, place)
    layer = None if weight.layer is None else place[weight.layer]
    return name, replace(weight, name=name, layer=layer)


def _kept(name: str, place: dict[int, int]) -> bool:
    block = BLOCK.search(name)
    return block is None or int(block.group(1)) in place


def _renamed(name: str, place: dict[int, int]) -> str:
    block = BLOCK.search(name)
    if block is None:
        return name
    return f"{name[: block.start(1)]}{place[int(block.group(1))]}{name[block.end(1) :]}"


def _report(plan: WeightPlan) -> WeightReport:
    rows, columns = plan.shape
    return WeightReport(
        name=plan.name,
        shape=(rows, columns),
        bits=plan.grid.bits if plan.grid else None,
        group_size=plan.grid.group_size if plan.grid else None,
        activation_bits=plan.activation_bits,
        sparsity=plan.sparsity,
    )
