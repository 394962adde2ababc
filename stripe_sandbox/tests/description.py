"""Checks JSON against Stripe's published description, as stripe-python's classes carry it."""

import types
from decimal import Decimal
from typing import Any, ClassVar, ForwardRef, Literal, Union, get_args, get_origin

import stripe
from stripe import ListObject, StripeObject
from stripe._stripe_object import UntypedStripeObject


def problems(value: Any, hint: Any, path: str = "") -> list[str]:
    """Return what is wrong with a JSON value that should be of this type; nothing, if it is valid."""
    options = _options(hint)
    if Any in options or (value is None and type(None) in options):
        return []
    match value:
        case str():
            return _string(value, options, path)
        case list():
            return _array(value, options, path)
        case dict():
            return _object(value, options, path)
    return [] if type(value) in options else [f"{path}: {value!r} is none of {options}"]


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return [option for member in get_args(hint) for option in _options(member)]
    return [hint]


def _string(value: str, options: list[Any], path: str) -> list[str]:
    literals = [each for option in options if get_origin(option) is Literal for each in get_args(option)]
    if literals:
        return [] if value in literals else [f"{path}: {value!r} is none of {literals}"]
    return [] if {str, Decimal} & set(options) else [f"{path}: must not be a string"]


def _array(value: list, options: list[Any], path: str) -> list[str]:
    items = [get_args(option)[0] for option in options if get_origin(option) is list]
    if not items:
        return [f"{path}: must not be a list"]
    return [each for index, item in enumerate(value) for each in problems(item, items[0], f"{path}[{index}]")]


def _object(value: dict, options: list[Any], path: str) -> list[str]:
    for option in options:
        cls = getattr(stripe, option.__forward_arg__, None) if isinstance(option, ForwardRef) else option
        origin = get_origin(cls) or cls
        if origin is UntypedStripeObject:
            return [
                each
                for key, item in value.items()
                for each in problems(item, get_args(cls)[0], f"{path}.{key}")
            ]
        if origin is ListObject:
            return _list(value, get_args(cls)[0], path)
        if isinstance(origin, type) and issubclass(origin, StripeObject) and _kind_fits(origin, value):
            return _fields(value, origin, path)
    return [f"{path}: must not be an object"]


def _kind_fits(cls: type, value: dict) -> bool:
    kind = getattr(cls, "OBJECT_NAME", None)
    return kind is None or kind == value.get("object")


def _list(value: dict, item: Any, path: str) -> list[str]:
    missing = {"object", "data", "has_more", "url"} ^ value.keys()
    return [f"{path}: {missing} differ"] if missing else problems(value["data"], list[item], f"{path}.data")


def _fields(value: dict, cls: type, path: str) -> list[str]:
    hints = {
        name: hint
        for name, hint in cls.__annotations__.items()
        if not name.startswith("_") and get_origin(hint) is not ClassVar
    }
    found = [f"{path}.{name}: unknown" for name in value.keys() - hints.keys()]
    for name, hint in hints.items():
        if name in value:
            found += problems(value[name], hint, f"{path}.{name}")
        elif type(None) not in _options(hint):
            found.append(f"{path}.{name}: missing")
    return found
