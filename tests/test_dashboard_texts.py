"""Every word in every language: nothing missing, nothing that the other language lacks."""

from __future__ import annotations

import re
import string
from pathlib import Path

import compresslab_dashboard
import pytest
from compresslab.exports.registry import FORMATS
from compresslab.messages.catalogue import Catalogue
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.recipes.recipe import TEXTS
from compresslab.settings import Control, Settings
from compresslab_dashboard import texts
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.texts import LANGUAGES, Words, escaped, words_of

OWNERS: dict[str, type[Settings]] = {**METHODS, **METRICS, **FORMATS, **TEXTS, "decoding": Decoding}
CONTROLS = [(owner, control) for owner, kind in OWNERS.items() for control in kind.controls()]
# What classes say of themselves in English: another language may say it too, and falls back to it where it does not.
DECLARED = {f"{name}.{what}" for name in (*METHODS, *METRICS) for what in ("title", "summary")}
DECLARED |= {f"{what}.{name}" for name in (*METHODS, *METRICS) for what in ("step", "stage")}
DECLARED |= {f"metric.{name}" for metric in METRICS.values() for name in metric.values}
DECLARED |= {f"format.{name}.{what}" for name in FORMATS for what in ("label", "plain")}
SOURCES = sorted(Path(compresslab_dashboard.__file__).parent.rglob("*.py"))


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


ENGLISH, CHINESE = (words_of(language).catalogue.templates for language in ("en", "zh"))


def of_settings(key: str) -> bool:
    """In English these stand on the fields."""
    return key.startswith(("setting.", "unit."))


def test_both_languages_have_the_same_keys() -> None:
    assert set(ENGLISH) == {key for key in CHINESE if not of_settings(key)} - DECLARED
    assert not set(ENGLISH) & DECLARED


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_text_takes_the_same_values_in_both_languages(key: str) -> None:
    assert {frozenset(fields(form)) for form in (*ENGLISH[key], *CHINESE[key])} == {frozenset(fields(ENGLISH[key][0]))}
    assert all(form.strip() for form in (*ENGLISH[key], *CHINESE[key]))


def test_entries_stand_in_the_order_of_their_keys() -> None:
    for language in LANGUAGES:
        text = (Path(texts.__file__).parent / f"{language}.po").read_text(encoding="utf-8")
        keys = re.findall(r'^msgid "(.+)"$', text, re.MULTILINE)
        assert keys == sorted(set(keys))


def test_what_a_language_lacks_appears_in_english() -> None:
    words = Words("xx", Catalogue({}, lambda count: 0), words_of("en").catalogue)
    assert words("model") == "Model"
    assert words.control("quantize_rtn", METHODS["quantize_rtn"].controls()[0]).label


@pytest.mark.parametrize(("owner", "control"), CONTROLS, ids=lambda value: getattr(value, "name", value))
def test_a_control_speaks_chinese_or_english_but_not_both(owner: str, control: Control) -> None:
    english, chinese = (words_of(language).control(owner, control) for language in ("en", "zh"))
    assert english.label and english.help.strip()
    in_chinese = [bool(re.search(r"[\u4e00-\u9fff]", text)) for text in (chinese.label, chinese.help)]
    assert all(in_chinese) or (chinese.label, chinese.help) == (english.label, english.help)
    if all(in_chinese) and english.unit:
        assert chinese.unit != english.unit


@pytest.mark.parametrize("key", sorted(key for key in CHINESE if key.startswith("choice.")))
def test_a_value_that_has_a_name_is_one_that_a_setting_takes(key: str) -> None:
    *owner, name, value = key.removeprefix("choice.").split(".")
    of = [c for o, c in CONTROLS if c.name == name and owner in ([], [o])]
    assert any(value in map(str, c.choices or c.offered or (c.minimum, c.default)) for c in of)


def test_settings_of_the_chinese_are_all_there_are() -> None:
    names = {key for owner, control in CONTROLS for key in (f"{owner}.{control.name}", control.name)}
    wanted = {f"setting.{name}.{what}" for name in names for what in ("label", "plain", "help")}
    assert {key for key in CHINESE if of_settings(key)} <= wanted | {f"unit.{control.unit}" for _, control in CONTROLS}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_method_has_a_phrase_and_a_stage(name: str, language: str) -> None:
    words = words_of(language)
    phrase = words.phrase(name, METHODS[name]().model_dump())
    assert phrase and "{" not in phrase
    assert words.stage(name)


def test_every_word_that_the_code_asks_for_is_there() -> None:
    call = re.compile(r"""words(?:\(\))?\(["']([a-z0-9_.]+)["']""")
    asked = {key for path in SOURCES for key in call.findall(path.read_text("utf-8"))}
    assert len(asked) > 80
    assert asked <= set(ENGLISH)


def test_names_that_come_from_data_and_are_not_known_are_told_as_they_are() -> None:
    words = words_of("en")
    asked = (words.title, words.stage, words.measurement, words.format_label)
    assert [ask("of_another_version") for ask in asked] == ["of_another_version"] * 4


def test_a_missing_key_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        words_of("en")("no.such.key")


def test_a_recipe_in_words() -> None:
    words: Words = words_of("en")
    steps = [{"prune_magnitude": {"sparsity": 0.5, "ratios": "uniform"}}, {"quantize_rtn": {"bits": 4}}]
    assert steps_text({"steps": steps}, words) == "50% pruned, 4 bit"
    assert steps_text({"steps": []}, words) == words("step.none")
    assert steps_text({"steps": [{"of_another_version": {"x": 1}}]}, words) == "of_another_version"


@pytest.mark.parametrize("text", ["![x](http://a/b.png)", "<b>bold</b>", "**a** _b_ `c` $d$ :red[e]", "# head"])
def test_escaped_text_holds_no_markup(text: str) -> None:
    assert re.sub(r"\\(.)", r"\1", escaped(text)) == text
    assert not re.search(r"(?<!\\)[*_`\[\]<>#$:!]", escaped(text))
