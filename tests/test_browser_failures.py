"""Processes are killed in mid-job: the page says so with a reason, and the next job works."""

from __future__ import annotations

import re

import psutil
import pytest
from playwright.sync_api import expect

from tests.dashboard_server import Dashboard
from tests.patience import eventually
from tests.studio_page import EN, PATIENCE, StudioPage, cell, keyed

SMALL = ";evaluation,max_tokens=2048,max_questions=20;speed,repeats=2,new_tokens=8"
LONG = "distill_logits,steps=5000,batch=1;calibration,sequence_length=32" + SMALL


@pytest.mark.parametrize(
    ("victim", "reason"),
    [
        ("child", "The process doing the work was killed by the system"),
        ("worker", "The worker was killed or crashed while this job ran"),
    ],
)
def test_a_killed_process_fails_its_job_and_the_next_one_works(
    studio: StudioPage, dashboard: Dashboard, victim: str, reason: str
) -> None:
    studio.open(LONG, live="off")
    studio.button("compress").click()
    studio.expect_work("distill_logits")
    job = int(studio.param("job"))
    killed: psutil.Process = getattr(dashboard, victim)
    killed.kill()
    expect(studio.status.get_by_role("alert")).to_contain_text(reason, timeout=PATIENCE)
    assert dashboard.workspace.jobs.find(job).state == "failed"
    assert not list((dashboard.home / "runs").glob(f"*{dashboard.workspace.jobs.find(job).run_id}*"))
    eventually(dashboard.ready, dashboard.log)
    assert getattr(dashboard, victim).pid != killed.pid
    studio.open("quantize_rtn,bits=5" + SMALL, live="off")
    studio.button("compress").click()
    studio.expect_stage("quality", "final")
    studio.page.goto(f"{studio.url}/history")
    studio.page.get_by_text(EN("history.failed")).click()
    expect(cell(keyed(studio.page, "failed_jobs"), reason)).to_be_attached()


def test_the_dashboards_process_never_loads_torch(studio: StudioPage, dashboard: Dashboard) -> None:
    studio.open("quantize_rtn,bits=6" + SMALL)
    studio.expect_stage("quality", "draft")
    assert not libraries(dashboard.server)
    assert libraries(dashboard.child)  # where it is loaded, this test can see it


def libraries(process: psutil.Process) -> set[str]:
    return {file.path for file in process.memory_maps() if re.search(r"libtorch|/torch/", file.path)}
