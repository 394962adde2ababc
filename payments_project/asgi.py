"""Build the ASGI application. It needs no particular server and no lifespan."""

import asyncio
import os
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
django.setup(set_prefix=False)  # before anything imports models; each request sets its own prefix

from notifications.fanout import publish  # noqa: E402
from notifications.routing import websocket_urlpatterns  # noqa: E402
from payments.webhooks import endpoint  # noqa: E402
from payments_project.checks import refuse_bad_settings  # noqa: E402
from payments_project.checks.known_login import refuse_known_login  # noqa: E402
from payments_project.handler import Handler  # noqa: E402
from payments_project.middleware.bodies import Bodies  # noqa: E402
from payments_project.middleware.connections import Connections  # noqa: E402
from payments_project.middleware.headers import SafeHeaders  # noqa: E402
from payments_project.middleware.hosts import KnownHosts, is_known  # noqa: E402
from payments_project.middleware.origins import AllowedOrigins  # noqa: E402
from payments_project.middleware.prefix import Prefixed, path_below  # noqa: E402
from payments_project.middleware.static_files import StaticFiles  # noqa: E402
from payments_project.middleware.this_machine import ThisMachineAlone  # noqa: E402

if settings.STRIPE_SANDBOX:
    from stripe_sandbox.events import worker

refuse_bad_settings()
refuse_known_login()

# With DEBUG Django keeps each thread's last 9,000 statements with their values, until the thread begins a request. The
# threads of sockets, webhooks and the sandbox never begin one.
BaseDatabaseWrapper.queries_limit = 0


django_application = StaticFiles(Handler())


async def http(scope: Any, receive: Any, send: Any) -> None:
    """Pass a request to the webhook endpoint or to Django. Its notifications are published on this event loop."""
    publish.publish_on(asyncio.get_running_loop())
    is_webhook = path_below(scope) in endpoint.PATHS and is_known(scope)  # else Django names the wrong host
    application = endpoint.stripe_webhook if is_webhook else django_application
    await application(scope, receive, send)


# Refusals come first: a handshake that is refused takes no connection of its address.
sockets = KnownHosts(AllowedOrigins(Connections(URLRouter(websocket_urlpatterns))))
routes = ProtocolTypeRouter({"http": SafeHeaders(Bodies(http)), "websocket": sockets})


async def served(scope: Any, receive: Any, send: Any) -> None:
    """Serve a connection. The sandbox's threads start with the first one: a server may import this, then fork."""
    if settings.STRIPE_SANDBOX:
        worker.start()
    await routes(scope, receive, send)


application: Any = Prefixed(served)
if (settings.DEBUG or settings.STRIPE_SANDBOX) and not settings.EXPOSE_DEVELOPMENT:
    application = ThisMachineAlone(application)
