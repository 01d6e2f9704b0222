"""THE list of formats. A new one is one file and one line here."""

from core.exports import Format
from core.exports.compressed_tensors import CompressedTensors
from core.exports.gguf import Gguf
from core.exports.gptq import Gptq
from core.exports.onnx import Onnx
from core.exports.transformers import Transformers

FORMATS: dict[str, type[Format]] = {
    form.name: form
    for form in (
        Onnx,
        Gguf,
        CompressedTensors,
        Gptq,
        Transformers,
    )
}
