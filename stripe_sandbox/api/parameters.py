"""Check parameters and expandable fields against Stripe's API description.

stripe-python's TypedDicts are generated from that description: names, types, enums and required names, at any depth.
This module uses nothing else of stripe, except its API version.
"""

import re
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, get_type_hints

import stripe
from stripe import ListObject, RequestOptions, StripeObject, params
from stripe.params import checkout, radar

from stripe_sandbox.api.form import Form
from stripe_sandbox.errors import ApiError, missing

API_VERSION: str = stripe.api_version

SESSION_CREATE = checkout.SessionCreateParams
SESSION_RETRIEVE = checkout.SessionRetrieveParams
SESSION_LIST = checkout.SessionListParams
SESSION_EXPIRE = checkout.SessionExpireParams
SESSION_LINE_ITEMS = checkout.SessionLineItemListParams
PAYMENT_INTENT_RETRIEVE = params.PaymentIntentRetrieveParams
PAYMENT_INTENT_LIST = params.PaymentIntentListParams
PAYMENT_INTENT_CANCEL = params.PaymentIntentCancelParams
CHARGE_RETRIEVE = params.ChargeRetrieveParams
CHARGE_LIST = params.ChargeListParams
REFUND_CREATE = params.RefundCreateParams
REFUND_RETRIEVE = params.RefundRetrieveParams
REFUND_LIST = params.RefundListParams
DISPUTE_RETRIEVE = params.DisputeRetrieveParams
DISPUTE_LIST = params.DisputeListParams
DISPUTE_CLOSE = params.DisputeCloseParams
EARLY_FRAUD_WARNING_RETRIEVE = radar.EarlyFraudWarningRetrieveParams
EARLY_FRAUD_WARNING_LIST = radar.EarlyFraudWarningListParams
REVIEW_RETRIEVE = params.ReviewRetrieveParams
REVIEW_LIST = params.ReviewListParams
REVIEW_APPROVE = params.ReviewApproveParams
EVENT_RETRIEVE = params.EventRetrieveParams
EVENT_LIST = params.EventListParams

_OBJECTS: dict[str, type] = {
    "checkout.session": stripe.checkout.Session,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "review": stripe.Review,
    "event": stripe.Event,
    "item": stripe.LineItem,
}

