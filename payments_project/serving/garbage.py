"""Tune Python's garbage collector for a process with many long-lived objects."""

import gc

THRESHOLDS = (10_000, 20, 5)
"""See gc.set_threshold."""


def collect_less() -> None:
    """Exempt all objects of the start from collection, and collect less often.

    By default a storm of connections triggers full collections, each of which stops the process for a tenth of a second
    and more. Objects without cycles, nearly all, are freed without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
