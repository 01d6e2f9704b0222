"""What can go wrong, each as one sentence that names the cause and the way out."""

import errno
from collections.abc import Mapping
from typing import Any

from compresslab.messages import Message, message, plain

# What people can do something about; the rest is told as the system tells it.
_SYSTEM = {
    errno.ENOSPC: "os.no_space",
    errno.EDQUOT: "os.quota",
    errno.EACCES: "os.not_allowed",
    errno.EPERM: "os.not_permitted",
    errno.EROFS: "os.read_only",
    errno.ENOENT: "os.not_there",
    errno.EEXIST: "os.there_already",
    errno.EISDIR: "os.is_folder",
    errno.ENOTDIR: "os.is_no_folder",
    errno.ENAMETOOLONG: "os.name_too_long",
    errno.EIO: "os.input_output",
}


class CompresslabError(Exception):
    """A failure that a person can read: `BadInput(code, **values)`, whose sentence a catalogue has; `str` is English.

    `exit_code` is what the command line returns.
    """

    exit_code = 1

    def __init__(self, said: str | Message, /, **values: Any) -> None:
        self.message = message(said, **values)
        super().__init__(self.message)

    @property
    def code(self) -> str:
        return self.message.code

    @property
    def values(self) -> Mapping[str, Any]:
        return self.message.values


class BadInput(CompresslabError):
    """The request can't be carried out as given: nothing was started, nothing was written."""

    exit_code = 2


class RunFailed(CompresslabError):
    """The work began and could not be finished."""


class Cancelled(CompresslabError):
    """The work was stopped on request."""

    def __init__(self, said: str | Message = "job.stopped", /, **values: Any) -> None:
        super().__init__(said, **values)


def first_line(error: BaseException) -> Message:
    """What another library said: its first line, with the one after it where it ends in a colon; else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return plain(" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])


def reason(error: OSError) -> Message:
    """Why the system refused."""
    number = error.errno or 0
    if number in _SYSTEM:
        return Message(_SYSTEM[number])
    return plain(error.strerror) if error.strerror else first_line(error)
