"""The WebSocket paths."""

from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from django.urls import re_path

from notifications.consumers import NotificationConsumer


async def refuse(scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001 ASGI's
    """Close before accepting, which servers answer with HTTP 403. Without a route Channels would raise."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": None})


# Channels routes ASGI applications with Django's patterns, whose types expect views.
websocket_urlpatterns = [
    re_path(r"^basic/ws/?\Z", NotificationConsumer.as_asgi()),  # type: ignore[arg-type]
    re_path(r"", refuse),  # type: ignore[arg-type]
]
