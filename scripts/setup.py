"""Install everything into .venv, once: `make setup`. Needs nothing but Python and its standard library.

A second call returns at once: a stamp inside .venv remembers the files, the Python and the folder it was for.
"""

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "compresslab-setup"
NAMES = VENV / "names"
CONSTRAINTS = ROOT / "constraints.txt"
VERSION = ".".join(str(part) for part in sys.version_info[:2])


def main() -> None:
    require_python()
    wanted = fingerprint()
    if is_done(wanted):
        return
    if not fits():
        print(f"Making .venv with Python {VERSION}.", flush=True)
        run(sys.executable, "-m", "venv", "--clear", str(VENV))
    install()
    STAMP.write_text(wanted)
    print("Everything is installed in .venv.", flush=True)


def require_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whatever Python there is runs this
        sys.exit(
            f"compresslab needs Python 3.11 or newer and this is {VERSION}: "
            "name a newer one, for example `make setup PYTHON=python3.12`."
        )
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        sys.exit(
            "This Python cannot make virtual environments: "
            "on Debian and Ubuntu `sudo apt-get install python3-venv` brings what is missing."
        )


def fingerprint() -> str:
    """What the environment depends on. The folder counts too: console scripts hold their own path."""
    digest = hashlib.sha256(f"{VERSION}\n{VENV}\n".encode())
    for file in (ROOT / "pyproject.toml", ROOT / "setup.py", CONSTRAINTS):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_done(wanted: str) -> bool:
    return (
        STAMP.is_file() and STAMP.read_text() == wanted and PYTHON.exists() and (VENV / "bin" / "compresslab").exists()
    )


def fits() -> bool:
    """Whether .venv is a whole environment of this Python, made in this folder."""
    config = VENV / "pyvenv.cfg"
    if not config.is_file() or str(VENV) not in config.read_text():
        return False
    try:
        answer = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, text=True)
    except OSError:
        return False
    return answer.returncode == 0 and f"(python {VERSION})" in answer.stdout


def install() -> None:
    # torch first, alone and exactly: so pip takes a small CPU build where there is one, and what follows
    # finds torch in place.
    print("Installing the packages: a few minutes and about 2 GB, this once.", flush=True)
    run(PYTHON, "-m", "pip", "install", f"torch=={pinned('torch')}")
    run(PYTHON, "-m", "pip", "install", "-e", ".[dev,docs]", "-c", CONSTRAINTS)
    link_names()


def link_names() -> None:
    """The import names as links to their folders: mypy does not look where an editable install points."""
    NAMES.mkdir(exist_ok=True)
    for name, folder in (("compresslab", "core"), ("compresslab_dashboard", "dashboard")):
        (NAMES / name).unlink(missing_ok=True)
        (NAMES / name).symlink_to(ROOT / folder)


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE)
    if not found:
        sys.exit(f"constraints.txt does not pin {package}: add a line `{package}==VERSION`.")
    return found[1]


def run(*command: object) -> None:
    if subprocess.run([str(part) for part in command], cwd=ROOT).returncode:
        sys.exit(
            "The set-up stopped at the error above: "
            "see that the network and about 5 GB of disk are there, then run `make setup` again to go on."
        )


if __name__ == "__main__":
    main()
