"""What the teacher says of the sequences that the student learns from, and the sequences that it writes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import start_token
from torch import Tensor

BATCH = 64  # sequences read or written at once
LEAST = 1e-7  # probability of all tokens that are not remembered


@dataclass(frozen=True)
class Opinions:
    """Log-probabilities at one temperature of the most likely tokens, and of all others together."""

    tokens: Tensor  # int32 [N, T - 1, k]
    likely: Tensor  # float32 [N, T - 1, k]
    rest: Tensor  # float32 [N, T - 1]

    def divergence(self, places: Tensor, logits: Tensor, temperature: float) -> Tensor:
        """KL(teacher || student) of these sequences, the tokens not remembered counted as one; mean over tokens."""
        device = logits.device
        wanted = self.likely[places].flatten(0, 1).to(device)  # [M, k]
        rest = self.rest[places].flatten().to(device)  # [M]
        chosen = self.tokens[places].flatten(0, 1).to(device).long()
        said = F.log_softmax(logits / temperature, dim=-1).gather(1, chosen)
        others = (1 - said.exp().sum(1)).clamp_min(LEAST).log()
        return ((wanted.exp() * (wanted - said)).sum(1) + rest.exp() * (rest - others)).mean()


def opinions(
    teacher: CompressedModel, sequences: Tensor, k: int, temperature: float, tell: Callable[[float], None]
) -> Opinions:
    """Of int64 sequences [N, T], by one pass of the teacher."""
    tokens, likely, rests = [], [], []
    batches = sequences.split(BATCH)
    for done, batch in enumerate(batches):
        tell(done / len(batches))
        with torch.no_grad():
            logits = teacher.module(input_ids=batch.to(teacher.device), use_cache=False).logits[:, :-1].float()
        spoken = F.log_softmax(logits / temperature, dim=-1)
        values, places = spoken.topk(min(k, spoken.shape[-1]), dim=-1)
        rest = (1 - values.exp().sum(-1)).clamp_min(LEAST).log()
        tokens.append(places.int().cpu())
        likely.append(values.cpu())
        rests.append(rest.cpu())
    return Opinions(torch.cat(tokens), torch.cat(likely), torch.cat(rests))


def written(teacher: CompressedModel, count: int, length: int, seed: int, tell: Callable[[float], None]) -> Tensor:
    """Sequences [count, length] that the teacher makes up from the start of a document, int64, the same for a seed."""
    start = start_token(teacher.tokenizer) or [0]
    sequences = []
    with torch.random.fork_rng(devices=[teacher.device] if teacher.device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        for first in range(0, count, BATCH):
            tell(first / count)
            prompt = torch.tensor([start] * min(BATCH, count - first), device=teacher.device)
            generate: Any = teacher.module.generate
            made = generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                top_k=0,
                max_length=length,
                min_length=length,
                eos_token_id=list(teacher.facts.generation.ends) or None,  # not before that length
                pad_token_id=start[0],
            )
            sequences.append(made.cpu())
    return torch.cat(sequences)
