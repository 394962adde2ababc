from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from payments.api import api
from payments.sandbox import api as sandbox
from payments_project import health

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("", include("payments.pages")),
]

if settings.STRIPE_SANDBOX:
    urlpatterns += [
        path("v1/", include("payments.sandbox.urls")),
        re_path("^v2/", sandbox.serve()),
        path("sandbox/", include("payments.sandbox.pages")),
    ]
