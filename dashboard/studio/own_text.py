"""A text of one's own: uploaded or pasted, shown as it was understood, and put to use."""

from __future__ import annotations

import streamlit as st
from compresslab.data.own_texts import SUFFIXES, OwnText, Purpose, keep, understand
from compresslab.errors import CompresslabError
from compresslab.files.reading import LARGEST_TEXT
from compresslab.models.facts import ModelFacts
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats

PURPOSES: tuple[Purpose, ...] = ("calibration", "evaluation", "questions")
PASTED = {"calibration": "pasted.txt", "evaluation": "pasted.txt", "questions": "pasted.jsonl"}


def own_text(facts: ModelFacts | None, words: Words) -> None:
    with st.popover(words("own"), key="own_text", width="stretch"):
        purpose: Purpose = st.segmented_control(
            words("own.purpose"),
            options=PURPOSES,
            format_func=lambda name: words(f"own.{name}"),
            default=PURPOSES[0],
            key="own_purpose",
            required=True,
        )
        st.caption(words(f"own.{purpose}.help"))
        content, name = _given(purpose, words)
        if content and facts is not None:
            _use(content, name, purpose, facts, words)


def _given(purpose: Purpose, words: Words) -> tuple[bytes, str]:
    uploaded = st.file_uploader(
        words("own.upload"),
        type=[suffix.removeprefix(".") for suffix in SUFFIXES],
        key="own_upload",
        max_upload_size=LARGEST_TEXT // 2**20,
    )
    pasted = st.text_area(words("own.paste"), key="own_paste", height=120, disabled=uploaded is not None)
    if uploaded is not None:
        return uploaded.getvalue(), uploaded.name
    return pasted.encode(), PASTED[purpose]


def _use(content: bytes, name: str, purpose: Purpose, facts: ModelFacts, words: Words) -> None:
    try:
        _preview(understand(content, name, purpose, facts), words)
    except CompresslabError as error:
        st.error(escaped(words.said(error.message)))
        return
    if st.button(words("own.use"), key="own_use", type="primary"):
        sketch = state.current().editing.sketch
        part = "calibration" if purpose == "calibration" else "evaluation"
        field = "questions" if purpose == "questions" else "text"
        path = keep(content, name, purpose, facts)
        changed = getattr(sketch.base, part).model_copy(update={field: str(path)})
        state.replace_sketch(state.set_base(**{part: changed}))
        st.rerun()


def _preview(found: OwnText, words: Words) -> None:
    """What it was understood to be, before it is used."""
    if found.examples is None:
        st.markdown(words("own.text_found", words=f"{found.words:,}", size=formats.file_size(found.bytes)))
    else:
        st.markdown(words("own.examples_found", count=f"{found.examples:,}"))
    st.code(found.beginning, language=None, wrap_lines=True, height=120)
