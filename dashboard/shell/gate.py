"""What every request passes before Streamlit sees it: files come from those alone who were let in at the door, and no
other site shows our pages in a frame."""

from __future__ import annotations

import re
from typing import Any

from cachetools import LRUCache
from streamlit.runtime.scriptrunner import get_script_run_ctx

UPLOAD = re.compile(r"/_stcore/upload_file/(?P<session>[^/]+)/")
METRICS = "/_stcore/metrics"  # of the server: its operator reads the log
MOST_SESSIONS = 10_000  # remembered; who is forgotten is let in again with the next rerun
HEADERS = [
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]

_let_in: LRUCache[str, bool] = LRUCache(MOST_SESSIONS)


def let_in() -> None:
    """The session of this rerun has passed the door."""
    context = get_script_run_ctx()
    if context is not None:
        _let_in[context.session_id] = True


class Gate:
    """ASGI middleware."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = _refusal(scope["path"], scope["method"])
        if status is not None:
            await send({"type": "http.response.start", "status": status, "headers": HEADERS})
            return await send({"type": "http.response.body", "body": b""})

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in HEADERS if h[0] not in there)]
            await send(message)

        return await self._app(scope, receive, send_guarded)


def _refusal(path: str, method: str) -> int | None:
    upload = UPLOAD.search(path)
    if upload is not None and method != "OPTIONS" and upload["session"] not in _let_in:
        return 403
    return 404 if path.endswith(METRICS) else None
