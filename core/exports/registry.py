"""THE list of formats. A new one is one file and one line here."""

from compresslab.exports.compressed_tensors import CompressedTensors
from compresslab.exports.format import Format
from compresslab.exports.gguf import Gguf
from compresslab.exports.gptq import Gptq
from compresslab.exports.onnx import Onnx
from compresslab.exports.transformers import Transformers

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
