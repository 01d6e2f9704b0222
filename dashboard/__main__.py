"""`python -m compresslab_dashboard --host HOST --port PORT`: the dashboard's server, without a worker.

`compresslab dashboard` starts it. Theme and settings are in `.streamlit/config.toml` beside this file.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import streamlit as st
from compresslab.work.sign_in import secrets_file
from compresslab_dashboard.components import static

APP = Path(__file__).resolve().with_name("app.py")


def main() -> None:
    parser = ArgumentParser("python -m compresslab_dashboard", description="Started by `compresslab dashboard`.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8501)
    given = parser.parse_args()
    server = {"server.address": given.host, "server.port": given.port, "secrets.files": [str(secrets_file())]}
    st.App(APP, routes=[static.ROUTE]).run(config=server)


if __name__ == "__main__":
    main()
