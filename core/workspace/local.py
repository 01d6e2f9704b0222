"""What is for the user of this machine alone, and not for visitors of a server."""

from __future__ import annotations

from compresslab.errors import BadInput
from compresslab.files.paths import is_shared


def only_here() -> None:
    """Raises BadInput in a process that serves others."""
    if is_shared():
        raise BadInput("server.local_only")
