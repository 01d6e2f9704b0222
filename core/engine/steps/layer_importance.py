"""Which decoder blocks a model misses least. What the two measures are is written in `methods.prune_layers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from compresslab.engine.inputs.calibration import BATCH_TOKENS
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tasks import inputs_of, log_probabilities
from compresslab.engine.steps.context import StepContext
from torch import Tensor

Tell = Callable[[float], None]
Watcher = Callable[[Tensor, Tensor], Tensor | None]  # what goes into a block and what comes out -> what shall


def least_turning(model: CompressedModel, count: int, context: StepContext) -> list[int]:
    """The blocks of lowest influence, all from one pass over the calibration text. Raises Cancelled."""
    influence = block_influence(model, context.calibration(), context.tell)
    return influence.argsort(stable=True)[:count].tolist()


def least_missed(model: CompressedModel, count: int, samples: int, context: StepContext) -> list[int]:
    """Blocks one after the other, each time the one without which the loss is lowest. Raises Cancelled."""
    sequences = context.calibration()[:samples]
    gone: list[int] = []
    trials = sum(model.depth - done for done in range(count))
    tried = 0
    for _ in range(count):
        losses: dict[int, float] = {}
        for layer in (layer for layer in range(model.depth) if layer not in gone):
            context.tell(tried / trials)
            losses[layer] = loss_without(model, [*gone, layer], sequences, context.check)
            tried += 1
        gone.append(min(losses, key=lambda layer: losses[layer]))
    return gone


def block_influence(model: CompressedModel, sequences: Tensor, tell: Tell) -> Tensor:
    """1 - mean cosine of every block's input and output, over all tokens: float64 [layers]."""
    cosines = torch.zeros(model.depth, dtype=torch.float64)

    def watch(layer: int) -> Watcher:
        def add(before: Tensor, after: Tensor) -> None:
            cosine = F.cosine_similarity(before.float(), after.float(), dim=-1)
            same = (before == after).all(-1)  # also where both are zero, as the embedding of padding is
            cosines[layer] += cosine.masked_fill(same, 1.0).double().sum().cpu()

        return add

    batches = sequences.split(max(1, BATCH_TOKENS // sequences.shape[1]))
    with _watched(model, {layer: watch(layer) for layer in range(model.depth)}), torch.inference_mode():
        for done, batch in enumerate(batches):
            tell(done / len(batches))
            model.module.base_model(**inputs_of(model, batch.to(model.device)), use_cache=False)
    return 1 - cosines / sequences.numel()


def loss_without(
    model: CompressedModel, layers: Iterable[int], sequences: Tensor, check: Callable[[], None] = lambda: None
) -> float:
    """Mean negative log-likelihood of a token where these blocks hand on what they are given."""
    total = 0.0
    with _watched(model, {layer: lambda before, _after: before for layer in layers}):
        for batch in sequences.split(max(1, BATCH_TOKENS // sequences.shape[1])):
            check()
            batch = batch.to(model.device)
            found = log_probabilities(model, batch).gather(2, batch[:, 1:].unsqueeze(2))
            total -= float(found.double().sum())
    return total / (sequences.numel() - len(sequences))


@contextmanager
def _watched(model: CompressedModel, watchers: dict[int, Watcher]) -> Iterator[None]:
    """Hooks after some blocks, taken off again at the end."""

    def hook(watcher: Watcher) -> Callable[..., Any]:
        def see(_block: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            before = args[0] if args else kwargs["hidden_states"]
            instead = watcher(before, output[0] if isinstance(output, tuple) else output)
            if instead is None:
                return None
            return (instead, *output[1:]) if isinstance(output, tuple) else instead

        return see

    with ExitStack() as stack:
        for layer, watcher in watchers.items():
            block = model.module.get_submodule(f"{model.facts.anatomy.blocks}.{layer}")
            stack.callback(block.register_forward_hook(hook(watcher), with_kwargs=True).remove)
        yield
