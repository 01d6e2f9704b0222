"""A folder goes to the Hugging Face Hub, when someone asks for it by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compresslab.errors import BadInput, RunFailed, first_line
from compresslab.messages import Message

REPOSITORY = re.compile(r"^[\w.-]+/[\w.-]+$")


def check_push(name: str) -> None:
    """Raises BadInput for what can't be a repository, and where nobody is signed in. Asks nobody yet."""
    from huggingface_hub import get_token

    if not REPOSITORY.match(name):
        raise BadInput("hub.bad_repository", name=name)
    if not get_token():
        raise BadInput("hub.signed_out")


def make_repository(name: str) -> None:
    """Private, where it is not there yet. Raises RunFailed where the Hub says no: before any work is done for it."""
    from huggingface_hub import HfApi

    with _clear_failures(Message("hub.nothing_written")):
        HfApi().create_repo(name, exist_ok=True, private=True)


def push_folder(folder: Path, name: str) -> None:
    """Upload the folder as it is. Raises RunFailed where the Hub says no; the folder stays."""
    from huggingface_hub import HfApi

    with _clear_failures(Message("hub.export_kept", folder=folder)):
        HfApi().upload_folder(repo_id=name, folder_path=folder, commit_message="Export of compresslab")


@contextmanager
def _clear_failures(state: Message) -> Iterator[None]:
    """One sentence that begins with what there is now."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except HfHubHTTPError as error:
        raise RunFailed("hub.refused", state=state, reason=first_line(error)) from None
    except (HTTPError, OSError) as error:
        raise RunFailed("hub.push_failed", state=state, reason=first_line(error)) from None
