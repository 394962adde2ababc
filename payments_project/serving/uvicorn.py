"""Serve with uvicorn."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.conf import settings

from notifications.delivery import hub
from notifications.protocol import MESSAGE_MAX_BYTES
from payments_project.serving.limits import BACKLOG, FAREWELL_SECONDS, KEEP_ALIVE_SECONDS
from payments_project.serving.process import notify_ready, raise_limit
from payments_project.serving.requests import Requests
from payments_project.serving.stopping import on_signal
from payments_project.serving.uvicorn_http import HTTPProtocol
from payments_project.serving.uvicorn_websocket import WebSocketProtocol


def serve(*, application: Any, sockets: list[socket.socket]) -> None:
    """Serve an ASGI application on listening sockets until SIGINT or SIGTERM."""
    raise_limit()
    requests = Requests(application)
    config = uvicorn.Config(
        requests,
        http=HTTPProtocol,
        ws=WebSocketProtocol,
        ws_max_size=MESSAGE_MAX_BYTES,
        ws_ping_interval=settings.WEBSOCKET_PING_SECONDS,
        ws_ping_timeout=settings.WEBSOCKET_PING_SECONDS,
        ws_per_message_deflate=False,  # our frames are small, and each connection would keep a compressor
        # The application needs none: its tasks start with the first registration.
        lifespan="off",
        # Django's LOGGING holds for uvicorn too. An access log would have the sandbox's paths, which are bearer links.
        log_config=None,
        access_log=False,
        proxy_headers=False,  # Django reads X-Forwarded-Proto, if PUBLIC_URL begins with https://
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(FAREWELL_SECONDS),
    )
    Server(config, requests).run(sockets=sockets)


class Server(uvicorn.Server):
    """uvicorn's server with a stop of our own. uvicorn's would close all WebSockets at once, with 1012."""

    def __init__(self, config: uvicorn.Config, requests: Requests) -> None:
        super().__init__(config)
        self._requests = requests

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on a signal."""
        on_signal(asyncio.get_running_loop(), self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, and notify the process manager."""
        await super().startup(sockets)
        notify_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listening sockets and drain. The server then closes what is left."""
        # No new connection comes from here on: a process manager's own copy of the socket leads to other processes.
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        await hub.drain()
        await self._requests.answered()
        await super().shutdown()
