"""The admin of payments and webhook events. Staff can look, and apply events again; nobody edits money."""

from payments.admin import payment, webhook_event

__all__ = ["payment", "webhook_event"]
