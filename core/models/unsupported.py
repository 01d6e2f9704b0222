"""Ways of building models that no family here has a place for yet, each refused by name: the one list of them."""

from __future__ import annotations

from compresslab.models.family import Config, Refusal

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "moe_intermediate_size")
SENSES = ("vision_config", "audio_config", "text_config", "thinker_config")


def _has_experts(config: Config) -> bool:
    return any(config.get(key) for key in EXPERTS)


def _has_senses(config: Config) -> bool:
    return any(isinstance(config.get(key), dict) for key in SENSES)


UNSUPPORTED = (
    Refusal("model.experts", _has_experts),
    Refusal("model.multimodal", _has_senses),
    Refusal("model.family", lambda config: True),
)
