"""Tables as CSV that no spreadsheet takes for formulas. No Streamlit."""

from __future__ import annotations

from csv import QUOTE_NONNUMERIC

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet computes, also behind white space
_MARK = "\ufeff"  # tells a spreadsheet that the file is UTF-8


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a mark at the start; texts that begin like a formula stand behind an apostrophe, numbers do not."""
    safe = frame.map(as_text).rename(columns=as_text)
    return (_MARK + safe.to_csv(index=False, quoting=QUOTE_NONNUMERIC)).encode()


def as_text(cell: object) -> object:
    """A text that would be computed, marked as text; everything else as it is."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA):
        return f"'{cell}"
    return cell
