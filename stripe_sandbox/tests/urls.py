from django.urls import include, path

urlpatterns = [path("", include("stripe_sandbox.urls"))]
