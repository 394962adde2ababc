"""Inputs that hypothesis draws."""

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def for_each(strategy, *, seed, inputs):
    """Call the decorated function at once, with that many values; what fails is made smaller and raised."""

    def run(function):
        bounds = settings(
            max_examples=inputs,
            # No memory of earlier runs: the same seed has to send the same.
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        bounds(hypothesis.seed(seed)(given(strategy)(function)))()
        return function

    return run


TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
"""Any text, also with halves of surrogate pairs and NUL."""
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**53, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400]),
    st.floats(),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
"""Whatever JSON can say, and a little more: NaN, infinities."""
