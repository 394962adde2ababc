"""URLs of the payment page, the receipt and the control page."""

from django.urls import path

from stripe_sandbox.pages.control import control
from stripe_sandbox.pages.views import pay, receipt

urlpatterns = [
    path("", control, name="sandbox-control"),
    path("pay/<str:session_id>", pay, name="sandbox-pay"),
    path("receipt/<str:signed>", receipt, name="sandbox-receipt"),
]
