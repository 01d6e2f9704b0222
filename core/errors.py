"""What can go wrong, each as one sentence that names the cause and the way out."""


class CompresslabError(Exception):
    """A failure that a person can read. `exit_code` is what the command line returns."""

    exit_code = 1


class BadInput(CompresslabError):
    """The request can't be carried out as given: nothing was started, nothing was written."""

    exit_code = 2


class RunFailed(CompresslabError):
    """The work began and could not be finished."""


class Cancelled(CompresslabError):
    """The work was stopped on request."""

    def __init__(self, reason: str = "Stopped on request.") -> None:
        super().__init__(reason)


def first_line(error: BaseException) -> str:
    """What another library said, cut to its first line; its kind where it said nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
