"""Conversations as tokens, rendered by the tokenizer's own template in transformers' sandbox."""

from __future__ import annotations

from compresslab.data.conversations import Conversation
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import prompt_ids, reading
from compresslab.errors import BadInput, first_line

Prompt = str | Conversation


def token_ids(model: CompressedModel, prompt: Prompt) -> list[int]:
    """What the model reads before it writes. Raises BadInput for a model or a template that does not fit."""
    if isinstance(prompt, Conversation):
        return conversation_ids(model, prompt)
    with reading(model):
        if model.facts.task == "seq2seq":  # read by the encoder, which knows a text by its end
            return list(model.tokenizer(prompt, verbose=False).input_ids)
        return prompt_ids(model.tokenizer, [prompt])[0]


def conversation_ids(model: CompressedModel, conversation: Conversation) -> list[int]:
    """The ids of `apply_chat_template(messages, add_generation_prompt=True)`.

    The template's text is given, never its name: transformers would take the name of one that does not exist for the
    text. Nor does anything else reach it by name, for it swallows what it does not know. Raises BadInput.
    """
    facts = model.facts
    template = facts.chat.text(conversation.template, facts.name)
    messages = [turn.model_dump() for turn in conversation.turns]
    try:
        rendered = model.tokenizer.apply_chat_template(
            messages, chat_template=template, add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # a stranger's program: it raises whatever it likes
        raise BadInput("chat.template_fails", name=facts.name, reason=first_line(error)) from error
    with reading(model):
        return list(model.tokenizer(rendered, add_special_tokens=False, verbose=False).input_ids)
