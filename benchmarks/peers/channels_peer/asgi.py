from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

http = get_asgi_application()

from .consumers import PaymentConsumer  # noqa: E402 it needs Django set up

application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("basic/ws", PaymentConsumer.as_asgi())])}
)
