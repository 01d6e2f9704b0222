"""A model of which one block at a time is in memory: for what would not fit otherwise.

Its module is a rendering that is empty (meta) but for what lies outside the blocks; a block gets its parameters just
before it runs and loses them after it. What it says is, to the bit, what the whole model in memory says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from compresslab.engine.models import gguf_weights
from compresslab.engine.models.architecture import module_and_extra
from compresslab.engine.models.device import Choice, return_freed_memory
from compresslab.engine.models.model import CompressedModel, effective
from compresslab.engine.models.on_disk import FromCheckpoint, OnDisk
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.errors import BadInput
from compresslab.models.facts import ModelFacts, model_name, without
from compresslab.models.source import weight_files
from safetensors import safe_open
from torch import Tensor, nn


@dataclass
class OffloadedModel(CompressedModel):
    """Weights and masks are read from disk when they are needed.

    A step that changes shapes or trains is not for it: the plan refuses that.
    """

    stored: OnDisk[Tensor | QuantizedWeight]
    masks: OnDisk[Tensor]
    offloaded: ClassVar[bool] = True
    _resident: set[int] = field(default_factory=set)
    _hooks: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        for layer in range(self.depth):
            block = self.block(layer)
            self._hooks.append(block.register_forward_pre_hook(self._filling(layer)))
            self._hooks.append(block.register_forward_hook(self._emptying(layer)))

    def weight(self, name: str) -> Tensor:
        return super().weight(name) if self._in_memory(name) else effective(self.stored[name])

    @contextmanager
    def resident(self, layer: int) -> Iterator[None]:
        """This block stays in memory, as its weights are from one moment to the next."""
        self._resident.add(layer)
        self._fill(layer)
        try:
            yield
        finally:
            self._resident.discard(layer)
            self._empty(layer)

    @contextmanager
    def replaced_blocks(self, forward: Callable[..., Any]) -> Iterator[None]:
        before, self._resident = self._resident, set(range(self.depth))  # so that none of them is fetched
        try:
            with super().replaced_blocks(forward):
                yield
        finally:
            self._resident = before

    def copy(self) -> OffloadedModel:
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook.remove()
        shared = {id(tensor): tensor for tensor in [*self.module.parameters(), *self.module.buffers()]}
        twin = replace(
            self,
            weights=dict(self.weights),
            stored=self.stored.copy(),
            masks=self.masks.copy(),
            module=copy.deepcopy(self.module, shared),
            _resident=set(),
            _hooks=[],
        )
        self.__post_init__()
        return twin

    @property
    def memory_bytes(self) -> int:
        """Bytes that stay in memory while the model runs; its blocks come and go."""
        return sum(p.numel() * p.element_size() for p in self.module.parameters() if not p.is_meta)

    # -- inside -------------------------------------------------------------------------

    def _render(self, name: str) -> None:
        super()._render(name)
        return_freed_memory()

    def _in_memory(self, name: str) -> bool:
        layer = self.weights[name].layer
        return layer is None or layer in self._resident

    def _fill(self, layer: int) -> None:
        for name in self._names(layer):
            self._put(name, nn.Parameter(self._rendering(name), requires_grad=False))

    def _empty(self, layer: int) -> None:
        for name in self._names(layer):
            self._put(name, nn.Parameter(self.module.get_parameter(name).to("meta"), requires_grad=False))
        return_freed_memory()

    def _put(self, name: str, parameter: nn.Parameter) -> None:
        owner, _, key = name.rpartition(".")
        self.module.get_submodule(owner)._parameters[key] = parameter

    def _names(self, layer: int) -> list[str]:
        return [name for name, weight in self.weights.items() if weight.layer == layer]

    def _filling(self, layer: int) -> Any:
        def hook(_block: nn.Module, _args: Any) -> None:
            if layer not in self._resident:
                self._fill(layer)

        return hook

    def _emptying(self, layer: int) -> Any:
        def hook(_block: nn.Module, _args: Any, _output: Any) -> None:
            if layer not in self._resident:
                self._empty(layer)

        return hook


def load_offloaded(folder: Path, facts: ModelFacts, config: Any, tokenizer: Any, choice: Choice) -> OffloadedModel:
    """The uncompressed model, its blocks on disk. Raises BadInput."""
    readers = _readers(folder, facts)
    outside = {w.name: effective(readers[w.name]().to(choice.device)) for w in facts.weights if w.layer is None}
    blocks = {weight.name: weight.shape for weight in facts.weights if weight.layer is not None}
    module, extra = module_and_extra(config, outside, choice.dtype, choice.device, hollow=blocks)
    facts = without(facts, extra) if extra else facts
    stored = OnDisk({weight.name: readers[weight.name] for weight in facts.weights}, choice.device)
    return OffloadedModel(
        facts=facts,
        weights={weight.name: weight for weight in facts.weights},
        stored=stored,
        masks=OnDisk({}, choice.device),
        module=module,
        tokenizer=tokenizer,
        device=choice.device,
        dtype=choice.dtype,
    )


def _readers(folder: Path, facts: ModelFacts) -> dict[str, Any]:
    """Where in the checkpoint every weight is found."""
    if facts.types:
        return dict(gguf_weights.readers(facts, weight_files(folder, facts.name)[0]))
    places: dict[str, tuple[Path, str]] = {}
    for file in weight_files(folder, facts.name):
        with safe_open(file, "pt") as opened:
            places |= {model_name(key, facts.anatomy): (file, key) for key in opened.keys()}  # noqa: SIM118
    held = {weight.name: facts.held_as(weight.name) for weight in facts.weights}
    missing = next((name for name, place in held.items() if place not in places), None)
    if missing is not None:
        raise BadInput("model.no_weight", name=facts.name, weight=missing)
    turned = {weight.name for weight in facts.weights if facts.anatomy.conv1d and weight.role == "linear"}
    return {
        name: FromCheckpoint(*places[place], turned=name in turned, model=facts.name) for name, place in held.items()
    }
