"""A GGUF file answered from: by llama.cpp, or dequantized by the gguf package and put into a plain module.

Sizes come from the metadata, names and orders from the family's row, which tests hold against the gguf package's own
tables of names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from compresslab.engine.models.architecture import module_of
from compresslab.errors import RunFailed
from compresslab.exports.checkpoint_folder import Logits, logits_of_module
from compresslab.exports.gguf_cutting import Cutter
from compresslab.exports.gguf_tokenizer import Vocabulary
from compresslab.models.families import FAMILIES
from compresslab.models.family import Family
from compresslab.models.gguf.metadata import Metadata, config_values
from compresslab.models.gguf.tensors import Array, by_halves, heads_by_pairs, model_name, norm_shift
from torch import Tensor
from transformers import AutoConfig

IDS = {"bos": "bos", "eos": "eos", "eot": "eot", "eom": "eom", "pad": "padding", "unk": "unknown"}


def by_llama_cpp(file: Path) -> Logits:
    """llama.cpp's own answers. Opened anew for each batch: it keeps logits for as long a text as it is opened for."""
    import llama_cpp

    def logits(ids: Tensor) -> Tensor:
        model = llama_cpp.Llama(str(file), n_ctx=ids.shape[1], logits_all=True, verbose=False)
        rows = []
        for row in ids.tolist():
            model.reset()
            model.eval(row)
            rows.append(torch.from_numpy(np.array(model.scores[: len(row)])))
        return torch.stack(rows).float()

    return logits


def by_definition(file: Path) -> Logits:
    """A plain float32 module of the file's sizes and values."""
    reader = gguf.GGUFReader(file)
    values = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    family, metadata = _said(reader)
    shapes = {name: array.shape for name, array in values.items()}
    config = AutoConfig.for_model(family.model_type, **config_values(family, metadata, shapes))
    factors = values.pop("rope_freqs.weight", None)
    weights = {_name(name, family): _value(name, array, family, metadata) for name, array in values.items()}
    module: Any = module_of(config, weights, torch.float32, torch.device("cpu"))
    if factors is not None:
        module.model.rotary_emb.inv_freq /= torch.from_numpy(factors.copy())
    return logits_of_module(module)


def cut_by_definition(file: Path) -> Cutter:
    """Text to token ids, by the file's metadata alone."""
    fields = gguf.GGUFReader(file).fields

    def said(key: str, otherwise: Any) -> Any:
        return fields[key].contents() if key in fields else otherwise

    ids = {name: said(f"tokenizer.ggml.{key}_token_id", None) for name, key in IDS.items()}
    return Cutter(
        Vocabulary(
            model=said("tokenizer.ggml.model", ""),
            split=said("tokenizer.ggml.pre", "default"),
            tokens=said("tokenizer.ggml.tokens", []),
            kinds=said("tokenizer.ggml.token_type", []),
            scores=said("tokenizer.ggml.scores", []),
            merges=said("tokenizer.ggml.merges", []),
            space_first=said("tokenizer.ggml.add_space_prefix", said("tokenizer.ggml.model", "") == "llama"),
            begins=said("tokenizer.ggml.add_bos_token", False),
            ends=said("tokenizer.ggml.add_eos_token", False),
            name=said("general.name", ""),
            ids={name: number for name, number in ids.items() if number is not None},
        )
    )


def _said(reader: gguf.GGUFReader) -> tuple[Family, Metadata]:
    """The family of a file's architecture, and its metadata by key without the architecture before it."""
    architecture = reader.fields["general.architecture"].contents()
    family = next(known for known in FAMILIES.values() if known.gguf and known.gguf.architecture == architecture)
    own = {key: field for key, field in reader.fields.items() if key.startswith(f"{architecture}.")}
    return family, {key.removeprefix(f"{architecture}."): field.contents() for key, field in own.items()}


def _name(name: str, family: Family) -> str:
    """transformers' name of a tensor. Raises RunFailed."""
    found = model_name(name, family)
    if found is None:
        raise RunFailed("gguf.unknown_tensor", name=name)
    return found


def _value(name: str, array: Array, family: Family, metadata: Metadata) -> Tensor:
    """As transformers has it: q and k of Llama by halves again, Gemma's norms without the one."""
    heads = heads_by_pairs(name, family, metadata)
    array = array if heads is None else by_halves(array, heads)
    array = array - norm_shift(name, family)
    return torch.from_numpy(np.array(array, dtype=np.float32))
