"""The ASGI application. It depends on no server and on no lifespan."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
django_application = get_asgi_application()  # before anything imports models

from notifications.routing import websocket_urlpatterns  # noqa: E402
from payments.sandbox import worker  # noqa: E402

from .checks import refuse_bad_settings  # noqa: E402

refuse_bad_settings()
application = ProtocolTypeRouter({"http": django_application, "websocket": URLRouter(websocket_urlpatterns)})

if settings.STRIPE_SANDBOX:
    worker.start()
