"""What things cost when that was last recorded, in yardsticks, and whether they cost much more by now."""

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("recorded.json")
ALLOWED = 1.25
"""Multiples differ by some 10 % from run to run: a quarter more has a cause in the code."""
RECORD = "python -m benchmarks.quick --record"


def read(path: Path = FILE) -> dict[str, float]:
    """Return the recorded multiples by what was measured; nothing where none were recorded yet."""
    return (
        {name: float(value) for name, value in json.loads(path.read_text()).items()} if path.exists() else {}
    )


def write(measured: Mapping[str, float], *, path: Path = FILE) -> None:
    """Keep these multiples as the recorded ones."""
    rounded = {name: float(f"{value:.4g}") for name, value in measured.items()}
    path.write_text(json.dumps(rounded, indent=1) + "\n")


def faults(measured: Mapping[str, float], *, recorded: Mapping[str, float]) -> list[str]:
    """Return a sentence for each thing that costs a quarter more than recorded, or that nothing is recorded of."""
    sentences = []
    for name, value in measured.items():
        if name not in recorded:
            sentences.append(
                f"A {name} costs {value:.3g} yardsticks, and nothing is recorded to compare it with."
            )
        elif value >= ALLOWED * recorded[name]:
            more = value / recorded[name] - 1
            sentences.append(
                f"A {name} costs {more:.0%} more than recorded: {value:.3g} yardsticks, not {recorded[name]:.3g}."
            )
    if sentences:
        sentences.append(
            f"Run it again where little else runs, and look for the change that made it dearer. "
            f"If it is worth its cost, record the new multiples with `{RECORD}` and commit {FILE.name}."
        )
    return sentences