_INDEX = re.compile(r"[0-9]{1,6}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def check(form: Form, description: type) -> dict[str, Any]:
    """Return the parameters with their types; raise Stripe's ApiError.

    Check names, types, enums and required names at any depth. The description does not have lengths, ranges, or which
    parameters exclude each other: validation.py checks those.
    """
    return _hash(form, description, "")


def can_expand(kind: str, names: list[str]) -> bool:
    """Return whether a path into an object ends at an id that Stripe can expand."""
    return _can_expand(_OBJECTS[kind], names)


def _can_expand(holder: type, names: list[str]) -> bool:
    name, *rest = names
    options = list(_options(holder.__annotations__.get(name)))
    lists = [get_args(option)[0] for option in options if get_origin(option) is ListObject]
    if lists and rest:
        name, *rest = rest
        return name == "data" and bool(rest) and _leads_on(lists, rest)
    if not rest:
        return bool(lists) or (str in options and len(_classes(options)) > 0)
    return _leads_on(options, rest)


def _leads_on(options: list[Any], names: list[str]) -> bool:
    return any(_can_expand(cls, names) for cls in _classes(options) if cls)


def _classes(options: list[Any]) -> list[type | None]:
    """Return the classes of objects that a field may hold, alone or in a list; None for an unknown class."""
    found: list[type | None] = []
    for option in options:
        if get_origin(option) is list:
            found += _classes(list(_options(get_args(option)[0])))
        elif isinstance(option, ForwardRef):
            found.append(getattr(stripe, option.__forward_arg__, None))
        elif isinstance(option, type) and issubclass(option, StripeObject):
            found.append(option)
    return found


@cache
def _fields(description: type) -> Mapping[str, Any]:
    """Return the names that a hash may have, with their types."""
    # stripe-python imports these names for type checkers only. The fields that need them are left out below.
    hints = get_type_hints(description, localns={"StripeContext": object, "Mapping": Mapping})
    # stripe-python mixes the options of its own calls into these types. They are no parameters of the API.
    options = RequestOptions.__annotations__ if "stripe_account" in hints else {}
    return {name: hint for name, hint in hints.items() if name not in options}


def _hash(form: Form, description: Any, path: str) -> dict[str, Any]:
    fields = _fields(description)
    unknown = [_join(path, name) for name in form if name not in fields]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise ApiError(
            f"Received unknown parameter{plural}: {', '.join(name[:100] for name in unknown[:10])}",
            code="parameter_unknown",
            param=unknown[0][:500],
        )
    for name in sorted(description.__required_keys__):
        if name not in form:
            raise missing(_join(path, name))
    return {name: _value(value, fields[name], _join(path, name)) for name, value in form.items()}


def _value(value: Any, hint: Any, path: str) -> Any:
    options = list(_options(hint))
    if isinstance(value, str):
        return _scalar(value, options, path)
    for option in options:
        if get_origin(option) is list:
            return _array(value, get_args(option)[0], path)
        if isinstance(value, dict) and get_origin(option) is dict:
            return _mapping(value, get_args(option)[1], path)
        if isinstance(value, dict) and hasattr(option, "__required_keys__"):
            return _hash(value, option, path)
    raise _wrong("", options, path)


def _mapping(form: Form, item_hint: Any, path: str) -> dict[str, Any]:
    """Return a hash with any names, such as metadata. An empty string unsets its name."""
    return {name: _value(value, item_hint, _join(path, name)) for name, value in form.items() if value != ""}


def _options(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, or else the type itself."""
    if get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _options(member)
    else:
        yield hint


def _array(value: Any, item_hint: Any, path: str) -> list[Any]:
    """Return an array from a list (`a[]=x`) or from a hash of numbers (`a[0]=x`), by order, without gaps."""
    if isinstance(value, list):
        items = list(enumerate(value))
    elif all(_INDEX.fullmatch(key) for key in value):
        # Numbers, not texts: 10 comes after 9.
        items = [(int(key), value[key]) for key in sorted(value, key=int)]
    else:
        raise ApiError("Invalid array", param=path)
    return [_value(item, item_hint, f"{path}[{index}]") for index, item in items]


def _scalar(value: str, options: list[Any], path: str) -> Any:
    allowed = _enum(options)
    if value in allowed:
        return value
    if not value:
        raise ApiError(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{path}' cannot be unset. You should remove '{path}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=path,
        )
    if bool in options and value in {"true", "false"}:
        return value == "true"
    if int in options and _INTEGER.fullmatch(value):
        return int(value)
    if {float, Decimal} & set(options) and _is_number(value):
        return value
    if str in options and not any(allowed):
        return value
    raise _wrong(value, options, path)


def _enum(options: list[Any]) -> list[str]:
    """Return the values of an enum. `""` among them means that the parameter can be unset.

    stripe-python adds `| str` for future values in responses. Requests may not use those.
    """
    return [value for option in options if get_origin(option) is Literal for value in get_args(option)]


def _is_number(value: str) -> bool:
    try:
        return Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _wrong(value: str, options: list[Any], path: str) -> ApiError:
    """Return the error of a value that has none of these types."""
    shown = value[:100]
    if values := [choice for choice in _enum(options) if choice]:
        return ApiError(f"Invalid {path}: must be one of {', '.join(values)}", param=path)
    if int in options:
        return ApiError(f"Invalid integer: {shown}", code="parameter_invalid_integer", param=path)
    if bool in options:
        return ApiError(f"Invalid boolean: {shown}", param=path)
    if {float, Decimal} & set(options):
        return ApiError(f"Invalid decimal: {shown}", param=path)
    if any(get_origin(option) is list for option in options):
        return ApiError("Invalid array", param=path)
    return ApiError("Invalid string" if str in options else "Invalid object", param=path)


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
