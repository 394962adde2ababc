"""Route HTTP paths. Those of the WebSocket are in notifications/routing.py."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from payments.api.endpoints import api
from payments_project import demo, health, users

api.add_router("", users.router)

urlpatterns = [
    path("", demo.demo, name="demo"),
    path("favicon.ico", demo.favicon),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("", include("payments.urls")),
]

if settings.STRIPE_SANDBOX:
    urlpatterns += [path("", include("stripe_sandbox.urls"))]
