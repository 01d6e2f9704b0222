"""Who asks for something, and the one answer to whether they may delete, stop, clear or change what is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compresslab.errors import BadInput
from compresslab.files.paths import is_shared
from compresslab.messages import Message
from compresslab.store import Store

ADMINS = "COMPRESSLAB_ADMINS"  # ids and verified e-mail addresses, separated by commas
LONGEST_ID = 64  # letters that the store keeps


@dataclass(frozen=True)
class Visitor:
    """`owner` is whose the runs and jobs are that they ask for: an id of the provider's, else the session's own.
    What nobody signed in for, as on the command line, is owned by "". Live jobs belong to the `session`."""

    owner: str = ""
    session: str = ""
    name: str = ""
    signed_in: bool = False
    admin: bool = False


HERE = Visitor()  # the user of this machine


def signed_in(claims: Mapping[str, Any], session: str) -> Visitor:
    """From what the provider says of somebody: `sub` never changes, and nobody else ever has it."""
    person = str(claims.get("sub") or claims.get("email") or session)
    owner = person if len(person) <= LONGEST_ID else hashlib.sha256(person.encode()).hexdigest()
    email = str(claims.get("email") or "")
    name = str(claims.get("name") or email or person)
    proved = claims.get("email_verified") in (True, "true")  # anybody may claim to have an address
    admin = bool({person, *([email.lower()] if proved else [])} & _admins())
    return Visitor(owner, session, name, signed_in=True, admin=admin)


def _admins() -> set[str]:
    given = {name.strip() for name in os.environ.get(ADMINS, "").split(",")} - {""}
    return given | {name.lower() for name in given if "@" in name}


def refusal(store: Store, visitor: Visitor, owner: str) -> Message | None:
    """Why they may not delete, stop or change what `owner` asked for; None where they may.

    Where nobody signs in everybody may: a session is no name that could be asked for again.
    """
    if not visitor.signed_in or visitor.admin or (owner and owner in (visitor.owner, visitor.session)):
        return None
    name = store.people.name(owner) if owner else None
    return Message("owner.other", name=name) if name else Message("owner.nobody")


def refusal_of_machine(visitor: Visitor) -> Message | None:
    """The same for what belongs to nobody but the machine: caches, models of the Hub, left-overs."""
    if visitor.admin or not (visitor.signed_in or is_shared()):
        return None
    return Message("owner.admins") if visitor.signed_in else Message("server.local_only")


def check(store: Store, visitor: Visitor, owner: str) -> None:
    """Raises BadInput with the reason of `refusal`."""
    _check(refusal(store, visitor, owner))


def check_machine(visitor: Visitor) -> None:
    """Raises BadInput with the reason of `refusal_of_machine`."""
    _check(refusal_of_machine(visitor))


def _check(reason: Message | None) -> None:
    if reason is not None:
        raise BadInput(reason)
