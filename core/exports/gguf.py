"""GGUF, one file with weights, sizes and tokenizer: what llama.cpp and what is built on it load.

Codes move into the smallest blocks that hold them exactly (exports.gguf_blocks): 2 to 4 bits symmetric and 2 or 3
asymmetric become Q4_0, 5 bits and 4 asymmetric Q5_0, others Q8_0. Where a group is no multiple of 32 weights, or an
asymmetric grid has 8 bits, the weight is rounded once more, to Q8_0, and the record says so.
"""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.exports import gguf_family, gguf_tokenizer
from compresslab.exports.dense import STORED
from compresslab.exports.format import Contents, Format, Reopened
from compresslab.exports.gguf_blocks import BLOCK, FINEST, KINDS, WITH_MINIMUM, holds
from compresslab.files.reading import NotJson
from compresslab.messages import Message, plain
from compresslab.models.packed_layout import BITS
from compresslab.models.weights import WeightPlan
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from torch import Tensor

FILE = "model.gguf"
TENSOR_BYTES = 96  # of a tensor's name and shape, and to fill it up to 32
LLAMA_CPP = 5e-2  # of logits: its kernels read the inputs of low-bit matrices in 8 bits


class Gguf(Format):
    """One file for llama.cpp."""

    name: ClassVar[str] = "gguf"
    place: ClassVar[int] = 20
    label: ClassVar[str] = "GGUF file"
    plain: ClassVar[str] = "One file for laptops and phones: llama.cpp, Ollama and LM Studio open it."
    help: ClassVar[str] = (
        "GGUF with Q4_0, Q5_0 and Q8_0 blocks that take over the codes unchanged; scales are repeated where groups "
        "are larger than 32. Other weights as they are stored, or in float16."
    )
    opened_by: ClassVar[tuple[str, ...]] = ("llama.cpp",)
    weight_files: ClassVar[tuple[str, ...]] = ("*.gguf",)
    opens_hub_names: ClassVar[bool] = False

    dense: Literal["checkpoint", "float16", "float32"] = setting(
        "checkpoint",
        label="What is not quantized",
        plain="How finely the numbers that were not quantized are stored.",
        help="The dtype of matrices that were not quantized; checkpoint means that of the baseline. Norms and "
        "biases are always float32, as llama.cpp expects.",
    )
    asymmetric: Literal["exact", "small"] = setting(
        "exact",
        label="Asymmetric 4-bit grids",
        plain="Keep these weights exactly, or save half a bit on each.",
        help="Asymmetric 4-bit grids as Q5_0, exact; or as Q4_1, whose minimum is rounded to float16.",
        advanced=True,
    )

    def refuses(self, contents: Contents) -> Message | None:
        ends = len(contents.facts.generation.ends)
        if ends > len(gguf_tokenizer.ENDS):
            return Message("gguf.ends", count=ends)
        own_head = any(weight.role == "head" for weight in contents.layout)
        reason = gguf_family.misfit(contents.config) or gguf_family.head_misfit(contents.config, own_head)
        if reason:
            return reason
        try:
            tokenizer = gguf_tokenizer.read_tokenizer(contents.facts.folder)
        except (BadInput, NotJson):
            return Message("gguf.no_tokenizer")
        return gguf_tokenizer.misfit(tokenizer)

    def rounds_again(self, contents: Contents) -> Message | None:
        again = [weight for weight in contents.quantized if not self._is_exact(weight)]
        if not again:
            return None
        count = Counter(self._kind(weight) for weight in again)
        into = [Message("gguf.into", number=number, kind=kind) for kind, number in count.items()]
        first, others = plain(again[0].name), len(again) - 1
        which = Message("gguf.and_others", name=first, count=others) if others else first
        return Message("gguf.rounded_again", into=into, weights=which)

    def reads_otherwise(self, contents: Contents) -> Message | None:
        return gguf_tokenizer.remark(gguf_tokenizer.read_tokenizer(contents.facts.folder))

    def rounded(self, model: CompressedModel) -> dict[str, Tensor]:
        from compresslab.exports.write_gguf import rounded

        moving = [weight for weight in model.layout() if weight.grid is None or not self._is_exact(weight)]
        return rounded(model, [(weight, self._kind(weight)) for weight in moving])

    def estimated_bytes(self, contents: Contents) -> int:
        weights = sum(_bytes(weight, self._kind(weight)) + TENSOR_BYTES for weight in contents.layout)
        tokenizer = gguf_tokenizer.read_tokenizer(contents.facts.folder)
        return weights + gguf_tokenizer.metadata_bytes(gguf_tokenizer.vocabulary(tokenizer, contents.facts.vocab_size))

    def write(self, model: CompressedModel, folder: Path) -> None:
        from compresslab.exports.write_gguf import write

        folder.mkdir(parents=True, exist_ok=True)
        write(model, [(weight, self._kind(weight)) for weight in model.layout()], folder / FILE)

    def reopen(self, folder: Path) -> Reopened:
        """The file's blocks are read by the gguf package."""
        from compresslab.exports import read_gguf

        reader = Message("opened.gguf", version=version("gguf"))
        logits, cut = read_gguf.by_definition(folder / FILE), read_gguf.cut_by_definition(folder / FILE)
        return Reopened(logits, missing=plain("llama.cpp"), instead=reader, cut=cut)

    def reopen_elsewhere(self, folder: Path) -> Reopened | None:
        """By llama.cpp."""
        from compresslab.exports import read_gguf

        if not find_spec("llama_cpp"):
            return None
        by = plain(f"llama-cpp-python {version('llama_cpp_python')}")
        return Reopened(read_gguf.by_llama_cpp(folder / FILE), by=by, arithmetic=LLAMA_CPP)

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        return {
            "llama.cpp": f'llama-cli -m {place}/{FILE} -p "Once upon a time"',
            "llama-cpp-python": f'from llama_cpp import Llama\n\nmodel = Llama("{place}/{FILE}")',
        }

    # -- inside -------------------------------------------------------------------------

    def _kind(self, weight: WeightPlan) -> str:
        """The name of the type that the weight is stored in."""
        if weight.role == "other":
            return "F32"
        if weight.grid is None:
            return self._dense(weight)
        exact = holds(weight)
        if exact is not None and self._is_small(weight):
            return WITH_MINIMUM.name
        if exact is not None:
            return exact.name
        return FINEST.name if weight.shape[-1] % BLOCK == 0 else "F16"

    def _dense(self, weight: WeightPlan) -> str:
        return STORED.get(self.dense, weight.dtype)

    def _is_small(self, weight: WeightPlan) -> bool:
        grid = weight.affine
        return self.asymmetric == "small" and grid is not None and not grid.symmetric and grid.bits == 4

    def _is_exact(self, weight: WeightPlan) -> bool:
        return holds(weight) is not None and not self._is_small(weight)


def _bytes(weight: WeightPlan, kind: str) -> int:
    if kind in KINDS:
        return weight.count // BLOCK * KINDS[kind].bytes
    return weight.count * BITS[kind] // 8
