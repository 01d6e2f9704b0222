"""Who may come in: `secrets.toml` in the data folder may name an OpenID Connect provider in a section [auth].

Checked before a server starts and at every visit. What can't be understood keeps the door shut: a file with a slip of
the pen must not open a server to everyone.
"""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from compresslab.errors import BadInput
from compresslab.files.paths import home

NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
CALLBACK = "/oauth2callback"  # where Streamlit takes what the provider answers
SHORTEST_SECRET = 32  # letters: whoever guesses it can sign in as anybody
PACKAGES = ("authlib", "httpx")


def secrets_file() -> Path:
    return home() / "secrets.toml"


def is_required() -> bool:
    """Whether visitors have to sign in. Raises BadInput where they have to and can't."""
    auth = _auth_section()
    if auth is None:
        return False
    _check(auth)
    return True


def metadata_url() -> str:
    """Where the provider says what it can do. Raises BadInput."""
    return str((_auth_section() or {}).get("server_metadata_url", ""))


def _auth_section() -> dict[str, Any] | None:
    """None where there is none. Raises BadInput for a file that can't be read."""
    path = secrets_file()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is not valid TOML ({error}); mend it, or take it away to ask nobody to sign in."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}); make it readable for compresslab.") from None
    if "auth" not in content:
        return None
    return content["auth"] if isinstance(content["auth"], dict) else {}


def _check(auth: dict[str, Any]) -> None:
    path = secrets_file()
    missing = [name for name in NEEDED if not isinstance(auth.get(name), str) or not auth[name]]
    if missing:
        raise BadInput(f"[auth] in {path} lacks {', '.join(missing)}; nobody can sign in without.")
    if len(auth["cookie_secret"]) < SHORTEST_SECRET:
        raise BadInput(
            f"cookie_secret in {path} is too short to be safe; take {SHORTEST_SECRET} random letters or more."
        )
    if not _is_url(auth["redirect_uri"]) or not auth["redirect_uri"].endswith(CALLBACK):
        raise BadInput(
            f"redirect_uri in {path} must be this server's address as people type it, followed by {CALLBACK}, as in "
            f"https://lab.example.org{CALLBACK}."
        )
    if not _is_url(auth["server_metadata_url"]):
        raise BadInput(
            f"server_metadata_url in {path} must be the address of the provider's openid-configuration, beginning with "
            "https://."
        )
    if any(find_spec(package) is None for package in PACKAGES):
        raise BadInput('Signing in needs packages that are not installed: pip install "compresslab[server]".')


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
