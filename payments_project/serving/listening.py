"""Open the sockets that `serve` accepts connections on, or adopt one that a process manager passes."""

import errno
import os
import socket
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

from django.core.management.base import CommandError

from payments_project.serving.limits import BACKLOG

EVERY_IPV6_ADDRESS = "::"
_NOT_HERE = {
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
    errno.EINVAL,
}  # the last of fe80::1, which needs an interface
_HOSTS = "Set HOST to localhost, to an address of this machine, or to 0.0.0.0 for all of them."

_CURES = {
    errno.EADDRINUSE: "Set PORT to a free port.",
    errno.EACCES: "Set PORT to 1024 or more, or allow this user to listen on it.",
}


def listen(*, host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on the addresses of `host` that this machine has.

    `localhost` is 127.0.0.1 and ::1, which containers often lack. `::` is every address, of IPv4 too. Raises
    CommandError.
    """
    with ExitStack() as opened:
        sockets = []
        for family, address in _addresses(host, port):
            if _is_of_many(address[0]):
                continue
            try:
                sock = _open(family, address)
            except OSError as error:
                if error.errno in _NOT_HERE:
                    continue
                raise _refusal(f"{host}:{port}", error) from None
            sockets.append(opened.enter_context(sock))
        if not sockets:
            raise CommandError(f"HOST is {host}, which is no address of this machine. {_HOSTS}")
        opened.pop_all()
    return sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise CommandError(f"HOST is {host}, which is no known name. {_HOSTS}") from None
    # /etc/hosts may name an address twice
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _is_of_many(address: str) -> bool:
    """Return whether an address is that of many machines at once: it can be listened on, and never be reached."""
    ip = ip_address(address)
    return ip.is_multicast or str(ip) == "255.255.255.255"


def _open(family: socket.AddressFamily, address: Any) -> socket.socket:
    dualstack = address[0] == EVERY_IPV6_ADDRESS and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=dualstack)


def _refusal(where: str, error: OSError) -> CommandError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CommandError(f"Cannot listen on {where}: {reason}. {_CURES.get(error.errno or 0, _HOSTS)}")


def adopt(fd: int) -> socket.socket:
    """Return the listening socket that was passed to this process. Raises CommandError."""
    try:
        sock = socket.socket(fileno=os.dup(fd))
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError  # noqa: TRY301 refused below, like a closed one
    except OSError:
        message = (
            f"File descriptor {fd} is no listening socket. Let a process manager pass one, or leave out --fd."
        )
        raise CommandError(message) from None
    return sock
