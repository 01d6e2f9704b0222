"""The plug-in does what compresslab asks of its own methods and metrics."""

import pytest
from compresslab.contract import check
from compresslab_ria.near_choice import NearChoice
from compresslab_ria.prune_ria import PruneRia


@pytest.mark.parametrize("kind", [PruneRia, NearChoice])
def test_it_keeps_to_the_contract(kind):
    check(kind)
