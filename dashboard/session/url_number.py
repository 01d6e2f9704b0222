"""The number of a job or a sweep, as an address carries it."""

from __future__ import annotations

import re

DIGITS = 15  # what a store counts to, and more


def url_number(text: str | None) -> int | None:
    """None for whatever is not such a number: people mistype addresses, and isdigit() takes "²" for one."""
    return int(text) if text and re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", text) else None
