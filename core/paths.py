"""Where things lie on disk: the user's data folder, the store, and what the project ships."""

import os
from pathlib import Path

import platformdirs

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BUNDLED_MODEL = ASSETS / "storyteller"
EVALUATION = ASSETS / "evaluation"


def home() -> Path:
    """The user's data folder, made on first use; `COMPRESSLAB_HOME` moves it."""
    folder = Path(os.environ.get("COMPRESSLAB_HOME") or platformdirs.user_data_dir("compresslab"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def store_url() -> str:
    """SQLAlchemy URL of the store; `COMPRESSLAB_STORE` names another database."""
    return os.environ.get("COMPRESSLAB_STORE") or f"sqlite:///{home() / 'store.db'}"


def run_folder(run_id: str) -> Path:
    """Where a run keeps its packed weights. Not created here."""
    return home() / "runs" / run_id
