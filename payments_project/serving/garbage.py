"""Python's garbage collector, in a process that keeps much for long."""

import gc

THRESHOLDS = (10_000, 20, 5)
"""When it looks for garbage; see gc.set_threshold."""


def collect_less() -> None:
    """Leave out what is there by now, and look through the rest less often.

    By default it looks through everything whenever many connections came, which holds up the whole process for a
    tenth of a second and more. What has no cycles, which is nearly all, goes without it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
