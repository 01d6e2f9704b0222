"""`python -m compresslab_dashboard --host HOST --port PORT`: the dashboard's server, without a worker.

`compresslab dashboard` starts it. Theme and settings are in `.streamlit/config.toml` beside this file.
"""

from __future__ import annotations

import os
import signal
import time
from argparse import ArgumentParser
from pathlib import Path

import streamlit as st
from compresslab.files.paths import keep_private
from compresslab.files.reading import LARGEST_TEXT
from compresslab.work import processes
from compresslab.work.sign_in import secrets_file
from compresslab_dashboard.components import static
from compresslab_dashboard.shell.gate import Gate
from starlette.middleware import Middleware

END_SECONDS = 6.0  # for visitors to be told
APP = Path(__file__).resolve().with_name("app.py")


def main() -> None:
    parser = ArgumentParser("python -m compresslab_dashboard", description="Started by `compresslab dashboard`.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument(processes.FOLLOW, action="store_true", help="end when standard input ends")
    given = parser.parse_args()
    keep_private()
    if given.follow:
        processes.when_parent_ends(end)
    server = {
        "server.address": given.host,
        "server.port": given.port,
        "server.maxUploadSize": LARGEST_TEXT // 2**20,
        "secrets.files": [str(secrets_file())],
    }
    st.App(APP, routes=[static.ROUTE], middleware=[Middleware(Gate)]).run(config=server)


def end() -> None:
    """As Ctrl-C does, and then for certain."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
