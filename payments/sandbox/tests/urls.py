from django.urls import include, path, re_path

from payments.sandbox import api

urlpatterns = [path("v1/", include("payments.sandbox.urls")), re_path("^v2/", api.serve())]
