"""A sweep outlives dashboard and worker: ended in its middle and started again, they do no finished point anew."""

from __future__ import annotations

import re
from pathlib import Path

from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from playwright.sync_api import Browser, expect

from tests.dashboard_server import running_dashboard, slowed
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, keyed, visitor


def test_a_sweep_goes_on_where_it_was(tmp_path: Path, browser: Browser) -> None:
    recipe = Recipe.from_dict({"steps": ["quantize_rtn"], "evaluation": {"max_tokens": 4096, "max_questions": 10}})
    with running_dashboard(tmp_path) as first:
        sweeps = first.workspace.sweeps
        number = sweeps.submit(Sweep.over(recipe, ["quantize.bits=2,3,4,5,6,7", "seed=0,1"]))
        with slowed(first.child):
            eventually(lambda: any(row.done for row in sweeps.points(number)), first.log)
    finished = {row.place: row.run_id for row in sweeps.points(number) if row.done}
    assert 0 < len(finished) < 12, "it was to be ended in the middle"
    with running_dashboard(tmp_path) as again, visitor(browser, again.url) as person:
        person.page.goto(f"{again.url}/explore?sweep={number}")
        status = keyed(person.page, "sweep_status")
        expect(status).to_contain_text(re.compile(EN("explore.count.done", count=r"\d+")), timeout=PATIENCE)
        expect(status).to_contain_text(EN("explore.count.done", count=12), timeout=2 * PATIENCE)
        rows = again.workspace.sweeps.points(number)
        assert {row.place: row.run_id for row in rows if row.place in finished} == finished
        assert len({row.run_id for row in rows}) == 12
