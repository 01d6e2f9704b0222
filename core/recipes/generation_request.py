"""A request to generate: which weights, which prompt, how to decode. Plain data."""

from __future__ import annotations

from typing import Any, Literal

from compresslab.data.conversations import Conversation, Turn
from compresslab.errors import BadInput
from compresslab.settings import MOST_SEED, Settings, setting
from pydantic import BaseModel, ConfigDict

LONGEST_PROMPT = 8000  # letters, of a prompt that waits in the queue
RuntimeChoice = Literal["auto", "torch", "onnxruntime"]


class Decoding(Settings):
    """How the next token is chosen; the same for every pane."""

    strategy: Literal["greedy", "sample", "beam", "model"] = setting(
        "greedy",
        label="Choosing words",
        plain="Always the likeliest word, a little chance, several drafts of which the best is kept, or as the model's "
        "makers advise.",
        help="greedy: argmax. sample: temperature and top-p. beam: beam search with the number of beams below. model: "
        "the sampling, beams and penalties of the model's own generation_config.json, which the others leave aside. "
        "Its end tokens, and those that it forces or forbids, hold for all four.",
    )
    max_new_tokens: int = setting(
        80,
        ge=1,
        le=2048,
        step=8,
        unit="tokens",
        label="Answer length",
        plain="How long the answer may get.",
        help="The most new tokens; generation also ends at any of the model's end tokens.",
    )
    sampling_temperature: float = setting(
        0.8,
        ge=0.1,
        le=2.0,
        step=0.1,
        label="Creativity",
        plain="Low is cautious, high is adventurous.",
        help="Logits are divided by it before sampling. Used by 'sample' only.",
    )
    top_p: float = setting(
        0.95,
        ge=0.1,
        le=1.0,
        step=0.05,
        label="Choice of words",
        plain="How many of the less likely words may be picked.",
        help="Nucleus sampling: the smallest set of tokens whose probability reaches it. Used by 'sample' only.",
        advanced=True,
    )
    beams: int = setting(
        4,
        ge=2,
        le=16,
        step=1,
        unit="beams",
        label="Beams",
        plain="How many drafts are kept at once.",
        help="Width of the beam search. Used by 'beam' only.",
        advanced=True,
    )
    seed: int = setting(
        0,
        ge=0,
        le=MOST_SEED,
        step=1,
        label="Seed",
        plain="The same seed gives the same result.",
        help="Every pane starts its own generator from it.",
        advanced=True,
    )


class Pane(BaseModel):
    """One text beside others: the baseline of a model, a saved run, or a recipe compressed on the spot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    source: Literal["baseline", "run", "recipe"]
    model: str = "storyteller"  # for "baseline"
    run_id: str | None = None  # for "run"
    recipe: dict[str, Any] | None = None  # for "recipe"
    earlier: tuple[Turn, ...] = ()  # questions and this pane's own answers, in a chat that goes on


class Chat(BaseModel):
    """Prompts are questions of a chat, which the template of that name renders; None: the tokenizer's first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = ""
    template: str | None = None

    def conversation(self, question: str, earlier: tuple[Turn, ...] = ()) -> Conversation:
        """Raises BadInput for turns that do not alternate."""
        return self.continued((*earlier, Turn(role="user", content=question)))

    def continued(self, turns: tuple[Turn, ...]) -> Conversation:
        """Of turns that end with a question. Raises BadInput as `conversation` does."""
        system = (Turn(role="system", content=self.system),) if self.system else ()
        return Conversation((*system, *turns), self.template)


def chat_of(chat: bool | None, system: str, template: str | None, *, offered: bool) -> Chat | None:
    """Whether prompts are questions of a chat; where it is not said, whether that is `offered` decides.

    Raises BadInput for what only a chat has, given for a plain text.
    """
    only_in_chats = bool(system) or template is not None
    if chat is False and only_in_chats:
        raise BadInput("generate.only_in_chats")
    wanted = chat if chat is not None else offered or only_in_chats
    return Chat(system=system, template=template) if wanted else None


class GenerateRequest(BaseModel):
    """Panes are written one after the other, each alone, from the same prompt, seed and decoding.

    With `further` prompts every pane answers all of them, and what is told of them is each answer when it is whole;
    the first prompt's answers are panes 0 to N - 1, the second's N to 2N - 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    further: tuple[str, ...] = ()
    panes: tuple[Pane, ...]
    decoding: Decoding = Decoding()
    chat: Chat | None = None  # None: prompts are the beginnings of texts
    device: str = "auto"
    dtype: str = "auto"
    runtime: RuntimeChoice = "auto"

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt, *self.further)

    def asked(self, pane: Pane) -> tuple[str | Conversation, ...]:
        """What a pane reads: the prompts, or conversations that end with them. Raises BadInput."""
        if self.chat is None:
            return self.prompts
        return tuple(self.chat.conversation(prompt, pane.earlier) for prompt in self.prompts)
