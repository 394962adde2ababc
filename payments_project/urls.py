from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from payments.api.endpoints import api
from payments_project import health
from stripe_sandbox.api import views as sandbox

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("", include("payments.views")),
]

if settings.STRIPE_SANDBOX:
    urlpatterns += [
        path("v1/", include("stripe_sandbox.urls")),
        re_path("^v2/", sandbox.serve()),
        path("sandbox/", include("stripe_sandbox.pages.views")),
    ]
