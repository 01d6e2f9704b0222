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

from compresslab.errors import BadInput, reason
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
        raise BadInput("sign_in.not_toml", path=path, reason=error) from None
    except OSError as error:
        raise BadInput("sign_in.unreadable", path=path, reason=reason(error)) from None
    if "auth" not in content:
        return None
    return content["auth"] if isinstance(content["auth"], dict) else {}


def _check(auth: dict[str, Any]) -> None:
    path = secrets_file()
    missing = [name for name in NEEDED if not isinstance(auth.get(name), str) or not auth[name]]
    if missing:
        raise BadInput("sign_in.missing", path=path, keys=list(missing))
    if len(auth["cookie_secret"]) < SHORTEST_SECRET:
        raise BadInput("sign_in.short_secret", path=path, shortest=SHORTEST_SECRET)
    if not _is_url(auth["redirect_uri"]) or not auth["redirect_uri"].endswith(CALLBACK):
        raise BadInput("sign_in.bad_redirect", path=path, callback=CALLBACK)
    if not _is_url(auth["server_metadata_url"]):
        raise BadInput("sign_in.bad_provider", path=path)
    if any(find_spec(package) is None for package in PACKAGES):
        raise BadInput("sign_in.needs_packages")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
