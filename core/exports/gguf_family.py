"""Which models of the known families llama.cpp computes as they are, and why not the others."""

from __future__ import annotations

from itertools import cycle, islice

from compresslab.messages import Message
from compresslab.models.families import FAMILIES
from compresslab.models.family import Config, Gguf
from compresslab.models.gguf.metadata import attention_width, head_dim, rope, window

ROPES = ("default", "linear", "llama3")
ACTIVATIONS = ("hidden_activation", "activation_function", "hidden_act")  # what configs call it
SAME_GELU = {"gelu_new", "gelu_pytorch_tanh"}
BIASES = ("attention_bias", "mlp_bias")


def misfit(config: Config) -> Message | None:
    """What llama.cpp would compute otherwise than this model does; None: nothing."""
    family = FAMILIES[str(config["model_type"])]
    if family.gguf is None:
        known = [known.title for known in FAMILIES.values() if known.gguf]
        return Message("gguf.no_family", families=known, family=config["model_type"])
    checks = (_rope, _lacking, _attention_scale, _layers, _unturned, _biases)
    reasons = (check(config, family.gguf) for check in checks)
    return _activation(config, family.anatomy.activation) or next(filter(None, reasons), None)


def head_misfit(config: Config, own: bool) -> Message | None:
    """Where llama.cpp loads no head of its own in this family, or no other."""
    row = FAMILIES[str(config["model_type"])].gguf
    if row is None or row.head is None or (row.head == "own") is own:
        return None
    return Message("gguf.own_head" if own else "gguf.shared_head")


def _activation(config: Config, known: str) -> Message | None:
    """llama.cpp computes one in each family."""
    used = next((config[name] for name in ACTIVATIONS if config.get(name)), known)
    if used == known or {used, known} <= SAME_GELU:
        return None
    return Message("gguf.activation", known=known, used=used)


def _rope(config: Config, row: Gguf) -> Message | None:
    kind = rope(config).get("rope_type", "default")
    if kind in ROPES:
        return None
    return Message("gguf.positions", kind=kind)


def _lacking(config: Config, row: Gguf) -> Message | None:
    on = [said for switch, said in row.lacks.items() if config.get(switch)]
    off = [said for switch, said in row.needs.items() if config.get(switch) is False]
    return next(map(Message, [*on, *off]), None)


def _attention_scale(config: Config, row: Gguf) -> Message | None:
    scalar = config.get(row.attention_scale) if row.attention_scale else None
    keys = FAMILIES[str(config["model_type"])].anatomy.keys
    sizes = (config[keys.depth], config[keys.hidden], config[keys.heads], head_dim(config))
    if scalar is None or scalar == attention_width(row, *sizes):
        return None
    return Message("gguf.attention_scale")


def _layers(config: Config, row: Gguf) -> Message | None:
    kinds = config.get("layer_types") or []
    expected = list(islice(cycle(row.layer_types), len(kinds)))
    if list(kinds) == expected or window(config) is None:
        return None
    return Message("gguf.window_order")


def _unturned(config: Config, row: Gguf) -> Message | None:
    step, turned = row.unrotated_every, config.get("no_rope_layers") or []
    if step is None or list(turned) == [int((number + 1) % step != 0) for number in range(len(turned))]:
        return None
    return Message("gguf.no_rope", step=step)


def _biases(config: Config, row: Gguf) -> Message | None:
    if any(config.get(switch) for switch in BIASES if switch not in row.biases):
        return Message("gguf.biases")
    return None
