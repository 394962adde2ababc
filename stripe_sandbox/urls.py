"""URLs of the sandbox. A project that installs it includes them at its root."""

from django.urls import include, path, re_path

from stripe_sandbox.api.views import serve

urlpatterns = [
    path("v1/", include("stripe_sandbox.api.urls")),
    re_path("^v2/", serve()),
    path("sandbox/", include("stripe_sandbox.pages.urls")),
]
