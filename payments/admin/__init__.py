"""Staff look into payments and webhook events, and apply events again. Nobody edits money by hand."""

from payments.admin import payment, webhook_event

__all__ = ["payment", "webhook_event"]
