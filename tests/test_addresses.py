"""Addresses that nobody's page has written: typed by hand, cut short, made up. Every page opens all the same."""

from __future__ import annotations

import pytest
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.work import jobs
from compresslab.workspace import Workspace
from compresslab_dashboard.session.url_number import url_number
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy

STUDIO = ("model", "recipe", "job", "run", "texts", "live", "lang")
PARAMS = {
    "studio": STUDIO,
    "compare": ("runs", "view", "texts", "set"),
    "explore": ("sweep", "point", "quality", "cost"),
    "layers": (*STUDIO, "of", "matrix", "rows"),
    "history": ("run",),
    "models": ("search",),
    "present": ("model", "size", "mode", "prompt", "asked"),
}
NONSENSE = ("²", "9" * 30, "-1", "\x00<b>", "../../etc")


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("0", 0), ("", None), (None, None), ("x1", None), ("-1", None)])
def test_a_number_is_digits_only(text: str | None, number: int | None) -> None:
    assert url_number(text) == number


@pytest.mark.parametrize("text", ["²", "٣", "9" * 30, " 1", "1\n"])
def test_what_python_or_the_store_would_stumble_over_is_no_number(text: str) -> None:
    assert url_number(text) is None


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("page", PARAMS)
def test_nonsense_in_an_address_breaks_no_page(own_home: object, page: str, nonsense: str) -> None:
    app = AppTest.from_function(draw, default_timeout=PATIENCE, args=(page,))
    for name in PARAMS[page]:
        app.query_params[name] = nonsense
    healthy(app.run())


@pytest.mark.parametrize("kind", ["run", "generate", "download"])
@pytest.mark.parametrize(
    ("page", "names"), [("studio", ("job", "texts")), ("compare", ("texts", "set")), ("present", ("asked",))]
)
def test_the_number_of_another_kind_of_job_breaks_no_page(
    own_home: object, page: str, names: tuple[str, ...], kind: str
) -> None:
    store = Workspace().store
    panes = (Pane(label="baseline", source="baseline"),)
    one_of: dict[str, jobs.Job] = {
        "run": jobs.RunJob(recipe=Recipe().to_dict()),
        "generate": jobs.GenerateJob(request=GenerateRequest(prompt="Once", panes=panes)),
        "download": jobs.DownloadJob(model="a/b"),
    }
    number = jobs.submit(store, one_of[kind])
    for name in names:
        app = AppTest.from_function(draw, default_timeout=PATIENCE, args=(page,))
        app.query_params[name] = str(number)
        healthy(app.run())


def draw(page: str) -> None:
    import importlib

    importlib.import_module(f"compresslab_dashboard.app_pages.{page}").PAGE.show()
