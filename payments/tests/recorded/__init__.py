"""Events as Stripe sends them, whole, of made-up persons."""

import json
from pathlib import Path
from typing import Any

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.json"))


def text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.json").read_text()


def event(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text(name))
    return parsed
