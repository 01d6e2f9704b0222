"""Votes of blind tests: kept for a pair of weights in either order, told with an honest interval."""

from __future__ import annotations

import pytest
from compresslab.errors import BadInput
from compresslab.records.wilson import wilson
from compresslab.store.votes import Tally
from compresslab.workspace import Workspace
from scipy.stats import binomtest


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (3, 7), (50, 100), (99, 100), (0, 40)])
def test_the_interval_is_wilsons(hits: int, trials: int) -> None:
    known = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson(hits, trials) == pytest.approx((known.low, known.high), abs=1e-12)


def test_before_the_first_vote_everything_is_possible() -> None:
    assert Tally().share() == (0.0, 0.5, 1.0)
    assert Tally(same=9, bad=2).share() == (0.0, 0.5, 1.0)


def test_votes_count_whichever_was_named_first(own_home: object) -> None:
    votes = Workspace().votes
    votes.add("base", "small", "Tom had", "first", "me")
    votes.add("small", "base", "Tom had", "first")
    votes.add("small", "base", "Tom had", "same")
    votes.add("base", "small", "Tom had", "bad")
    votes.add("base", "other", "Tom had", "second")
    assert votes.tally("base", "small") == Tally(first=1, second=1, same=1, bad=1)
    assert votes.tally("small", "base").asked == 4
    assert votes.tally("base", "other") == Tally(second=1)
    assert votes.tally("base", "nobody") == Tally()


@pytest.mark.parametrize("vote", [("a", "a", "same"), ("a", "b", "both")])
def test_a_vote_on_nothing_is_refused(own_home: object, vote: tuple[str, str, str]) -> None:
    votes = Workspace().votes
    with pytest.raises(BadInput):
        votes.add(vote[0], vote[1], "Tom had", vote[2])  # type: ignore[arg-type]
    assert votes.tally(vote[0], vote[1]) == Tally()
