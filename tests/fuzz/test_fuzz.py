"""Each campaign of `make fuzz`, for a moment: it does no harm, and the service answers as before."""

import pytest

from tests.fuzz.attack import attack
from tests.fuzz.campaigns import CAMPAIGNS
from tests.fuzz.target import attacked

GROWTH_MAX = 48
"""MiB, of which the most is what any first use of a part loads."""
LOG_BYTES_MAX = 100
"""For each hostile input, on average."""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with attacked(tmp_path_factory.mktemp("attacked")) as target:
        yield target


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_an_attack_does_no_harm(target, campaign):
    target.journey()

    measured = attack(target, campaign, seed=7, inputs=campaign.briefly)

    assert measured.faults == []
    assert measured.tally.inputs >= campaign.briefly // 2
    assert (measured.tally.server_errors, measured.crashes, measured.tracebacks) == (0, 0, 0)
    assert measured.stored == {}
    assert measured.growth < GROWTH_MAX
    assert measured.log_bytes_an_input < LOG_BYTES_MAX, target.server.log[-2000:]
    target.journey()
