"""Files that the browser fetches once, from where they are installed: plotly, the components' own scripts and styles.

Streamlit sends inline scripts again in every message, so a component's message holds only a line that imports the
script by its address. The address carries the content's hash: a new version is never mistaken for an old one, and the
browser need not ask again.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import plotly
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

FOLDER = "files"  # of the address
HERE = Path(__file__).resolve().parent
PLOTLY = Path(plotly.__file__).resolve().parent / "package_data" / "plotly.min.js"
TYPES = {".js": "text/javascript", ".css": "text/css"}  # what a machine thinks of a suffix may be anything
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@lru_cache(maxsize=1)
def plotly_url() -> str:
    return f"{FOLDER}/{_named(PLOTLY)}"


@lru_cache(maxsize=8)
def loader(name: str) -> str:
    """The script of a component: fetches its `name`.js and `name`.css once and hands everything on."""
    script, style = (f"{FOLDER}/{_named(HERE / f'{name}.{suffix}')}" for suffix in ("js", "css"))
    return f"""const at = (path) => new URL(path, document.baseURI).href;
const parts = Promise.all([import(at("{script}")), fetch(at("{style}")).then((answer) => answer.text())]);
export default async (args) => {{ const [script, css] = await parts; return script.default(args, css); }};
"""


def _answer(request: Request) -> FileResponse:
    file = _files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    return FileResponse(file, media_type=TYPES[file.suffix], headers=FOR_EVER)


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    return {_named(file): file for file in (PLOTLY, *HERE.glob("*.js"), *HERE.glob("*.css"))}


def _named(file: Path) -> str:
    return f"{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:10]}{file.suffix}"


ROUTE = Route(f"/{{base:path}}{FOLDER}/{{name}}", _answer)  # for the server, which may be below some path
