"""What core says: every code has its sentence in every language, with the values that are given where it is said."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter

import compresslab
import compresslab_dashboard
import pytest
from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.messages import Message, plain, remarks
from compresslab.messages.catalogue import Catalogue, read
from compresslab.models.source import read_config
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Notice, from_json, to_json

ROOMS = [Path(package.__file__).parent for package in (compresslab, compresslab_dashboard)]
SAYING = {"Message", "BadInput", "RunFailed", "Cancelled", "CannotExpress", "NotPredicted", "notice", "remember"}
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Said:
    """A code where it is said, and the names of the values that go with it."""

    code: str
    names: frozenset[str]
    where: str


@cache
def nodes() -> list[tuple[ast.AST, str]]:
    found = [file for room in ROOMS for file in room.rglob("*.py")]
    return [(node, file.name) for file in found for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]


def calls() -> list[tuple[ast.Call, str]]:
    asked = [(node, file) for node, file in nodes() if isinstance(node, ast.Call) and node.args]
    return [(node, f"{file}:{node.lineno}") for node, file in asked if _name(node.func) in SAYING]


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def said() -> list[Said]:
    return [
        Said(node.args[0].value, frozenset(str(keyword.arg) for keyword in node.keywords), where)
        for node, where in calls()
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    ]


def made() -> set[str]:
    """Beginnings of the codes that are put together: Message(f"kind.{name}")."""
    found = (node.args[0] for node, _ in calls() if isinstance(node.args[0], ast.JoinedStr))
    return {part.value for text in found for part in text.values[:1] if isinstance(part, ast.Constant)}


def constants() -> set[str]:
    return {node.value for node, _ in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.fixture(scope="module")
def catalogues() -> dict[str, Catalogue]:
    return {language: read(files("compresslab.messages") / f"{language}.po") for language in LANGUAGES}


def fields(template: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name is not None)


def test_every_sentence_is_in_the_catalogue(catalogues: dict[str, Catalogue]) -> None:
    english = catalogues["en"].templates
    assert len(said()) > 300
    assert [each for each in said() if each.code not in english] == []


def test_values_are_those_of_the_template(catalogues: dict[str, Catalogue]) -> None:
    english = catalogues["en"].templates
    for each in said():
        wanted = {name for form in english[each.code] for name in fields(form)}
        spare = {"count"} if len(english[each.code]) > 1 else set()
        assert wanted <= each.names <= wanted | spare, f"{each.where} gives {sorted(each.names)}: {english[each.code]}"


def test_every_entry_is_said_somewhere(catalogues: dict[str, Catalogue]) -> None:
    spoken, beginnings = {each.code for each in said()} | constants(), tuple(made())
    assert [c for c in catalogues["en"].templates if c not in spoken and not c.startswith(beginnings)] == []


def test_languages_say_the_same(catalogues: dict[str, Catalogue]) -> None:
    english, chinese = (catalogues[language].templates for language in LANGUAGES)
    assert set(chinese) == set(english)
    for code, forms in english.items():
        assert fields(chinese[code][0]) == fields(forms[-1]), code


def test_entries_stand_in_the_order_of_their_codes() -> None:
    """So that two who add one do not meet at the end of the file."""
    for language in LANGUAGES:
        text = (files("compresslab.messages") / f"{language}.po").read_text(encoding="utf-8")
        codes = re.findall(r'^msgid "(.+)"$', text, re.MULTILINE)
        assert codes == sorted(set(codes))
        assert all(re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", code) for code in codes)


def test_a_count_chooses_the_form() -> None:
    one, three = (Message("layers.removed", count=len(gone), layers=gone, depth=8) for gone in ([3], [3, 5, 6]))
    assert str(one) == "prune_layers removed layer 3 of 8, counted from 0."
    assert "layers 3, 5, 6 of 8" in str(three)
    assert "3、5、6" in three.in_language("zh")


def test_messages_within_messages_and_lists() -> None:
    with pytest.raises(BadInput) as refused:
        METHODS["quantize_rtn"].parse({"bits": 99}, "quantize_rtn")
    assert refused.value.code == "setting.refused"
    assert refused.value.values["given"] == 99
    assert str(refused.value) == "quantize_rtn.bits is 99; it takes a whole number from 2 to 8."
    assert refused.value.message.in_language("zh") == "quantize_rtn.bits 是 99；应为2 到 8 的整数。"
    with pytest.raises(BadInput, match="it takes one of uniform, global, outliers") as refused:
        METHODS["prune_wanda"].parse({"ratios": "x"}, "prune_wanda")
    assert refused.value.message.in_language("zh").endswith("应为以下之一：uniform、global、outliers。")


def test_lists_are_joined_as_each_language_does() -> None:
    refused = BadInput("device.unknown", device="cuda", devices=["mps", "xla", "cpu"])
    assert str(refused) == "There is no cuda device here; use mps, xla or cpu, or auto."
    assert "mps、xla 或 cpu" in refused.message.in_language("zh")
    both = remarks(Message("timing.note_busy"), None, Message("runtime.simulated"))
    assert both is not None and str(both).count("; ") == 1 and "；" in both.in_language("zh")
    assert remarks(None) is None
    assert remarks(Message("timing.note_busy"), None) == Message("timing.note_busy")


def test_what_core_really_says(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read_config(tmp_path, "mine")
    assert refused.value.message == Message("model.no_config", name="mine", folder=str(tmp_path))
    assert str(tmp_path) in refused.value.message.in_language("zh")
    with pytest.raises(BadInput) as refused:
        Recipe.from_dict({"model": "m", "steps": ["nothing"]})
    assert refused.value.message.in_language("zh").startswith("没有名为 'nothing' 的方法；")


def test_a_language_falls_back_to_english() -> None:
    assert Message("job.stopped").in_language("xx") == str(Message("job.stopped"))


def test_a_code_without_an_entry_is_its_own_english() -> None:
    """So another package says its sentences."""
    refused = BadInput("The mask of {name} has {share:.0%} holes.", name="q", share=0.5)
    assert str(refused) == "The mask of q has 50% holes."
    assert str(RunFailed("Nothing {here} is filled in.")) == "Nothing {here} is filled in."


def test_another_package_brings_a_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compresslab.messages import catalogue

    package, about = tmp_path / "sharpening", tmp_path / "sharpening-1.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").touch()
    (package / "zh.po").write_text('msgid "sharpening.dull"\nmsgstr "{name} 太钝。"\n', encoding="utf-8")
    (about / "METADATA").write_text("Name: sharpening\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[compresslab.messages]\nours = sharpening\nbroken = no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    catalogue._others.cache_clear()
    try:
        assert Message("sharpening.dull", name="q").in_language("zh") == "q 太钝。"
        assert str(Message("sharpening.dull", name="q")) == "sharpening.dull"
    finally:
        catalogue._others.cache_clear()


LONG = "x" * 1000
VALUES = [None, True, 3, 0.1, "a {b} – 中", "", [1, ["x"]], {"code": "x"}, {"a": [None]}]
LONG_ONES = [LONG, Path(LONG), plain(LONG), [Path(LONG)], {"a": [LONG]}, [[[[LONG]]]], 10**200]


@pytest.mark.parametrize("value", VALUES + LONG_ONES)
def test_a_message_survives_json(value: object) -> None:
    whole = Message("setting.refused", given=value, allowed=[Message("job.stopped"), plain("{x}")])
    assert Message.loads(whole.dumps()) == whole
    assert json.loads(whole.dumps()) == whole.to_json()
    told = from_json(to_json(Notice(text=whole)))
    assert isinstance(told, Notice) and told.text == whole


def test_texts_are_taken_as_they_are() -> None:
    assert str(plain("{0} {x}")) == "{0} {x}"
    assert str(Notice(text="another {package} says").text) == "another {package} says"  # type: ignore[arg-type]
    assert str(Message.loads("A sentence of an older store.")) == "A sentence of an older store."


def test_numbers_that_are_not_finite_can_be_said() -> None:
    said = Message("timing.ceiling", token=float("nan"), cache=1.0, bandwidth=2.0)
    assert "nan" in str(said) and "nan" in str(Message.loads(said.dumps()))


def test_errors_travel_between_processes() -> None:
    import pickle

    for error in (BadInput("run.unknown", id="x"), Cancelled(), RunFailed(Message("job.failed"))):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.message, str(again)) == (type(error), error.message, str(error))
