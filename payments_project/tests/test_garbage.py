import gc
import weakref

import pytest

from payments_project.serving import process


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.self = self


@pytest.fixture(autouse=True)
def _as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_the_start_has_made_is_left_out_and_garbage_is_still_found():
    process.collect_less()
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    lost = weakref.ref(Knot())
    gc.collect()
    assert lost() is None
