"""Files that the browser fetches once: plotly and the components' own scripts and styles.

Streamlit sends inline scripts again in every message, so a component's message holds only a line that imports the
script by its address. The address carries the content's hash: a new version is never mistaken for an old one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import plotly

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "static"  # Streamlit serves the folder of this name beside the app's script; git ignores it
PLOTLY = Path(plotly.__file__).resolve().parent / "package_data" / "plotly.min.js"


@lru_cache(maxsize=1)
def plotly_url() -> str:
    return f"app/static/{_publish(PLOTLY, f'plotly-{plotly.__version__}.min.js')}"


@lru_cache(maxsize=8)
def loader(name: str) -> str:
    """The script of a component: fetches the published `name`.js and `name`.css once and hands everything on."""
    script, style = (_publish(HERE / f"{name}.{suffix}") for suffix in ("js", "css"))
    return f"""const at = (name) => new URL("app/static/" + name, document.baseURI).href;
const parts = Promise.all([import(at("{script}")), fetch(at("{style}")).then((answer) => answer.text())]);
export default async (args) => {{ const [script, css] = await parts; return script.default(args, css); }};
"""


def _publish(source: Path, name: str | None = None) -> str:
    """Copy the file to where it is served, unless it lies there already; its name there."""
    name = name or f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:10]}{source.suffix}"
    target = STATIC / name
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        STATIC.mkdir(exist_ok=True)
        _write(source, target)
    return name


def _write(source: Path, target: Path) -> None:
    """Whole or not at all: a browser, or a second server, may be reading."""
    handle, temporary = tempfile.mkstemp(dir=STATIC, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(source.read_bytes())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(target)
