"""Count the HTTP connections that one address has open, so that it cannot take the place of all others."""

from collections import Counter

from access import limits
from access.addresses import client_address, is_trusted_proxy
from access.refusals import Kind, refused
from payments_project.serving.process import connections_max

_open: Counter[str] = Counter()


class Peer:
    """The other end of a connection. It is counted from `enter` to `leave`, unless it is one of TRUSTED_PROXIES."""

    def __init__(self, client: tuple[str, int] | None) -> None:
        self._scope = {"client": client}
        is_proxy = client is None or is_trusted_proxy(client[0])
        # A proxy brings all clients over its connections. A Unix socket has no address, and only a proxy is behind it.
        self._address = "" if is_proxy else client_address(self._scope)
        self._is_counted = False

    def enter(self) -> bool:
        """Count the connection; return False if the address has as many as it may, which is half of all at most."""
        if not self._address:
            return True
        if _open[self._address] >= min(limits.at_once("connections-per-address"), connections_max() // 2):
            refused(Kind.LIMIT, self._scope)
            return False
        self._is_counted = True
        _open[self._address] += 1
        return True

    def leave(self) -> None:
        """Count the connection no longer."""
        if self._is_counted:
            self._is_counted = False
            _open[self._address] -= 1
            if not _open[self._address]:
                del _open[self._address]
