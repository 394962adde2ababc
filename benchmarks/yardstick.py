"""A fixed piece of pure Python, to measure a machine with: what it takes depends on the machine and on Python alone.

It must stay as it is: ratios to it are only comparable as long as it does.
"""

import time

ROUNDS = 2000


def yardstick_ms() -> float:
    """Return the CPU time of one piece, in milliseconds: what everyday code does, dictionaries, strings and calls."""
    before = time.process_time()
    work()
    return 1000 * (time.process_time() - before)


def work() -> int:
    """Do the piece; return a number that depends on all of it."""
    total = 0
    for number in range(ROUNDS):
        record = {"id": f"evt_{number}", "amount": number * 7 % 1000, "tags": ["a", str(number), "c"]}
        text = ",".join(f"{key}={value}" for key, value in sorted(record.items()))
        parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        total += _weigh(parts) + len(text)
    return total


def _weigh(parts: dict[str, str]) -> int:
    return sum(len(key) * len(value) for key, value in parts.items())
