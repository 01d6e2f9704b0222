"""Where things lie on disk: the user's data folder, the store, and what the project ships."""

import os
from pathlib import Path

import platformdirs

from core.errors import BadInput

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BUNDLED_MODEL = ASSETS / "storyteller"
EVALUATION = ASSETS / "evaluation"


def home() -> Path:
    """The user's data folder, made on first use; `COMPRESSLAB_HOME` moves it. Raises BadInput."""
    folder = Path(os.environ.get("COMPRESSLAB_HOME") or platformdirs.user_data_dir("compresslab"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "it failed").lower()
        raise BadInput(f"The data folder {folder} can't be made ({reason}); set COMPRESSLAB_HOME to another.") from None
    return folder


def store_url() -> str:
    """SQLAlchemy URL of the store; `COMPRESSLAB_STORE` names another database."""
    return os.environ.get("COMPRESSLAB_STORE") or f"sqlite:///{home() / 'store.db'}"


def run_folder(run_id: str) -> Path:
    """Where a run keeps its packed weights. Not created here."""
    return home() / "runs" / run_id
