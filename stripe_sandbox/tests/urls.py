from django.urls import include, path, re_path

from stripe_sandbox.api import views

urlpatterns = [path("v1/", include("stripe_sandbox.urls")), re_path("^v2/", views.serve())]
