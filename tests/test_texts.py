"""Texts and questions: what is read, and one sentence for what can't be."""

import os
import sys
import types
from collections import Counter

import pytest
from compresslab.data.hub_text import read_hub_text
from compresslab.data.texts import Question, check_file, evaluation_questions, evaluation_text, read_questions
from compresslab.errors import BadInput
from compresslab.files.reading import read_text

GOOD = '{"prompt": "The sky is", "choices": [" blue", " loud"], "answer": 0, "kind": "sky"}'


def test_questions_of_ones_own(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(GOOD + "\n\n" + GOOD.replace("0", "1") + "\n")
    assert read_questions(file) == [
        Question("The sky is", (" blue", " loud"), 0, "sky"),
        Question("The sky is", (" blue", " loud"), 1, "sky"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is not valid JSON"),
        ("[1]", "line 2 needs the keys"),
        ('{"prompt": "a", "choices": ["b", "c"]}', "line 2 needs the keys"),
        ('{"prompt": "", "choices": ["b", "c"], "answer": 0}', "line 2: prompt must be"),
        ('{"prompt": "a", "choices": ["b"], "answer": 0}', "line 2: choices must be"),
        ('{"prompt": "a", "choices": ["b", "c"], "answer": 2}', "from 0 to 1"),
        ('{"prompt": "a", "choices": ["b", "c"], "answer": true}', "from 0 to 1"),
    ],
)
def test_a_wrong_question_is_named_by_its_line(tmp_path, line, says):
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(BadInput, match=says):
        read_questions(file)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_sign_that_some_take_for_a_line_end_may_stand_in_a_question(tmp_path, sign):
    file = tmp_path / "mine.jsonl"
    file.write_text(GOOD.replace("The sky", f"The{sign}sky") + "\n", newline="\n")
    assert [question.prompt for question in read_questions(file)] == [f"The{sign}sky is"]


@pytest.mark.parametrize(
    ("line", "says"), [("[" * 2000, "line 2 .* nested too deeply"), ("9" * 5000, "line 2 .* too many digits")]
)
def test_json_that_python_cannot_hold_is_refused_in_a_sentence(tmp_path, line, says):
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(BadInput, match=says):
        read_questions(file)


def test_one_text_is_one_text_whoever_saved_it(tmp_path):
    text = "One day.\n\nTwo days.\n"
    saved = [
        text.encode(),
        text.replace("\n", "\r\n").encode(),
        text.replace("\n", "\r").encode(),
        text.encode("utf-8-sig"),
    ]
    for number, content in enumerate(saved):
        (tmp_path / f"{number}.txt").write_bytes(content)
    assert {read_text(tmp_path / f"{number}.txt") for number in range(4)} == {text}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(BadInput, match="not a regular file"):
        read_text(tmp_path / "pipe.txt")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe\x00", "not UTF-8"), (b"a\x00b", "binary data")],
)
def test_what_is_no_text_is_refused(tmp_path, content, says):
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read_text(file)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(BadInput, match="There is no file"):
        evaluation_text(str(tmp_path / "none.txt"))
    with pytest.raises(BadInput, match="is a folder"):
        evaluation_text(str(tmp_path))


@pytest.mark.parametrize("name", ["hub:", "hub:only", "hub:a:b:c:d", "hub:a::test"])
def test_a_dataset_is_named_in_full(name):
    with pytest.raises(BadInput, match="is not the name of a dataset"):
        read_hub_text(name)


def test_without_the_extra_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match=r"pip install \"compresslab\[hub\]\""):
        evaluation_text("hub:owner/name:test")


def test_rows_are_joined_and_bounded(monkeypatch):
    rows = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}, {"id": 3, "text": "x" * 2**24}]
    fake = types.SimpleNamespace(load_dataset=lambda *names, split, streaming: rows)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert read_hub_text("hub:owner/name:config:test") == "one\n\ntwo"


def test_a_file_is_checked_anew_when_it_has_changed(tmp_path):
    file = tmp_path / "mine.jsonl"
    with pytest.raises(BadInput, match="no file"):
        check_file(str(file), questions=True)
    file.write_text("\n")
    with pytest.raises(BadInput, match="empty"):
        check_file(str(file), questions=True)
    file.write_text(GOOD)
    os.utime(file, ns=(1, 1))
    check_file(str(file), questions=True)
    check_file("bundled", questions=True)


def test_general_questions_have_one_right_answer_each():
    asked = evaluation_questions("bundled", stories=False)
    assert len(asked) == 140 and len({question.prompt for question in asked}) == 140
    assert all(len(set(question.choices)) == 4 and question.choices[0].startswith(" ") for question in asked)
    places = Counter(question.answer for question in asked)
    assert min(places.values()) > 20  # who always takes the same one is right in a quarter at best
    assert set(Counter(question.kind for question in asked).values()) == {20, 40}
