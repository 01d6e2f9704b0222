"""The shape of the model, and its optimizers."""

import math

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 2048
CONTEXT = 512
EMBEDDING, COMMON = 0.08, 0.5  # the spread of the embeddings, and the number that all of them start with in common
LOOKING_BACK, NEIGHBORS = 1.2, 0.06  # how sharply the first layer looks back, and how much of it it copies
MATCHING, COPYING = 0.7, 0.25  # the same of the other layers


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        initializer_range=0.03,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        **ids,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(pad_token_id=tokenizer.pad_token_id, **ids)
    _start_attention(model)
    return model


def _start_attention(model: LlamaForCausalLM) -> None:
    """Answers are copied from the story, and finding that out from noise takes very long. So attention starts able to
    copy: the heads of the first layer look a few tokens back, those of the others look for what resembles the token
    they stand on (as in Trockman and Kolter 2023, https://arxiv.org/abs/2305.09828). Training changes all of it."""
    nn.init.normal_(model.model.embed_tokens.weight.data, std=EMBEDDING)
    # Looking back by position alone needs something that every token has in common.
    model.model.embed_tokens.weight.data[:, 0] = COMMON
    first, *others = model.model.layers
    _look_back(first.self_attn, model.config.rope_parameters["rope_theta"])
    for layer in others:
        _look_for_alike(layer.self_attn)
    # What the MLPs write into the residual stream starts small, so that eight of them add up to no more than one.
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.data /= math.sqrt(2 * len(model.model.layers))


def _look_back(attention: nn.Module, theta: float) -> None:
    """Head h looks h + 1 tokens back: its query is turned by as much as the rotary embedding turns that key."""
    half = attention.head_dim // 2
    angles = theta ** -(torch.arange(half) / half)
    queries, keys = (
        projection.weight.data.unflatten(0, (-1, attention.head_dim))[..., 0]  # [heads, head_dim]
        for projection in (attention.q_proj, attention.k_proj)
    )
    keys[:, :half], keys[:, half:] = LOOKING_BACK, 0.0
    turns = torch.arange(1, len(queries) + 1)[:, None] * angles
    queries.copy_(LOOKING_BACK * torch.cat([turns.cos(), -turns.sin()], -1))
    _copy_what_is_seen(attention, NEIGHBORS)


def _look_for_alike(attention: nn.Module) -> None:
    nn.init.orthogonal_(attention.k_proj.weight.data, gain=MATCHING)
    attention.q_proj.weight.data.add_(_of_every_head(attention.k_proj.weight.data, attention))
    _copy_what_is_seen(attention, COPYING)


def _copy_what_is_seen(attention: nn.Module, strength: float) -> None:
    values = nn.init.orthogonal_(attention.v_proj.weight.data)
    attention.o_proj.weight.data.copy_(strength * _of_every_head(values, attention).T)


def _of_every_head(weight: Tensor, attention: nn.Module) -> Tensor:
    """Keys and values are shared by groups of heads; [heads * head_dim, hidden]."""
    heads = weight.unflatten(0, (-1, attention.head_dim))
    return heads.repeat_interleave(attention.num_key_value_groups, 0).flatten(0, 1)


def new_optimizers(model: LlamaForCausalLM) -> list[Optimizer]:
    decayed = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    taken = {id(parameter) for parameter in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return [AdamW(groups, lr=2e-3, betas=(0.9, 0.95))]
