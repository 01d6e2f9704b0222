"""What the Compare page asks of the worker: one prompt, or a set of them, of everyone who is compared."""

from __future__ import annotations

from collections.abc import Sequence

from compresslab.errors import BadInput, CompresslabError
from compresslab.recipes.generation_request import GenerateRequest
from compresslab_dashboard.compare.comparing import Comparing
from compresslab_dashboard.compare.members import Member
from compresslab_dashboard.session import state


def ask(members: Sequence[Member], prompts: Sequence[str], *, batch: bool = False) -> None:
    """Put it into the queue and show it; what can't be asked is said."""
    session = state.current()
    session.problem = ""
    comparing = state.own(Comparing)
    try:
        request = _request(members, prompts)
        owner = state.visitor().owner if batch else session.owner
        job = state.workspace().texts.submit(request, owner=owner, live=not batch)
    except CompresslabError as error:
        session.problem = error.message
        return
    if batch:
        comparing.batch = job
    else:
        comparing.texts = job


def _request(members: Sequence[Member], prompts: Sequence[str]) -> GenerateRequest:
    if not prompts or not prompts[0].strip():
        raise BadInput(state.words()("texts.empty_prompt"))
    first, *further = prompts
    panes = tuple(member.pane() for member in members)
    return GenerateRequest(prompt=first, further=tuple(further), panes=panes, decoding=state.current().decoding)
