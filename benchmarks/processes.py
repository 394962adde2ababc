"""What processes use: their CPU time, with that of their children."""

from contextlib import suppress

import psutil

TRIES = 5


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it that run; nothing where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and of all its children so far, those that ended included.

    A child that ends between two of the readings would count twice or not at all: then they are taken again.
    """
    total = 0.0
    for _ in range(TRIES):
        members = family(pid)
        with suppress(psutil.Error):
            total = sum(_used(member) for member in members)
            if family(pid) == members:
                break
    return total


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
