"""Where things lie on disk: the user's data folder, the store, and what the project ships."""

import os
from importlib import import_module
from pathlib import Path

import platformdirs
from compresslab.errors import BadInput, reason

ASSETS = Path(import_module("compresslab_assets").__path__[0])
BUNDLED_MODEL = ASSETS / "storyteller"
EVALUATION = ASSETS / "evaluation"
FOLDERS = "COMPRESSLAB_FOLDERS"  # those that people may read on a server open to others, as in PATH


def home() -> Path:
    """The user's data folder, made on first use, for nobody else to read; `COMPRESSLAB_HOME` moves it, and who may read
    a folder that is there already is for whoever made it to say. Raises BadInput."""
    folder = _home()
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(0o700, exist_ok=True)
    except OSError as error:
        raise BadInput("home.not_made", folder=folder, reason=reason(error)) from None
    return folder


def _home() -> Path:
    return Path(os.environ.get("COMPRESSLAB_HOME") or platformdirs.user_data_dir("compresslab"))


def is_private(path: Path) -> bool:
    """Within the data folder: for nobody else to read, prompts and texts of people among it."""
    return path.absolute().is_relative_to(_home().absolute())


def keep_private() -> None:
    """Whatever this process writes from now on is for its user alone."""
    os.umask(0o077)


def is_shared() -> bool:
    """Whether this process serves others than the user of this machine."""
    return FOLDERS in os.environ


def user_path(name: str) -> Path:
    """The place on this machine that a user names, there or not. Where a server is open to others it says by
    `COMPRESSLAB_FOLDERS` which folders they may read; raises BadInput for a place outside them, and for no path at all.
    """
    try:
        path = Path(name).expanduser()
        outside = is_shared() and not _within(path, readable_folders())
        if not outside:
            path.exists()  # refuses a name that no system takes
    except (OSError, ValueError, RuntimeError):  # too long, a character of code 0, ~nobody, a link to itself
        raise BadInput("path.impossible", path=name[:80]) from None
    if outside:
        raise BadInput("path.outside", path=name)
    return path


def readable_folders() -> list[Path]:
    """Of a server open to others. Of the data folder only what people brought and took out: it holds secrets too."""
    given = filter(None, os.environ[FOLDERS].split(os.pathsep))
    return [*map(Path, given), home() / "texts", home() / "exports", ASSETS]


def _within(path: Path, folders: list[Path]) -> bool:
    """Links and dots followed: what counts is where it really is."""
    return any(path.resolve().is_relative_to(folder.expanduser().resolve()) for folder in folders)


def store_url() -> str:
    """SQLAlchemy URL of the store; `COMPRESSLAB_STORE` names another database."""
    return os.environ.get("COMPRESSLAB_STORE") or f"sqlite:///{home() / 'store.db'}"


def run_folder(run_id: str) -> Path:
    """Where a run keeps its packed weights. Not created here."""
    return home() / "runs" / run_id
