"""The harness of `make chaos` strikes, and sees what a strike has cost."""

import random
import sys

import pytest

from benchmarks.chaos import damage, lane
from benchmarks.chaos.arena import arena
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.phases import PHASES, begin

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals and disks as Linux has them")


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in (
        "CHAOS_GATE",
        "CHAOS_CLOCK",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "TMPDIR",
        "TORCHINDUCTOR_CACHE_DIR",
    ):
        monkeypatch.setenv(name, "")  # so that all of them are as before after the test
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "arena").mkdir()
    with arena(tmp_path / "arena", "stand-in") as built:
        yield built


def test_a_few_faults_cost_nothing_and_what_costs_is_seen(place):
    strikes = [
        ("saving", "cancelled"),
        ("sweep", "clock stepped"),
        ("statistics", "child killed"),
        *[("exporting", "disk full")] * place.has_own_disk,
    ]
    for phase, fault in strikes:
        outcome = lane.strike(place, phase, fault, random.Random(1))
        assert outcome["reached"]
        assert (outcome["lost"], outcome["orphans"], outcome["left_over"]) == ([], [], []), outcome
    begun = begin(place, "solving", random.Random(1))
    half = place.home / "statistics" / "half"
    half.mkdir()
    (half / "first").write_bytes(b"x")
    part = place.home / "exports" / "unknown.part"
    part.mkdir()
    place.gate.touch()
    cost = damage.found(place, begun, FAULTS["cancelled"])
    assert [said.split(": ")[0] for said in cost.lost] == [
        f"job {begun.jobs[0]} is done",
        "statistics/half is half-written",
    ]
    assert cost.left_over == ["exports/unknown.part"]


def test_every_pair_is_struck_and_the_same_ones_each_time(place):
    pairs = [(phase, fault) for phase in PHASES for fault in FAULTS if place.has_own_disk or fault != "disk full"]
    planned = lane.plan(len(pairs), 7, place)
    assert set(planned) == set(pairs) and planned == lane.plan(len(pairs), 7, place)
