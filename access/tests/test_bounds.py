import re

import pytest

from access import bounds


def test_limits_that_are_not_given_have_their_defaults():
    amounts = bounds.read(["calls-per-key = 12000", "connections-per-user=3"])
    assert (amounts["calls-per-key"], amounts["connections-per-user"]) == (12000, 3)
    assert amounts["replays-per-user"] == bounds.BOUNDS["replays-per-user"].amount
    assert amounts.keys() == bounds.BOUNDS.keys()


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("calls=5", "'calls' is no limit: send NAME=AMOUNT with one of connections-per-address, "),
        (
            "calls-per-key",
            "calls-per-key needs a whole number from 1 to 1000000000, such as calls-per-key=500",
        ),
        ("calls-per-key=0", "needs a whole number from 1"),
        ("calls-per-key=-1", "needs a whole number from 1"),
        ("calls-per-key=1.5", "needs a whole number from 1"),
        ("calls-per-key=²", "needs a whole number from 1"),
        ("calls-per-key=" + "9" * 30, "needs a whole number from 1"),
    ],
)
def test_what_is_no_limit_is_refused_with_what_to_send(item, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        bounds.read([item])
