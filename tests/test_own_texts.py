"""Texts that people upload or paste: what is understood, what is refused with its line, what is kept."""

from __future__ import annotations

import pytest
from compresslab.data import own_texts
from compresslab.data.own_texts import keep, understand
from compresslab.data.texts import calibration_text, evaluation_questions
from compresslab.errors import BadInput
from compresslab.models.facts import read_facts

GOOD = '{"prompt": "Two and two is", "choices": [" four", " five"], "answer": 0}\n'


@pytest.fixture(scope="module")
def facts():
    return read_facts("storyteller")


def test_a_running_text_is_shown_as_it_was_understood_and_nothing_is_kept(facts, own_home):
    found = understand("Ein Text. 一段文字。 ".encode() * 40, "my text.txt", "calibration", facts)
    assert found.words == 120 and found.examples is None and found.beginning.startswith("Ein Text. 一段文字。")
    assert list((own_home / "texts").iterdir()) == []


def test_what_is_kept_can_be_named_in_a_recipe_and_is_kept_once(facts, own_home):
    content = b"Once there was a text. " * 50
    path = keep(content, "../../etc/My stories!.txt", "calibration", facts)
    assert path.parent == own_home / "texts" and path.name.endswith("-My-stories.txt")
    assert calibration_text(str(path)) == content.decode()
    assert keep(content, "My stories!.txt", "evaluation", facts) == path
    assert list((own_home / "texts").iterdir()) == [path]


def test_questions_are_counted_and_the_first_is_shown(facts):
    found = understand(GOOD.encode() * 3, "mine.jsonl", "questions", facts)
    assert (found.examples, found.beginning) == (3, "Two and two is")
    assert len(evaluation_questions(str(keep(GOOD.encode() * 3, "mine.jsonl", "questions", facts)))) == 3


@pytest.mark.parametrize(
    ("content", "name", "purpose", "says"),
    [
        (GOOD + "oh no", "mine.jsonl", "questions", r"^mine\.jsonl, line 2 is not valid JSON"),
        (GOOD + '{"prompt": "x"}', "mine.jsonl", "questions", r"^mine\.jsonl, line 2 needs the keys prompt, choices"),
        (GOOD.replace("0}", "2}"), "q.jsonl", "questions", r"^q\.jsonl, line 1: answer is 2; give the number"),
        ("", "empty.txt", "evaluation", r"^empty\.txt is empty"),
        ("a\0b", "binary.txt", "calibration", r"^binary\.txt contains binary data"),
        ("text", "picture.png", "calibration", r"^picture\.png is not a text file"),
        ("only a text", "text.txt", "questions", r"^text\.txt, line 1 is not valid JSON"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line_and_leaves_nothing(facts, own_home, content, name, purpose, says):
    with pytest.raises(BadInput, match=says):
        keep(content.encode(), name, purpose, facts)
    assert not list(own_home.glob("texts/*"))


def test_a_text_that_is_too_large_is_refused_before_it_is_read(facts, monkeypatch):
    monkeypatch.setattr(own_texts, "LARGEST_TEXT", 2**20)
    with pytest.raises(BadInput, match=r"large\.txt has 2 MB, and files may have 1 MB"):
        understand(b"a " * 2**20, "large.txt", "calibration", facts)
