"""Checks JSON against Stripe's published description, pruned to objects.json: README.md says how.

stripe-python's `Optional` means null and absent alike; here they are apart.
"""

import json
from pathlib import Path
from typing import Any

DESCRIPTION: dict[str, Any] = json.loads(Path(__file__).with_name("objects.json").read_text())
OBJECTS: dict[str, dict[str, list[Any]]] = DESCRIPTION["objects"]
_SCALARS = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def problems(value: dict[str, Any]) -> list[str]:
    """Return what is wrong with a JSON object that names its kind as `object`; nothing, if it is valid."""
    return _fields(value, value["object"], value["object"])


def _fields(value: dict[str, Any], name: str, path: str) -> list[str]:
    described = {field.removesuffix("?"): types for field, types in OBJECTS[name].items()}
    required = {field for field in OBJECTS[name] if not field.endswith("?")}
    found = [f"{path}.{field}: unknown" for field in value.keys() - described.keys()]
    found += [f"{path}.{field}: missing" for field in required - value.keys()]
    return found + [
        each
        for field in value.keys() & described.keys()
        for each in _value(value[field], described[field], f"{path}.{field}")
    ]


def _value(value: Any, types: list[Any], path: str) -> list[str]:
    wrong = [f"{path}: {value!r} is none of {types}"]
    if isinstance(value, list):
        lists = [each["list"] for each in types if isinstance(each, dict) and "list" in each]
        return _items(value, lists[0], path) if lists else wrong
    if isinstance(value, dict):
        return _object(value, types, path, wrong)
    enum = isinstance(value, str) and f"={value}" in types
    return [] if enum or _SCALARS[type(value)] in types else wrong


def _items(values: list[Any], types: list[Any], path: str) -> list[str]:
    return [each for index, item in enumerate(values) for each in _value(item, types, f"{path}[{index}]")]


def _object(value: dict[str, Any], types: list[Any], path: str, wrong: list[str]) -> list[str]:
    if "map" in types:
        return []
    pages = [each["page"] for each in types if isinstance(each, dict) and "page" in each]
    if pages and value.get("object") == "list":
        return _items(value["data"], pages[0], f"{path}.data")
    names = [each[1:] for each in types if isinstance(each, str) and each.startswith("#")]
    fitting = [name for name in names if name == value.get("object")] or names
    return min((_fields(value, name, path) for name in fitting), key=len, default=wrong)
