"""A graph in onnxruntime: tokens in, logits out, its KV cache written in place."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnxruntime
import torch
from compresslab.engine.runtimes import LONG_PROMPT
from compresslab.engine.runtimes.onnx_nodes import Array, Graph
from compresslab.errors import RunFailed
from compresslab.messages import Message, remarks
from torch import Tensor

# A thread that sleeps after every matrix is woken as long as it then works. So it waits a moment for the next one, no
# longer, and never between tokens: it shares the machine with the dashboard.
THREADS = {"session.intra_op.spin_duration_us": "100", "session.force_spinning_stop": "1"}


class OnnxRuntime:
    """The low-bit runtime of the CPU."""

    name: Literal["onnxruntime"] = "onnxruntime"

    def __init__(self, graph: Graph, threads: int) -> None:
        self.kernel, self.real, self.reason = graph.kernel, graph.real, graph.reason
        self.weight_bytes = graph.weight_bytes
        self._session = session_of(graph, threads)
        self._prompts = self._session
        self._vocabulary: int = self._session.get_outputs()[-1].shape[-1]
        self._cache = Cache(self._session, 0, 0)

    def read_prompts_in(self, other: OnnxRuntime) -> None:
        """From now on another form of the same model reads what is long; both fill the same cache."""
        self._prompts = other._session
        self.kernel = Message("kernel.with_prompts", kernel=self.kernel, prompts=other.kernel)
        if other.reason is not None:
            self.reason = remarks(self.reason, Message("runtime.prompts", reason=other.reason))
        self.weight_bytes += other.weight_bytes

    def start(self, batch: int, room: int) -> None:
        """A fresh cache of so many rows and tokens."""
        self._cache = Cache(self._session, batch, room)

    def feed(self, ids: Tensor) -> Tensor:
        """int64 [B, S] -> float32 [B, V]: logits after the last of these tokens. Raises RunFailed without room."""
        if not self._cache.length or len(ids) == 1:
            return self._last(ids)
        # The operator takes several new tokens of several rows at the beginning only.
        return [self._last(column) for column in ids.split(1, dim=1)][-1]

    def reorder(self, rows: Tensor) -> None:
        """int64 [B]: row i of the cache is what row rows[i] was."""
        self._cache.reorder(rows.cpu().numpy())

    def logits(self, ids: Tensor) -> Tensor:
        """int64 [B, S] -> float32 [B, S, V], in a cache of their own."""
        return torch.from_numpy(self._run(Cache(self._session, *ids.shape), ids, list(range(ids.shape[1]))))

    def _last(self, ids: Tensor) -> Tensor:
        """[B, S] -> [B, V], after the last of these tokens."""
        return torch.from_numpy(self._run(self._cache, ids, [ids.shape[1] - 1])[:, 0].copy())

    def _run(self, cache: Cache, ids: Tensor, positions: list[int]) -> Array:
        """[B, S] -> [B, positions, V], until the next step of that shape; the cache is that much longer."""
        session = self._prompts if ids.shape[1] >= LONG_PROMPT else self._session
        end = cache.length + ids.shape[1]
        if end > cache.room:
            raise RunFailed("runtime.cache_full", room=cache.room, tokens=end)
        step = cache.step(session, (len(ids), ids.shape[1]), (len(ids), len(positions), self._vocabulary))
        step.run(ids, positions, end)
        cache.length = end
        return step.logits


class Cache:
    """Keys and values of all blocks, which sessions of one model read and write in place."""

    def __init__(self, session: Any, batch: int, room: int) -> None:
        self.room, self.length = room, 0
        cells = [(cell.name, cell.shape) for cell in session.get_inputs() if cell.name.startswith("past.")]
        self._arrays: dict[str, Array] = {
            name: np.zeros((batch, heads, room, size), np.float32) for name, (_, heads, _, size) in cells
        }
        self._steps: dict[tuple[Any, ...], Step] = {}

    def step(self, session: Any, ids: tuple[int, int], logits: tuple[int, int, int]) -> Step:
        """Made once for every shape: token after token, nothing is bound anew."""
        key = (id(session), ids, logits)
        if key not in self._steps:
            self._steps[key] = Step(session, self._arrays, ids, logits)
        return self._steps[key]

    def reorder(self, rows: Array) -> None:
        for array in self._arrays.values():
            array[:, :, : self.length] = array[rows, :, : self.length]


class Step:
    """Memory for the inputs and outputs of one shape, bound to a session and to a cache's arrays."""

    def __init__(
        self, session: Any, cells: dict[str, Array], ids: tuple[int, int], logits: tuple[int, int, int]
    ) -> None:
        self._session, self._binding = session, session.io_binding()
        self._inputs: dict[str, Array] = {
            "input_ids": np.empty(ids, np.int64),
            "positions": np.empty(logits[1], np.int64),
            "last_position": np.empty(ids[0], np.int32),
            "total_length": np.empty((), np.int32),
        }
        self.logits: Array = np.empty(logits, np.float32)
        for name, array in (self._inputs | cells).items():
            self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        outputs = {name.replace("past", "present"): array for name, array in cells.items()}
        for name, array in (outputs | {"logits": self.logits}).items():
            self._binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))

    def run(self, ids: Tensor, positions: list[int], end: int) -> None:
        """Read the tokens that stand before place `end`."""
        self._inputs["input_ids"][...] = ids.cpu().numpy()
        self._inputs["positions"][...] = positions
        self._inputs["last_position"][...] = end - 1
        self._inputs["total_length"][...] = end
        self._session.run_with_iobinding(self._binding)


def session_of(graph: Graph, threads: int) -> Any:
    """onnxruntime packs the weights for its kernels, into memory of its own: the graph may go then."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # failures are raised, and need no second line on the terminal
    for key, value in THREADS.items():
        options.add_session_config_entry(key, value)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in graph.weights.values()]
    options.add_external_initializers(list(graph.weights), values)
    return onnxruntime.InferenceSession(graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
