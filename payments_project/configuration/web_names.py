"""Read the origins and host names that a setting lists."""

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator

_LABEL = "[a-z0-9_-]+"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_BELOW = rf"\.{_LABEL}(\.{_LABEL})+"
"""A domain with all below it. A whole top-level domain is nobody's."""
_SCHEME, _IP, _PORT = "[a-z][a-z0-9+.-]*://", r"\[[0-9a-f:.]+\]", "(:[0-9]{1,5})?"
_ORIGIN = re.compile(rf"null|{_SCHEME}({_NAME}|{_BELOW}|{_IP}){_PORT}")
_SENT_ORIGIN = re.compile(rf"null|{_SCHEME}({_NAME}|{_IP}){_PORT}")


def is_origin(text: str) -> bool:
    """Return whether a text in lower case is an origin as browsers send it: https://www.rfc-editor.org/rfc/rfc6454."""
    return bool(_SENT_ORIGIN.fullmatch(text))


def _origin(text: str) -> str:
    """Return the origin in lower case, as browsers send it."""
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("set origins alone, such as https://app.example.com, https://.example.com or null")
    # Browsers leave the default port of a scheme out of an origin.
    return re.sub(r"^(https://[^/]*):443$|^(http://[^/]*):80$", r"\1\2", origin)


_RETURN_HOST = re.compile(rf"{_NAME}|{_BELOW}")


def _return_host(text: str) -> str:
    """Return the host name in lower case, or the IP address in its shortest form."""
    host = text.lower()
    with suppress(ValueError):
        return str(ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host))
    if not _RETURN_HOST.fullmatch(host):
        raise ValueError(
            "set host names alone, such as shop.example.com, or .example.com for all below it too"
        )
    return host


Origin = Annotated[str, AfterValidator(_origin)]
ReturnHost = Annotated[str, AfterValidator(_return_host)]
