"""One-line use from Python: each verb takes a model, by name or as another verb returned it, and gives one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.data.conversations import Conversation, parse_turns
from compresslab.errors import BadInput
from compresslab.files.atomic import new_model_folder
from compresslab.messages import Message
from compresslab.methods.distill_logits import DistillLogits
from compresslab.recipes.generation_request import Chat, Decoding, chat_of
from compresslab.recipes.method import METHODS, Method
from compresslab.recipes.recipe import Recipe

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.records.results import Measurement


def prune(model: str | CompressedModel, *, method: str = "magnitude", **settings: Any) -> CompressedModel:
    """`prune("storyteller", sparsity=0.5)`: a new model with that share of its linear weights at zero.

    Other methods by the end of their name: `prune("storyteller", method="layers", layers=2)`.
    """
    return _apply(model, _step(f"prune_{method}", settings))


def quantize(model: str | CompressedModel, *, method: str = "rtn", **settings: Any) -> CompressedModel:
    """`quantize("storyteller", bits=8)`: a new model with its linear weights on a grid of that many bits.

    Other methods by the end of their name: `quantize("storyteller", method="gptq", bits=3)`.
    """
    return _apply(model, _step(f"quantize_{method}", settings))


def distill(
    teacher: str | CompressedModel, student: str | CompressedModel | None = None, **settings: Any
) -> CompressedModel:
    """`distill(teacher, student)`: a new model, trained from the student to answer as the teacher does.

    Without a student the teacher itself is the start, for example with `student_layers=4`.
    """
    from compresslab.engine.session import shared_session

    step = DistillLogits.parse(settings, DistillLogits.name)
    return shared_session().apply(step, student if student is not None else teacher, teacher=teacher)


def evaluate(model: str | CompressedModel, recipe: Recipe | None = None) -> list[Measurement]:
    """Every measurement of the recipe (all metrics unless given), beside the model's own baseline."""
    from compresslab.engine.session import shared_session

    return shared_session().evaluate(model, recipe or Recipe())


def generate(
    model: str | CompressedModel,
    prompt: str | Sequence[Mapping[str, str]],
    decoding: Decoding | None = None,
    *,
    chat: bool | None = None,
    system: str = "",
    template: str | None = None,
) -> str:
    """`generate("storyteller", "Mia had a")`: the text that follows.

    Where the tokenizer has a chat template, the prompt is a question that the model answers, with `system` before it
    and by the `template` of that name if it has several; `chat=False` has it continued as a text all the same. A list
    of messages, dictionaries with `role` and `content`, is a conversation so far. Raises BadInput for a prompt that
    does not fit.
    """
    from compresslab.engine.session import shared_session

    session = shared_session()
    messages = not isinstance(prompt, str)
    offered = bool(session.facts_of(model).chat.named)
    form = chat_of(True if messages and chat is None else chat, system, template, offered=offered)
    return session.generate_text(model, _asked(prompt, form), decoding or Decoding())


def _asked(prompt: str | Sequence[Mapping[str, str]], form: Chat | None) -> str | Conversation:
    if isinstance(prompt, str):
        return prompt if form is None else form.conversation(prompt)
    if form is None:
        raise BadInput("generate.only_in_chats")
    return form.continued(parse_turns(prompt))


def save(model: CompressedModel, folder: str | Path) -> None:
    """Packed weights, config and tokenizer, in the place of what was there. Raises RunFailed where the disk says no."""
    from compresslab.engine.models.packing import write_folder

    with new_model_folder(Path(folder)) as temporary:
        write_folder(model, temporary)


def _step(name: str, settings: dict[str, Any]) -> Method:
    if name not in METHODS:
        kind, _, method = name.partition("_")
        known = [other.removeprefix(f"{kind}_") for other in METHODS if other.startswith(f"{kind}_")]
        raise BadInput("recipe.unknown_method_of_kind", method=method, kind=Message(f"kind.{kind}"), methods=known)
    return METHODS[name].parse(settings, name)


def _apply(model: str | CompressedModel, step: Method) -> CompressedModel:
    from compresslab.engine.session import shared_session

    return shared_session().apply(step, model)
