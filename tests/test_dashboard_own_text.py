"""A text of one's own in the Studio: pasted, previewed, refused, used."""

from __future__ import annotations

from compresslab.data.texts import calibration_text
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE


def draw() -> None:
    import streamlit as st
    from compresslab_dashboard.session import state
    from compresslab_dashboard.studio.own_text import own_text

    own_text(state.workspace().models.facts("storyteller"), state.words())
    st.text(state.current().recipe.calibration.text, help=None)


def test_a_pasted_text_is_previewed_and_then_used():
    app = AppTest.from_function(draw, default_timeout=PATIENCE).run()
    assert app.text[0].value == "bundled" and not any(button.key == "own_use" for button in app.button)
    app.text_area(key="own_paste").set_value("Once there was a text. " * 50).run()
    assert "A text of 250 words" in app.markdown[0].value and app.text[0].value == "bundled"
    app.button(key="own_use").click().run()
    assert not app.exception
    assert calibration_text(app.text[0].value).startswith("Once there was a text.")


def test_questions_that_are_none_are_refused_by_their_line():
    app = AppTest.from_function(draw, default_timeout=PATIENCE).run()
    app.segmented_control(key="own_purpose").set_value("questions").run()
    app.text_area(key="own_paste").set_value('{"prompt": "x"}').run()
    assert "line 1 needs the keys prompt, choices and answer" in app.error[0].value
    assert not any(button.key == "own_use" for button in app.button)
