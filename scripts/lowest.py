"""Every test that needs no browser and no site, with the oldest packages that pyproject.toml allows: `make lowest`.

Needs nothing but Python: an environment of its own is made in .lowest. torch is the one of constraints.txt, as a small
build for the CPU: uv would fetch it with all of CUDA.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

from scripts.setup import pinned

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".lowest"
BIN = VENV / "bin"
PINS = VENV / "pins.txt"
LEFT_OUT = ("gpu", "docs")  # extras: no test without a browser needs a GPU, and the site is built with newer tools


def main() -> None:
    run(sys.executable, "-m", "venv", "--clear", VENV)
    run(BIN / "pip", "install", "--quiet", "uv", f"torch=={pinned('torch')}")
    resolve()
    run(BIN / "uv", "pip", "install", "--python", BIN / "python", "--no-deps", "-r", PINS)
    run(BIN / "pip", "install", "--quiet", "--no-deps", "--editable", ROOT)
    run(BIN / "pip", "check")
    run(BIN / "python", "-m", "pytest", "-m", "not browser and not site", *sys.argv[1:])


def resolve() -> None:
    """Of what we ask for ourselves the oldest, of what that brings the newest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for name in extras.keys() - LEFT_OUT for one in extras[name])]
    wanted = "\n".join(one for one in asked if not one.startswith("torch>"))
    run(
        BIN / "uv",
        "pip",
        "compile",
        "-",
        "--resolution",
        "lowest-direct",
        "--quiet",
        "--output-file",
        PINS,
        stdin=wanted,
    )


def run(*command: object, stdin: str | None = None) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, input=stdin, text=True)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
