"""`python -m compresslab_dashboard.report RUN... --out FILE`: what `compresslab report` starts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from compresslab.errors import CompresslabError
from compresslab.workspace import Workspace
from compresslab_dashboard.report.writing import write
from compresslab_dashboard.texts import LANGUAGES


def main() -> int:
    parser = argparse.ArgumentParser(prog="compresslab report")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--language", choices=list(LANGUAGES), default="en")
    asked = parser.parse_args()
    try:
        write(Workspace(), asked.runs, asked.out, asked.language)
    except CompresslabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
