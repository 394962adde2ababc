"""Route WebSocket paths to the consumer; refuse all others."""

from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from django.urls import re_path

from notifications.consumers import NotificationConsumer


async def refuse(scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001 ASGI's
    """Close before accepting, which servers turn into HTTP 403. Without a route Channels would raise."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": None})


# Channels routes ASGI applications with Django's patterns, whose types expect views.
_consumer: Any = NotificationConsumer.as_asgi()
_refuse: Any = refuse
# \Z, because $ would also match before a newline, which a client can write as %0A.
websocket_urlpatterns: list[Any] = [re_path(r"^basic/ws/?\Z", _consumer), re_path(r"", _refuse)]
