from django.urls import path

from . import views

urlpatterns = [
    path("healthz", views.healthz),
    path("webhooks/stripe/", views.webhook),
    path("api/payments", views.create_payment),
]
