"""Refuse clients of other machines while development is open, whatever address a server listens on."""

from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any

from payments_project.middleware import handshakes
from payments_project.middleware.refusing import Refusal, answer

_REFUSAL = Refusal(
    403,
    "development",
    "DEBUG or STRIPE_SANDBOX is on, and open to clients on its own machine alone. To open it to a network that you trust, "
    "set EXPOSE_DEVELOPMENT=1.",
)


class ThisMachineAlone:
    """ASGI middleware: answers requests and handshakes of other machines with 403.

    The start checks know HOST. Another server than `serve` listens where its command line says.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection, or refuse it."""
        if _is_of_this_machine((scope.get("client") or [""])[0]):
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await answer(_REFUSAL, receive=receive, send=send)
        else:
            text = _REFUSAL.message
            await handshakes.refuse(scope, receive, send, status=_REFUSAL.status, text=text)


def _is_of_this_machine(client: str) -> bool:
    """Return whether a connection comes from a loopback address, or from none, as over a Unix socket."""
    with suppress(ValueError):
        address = ip_address(client)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback
    return True
