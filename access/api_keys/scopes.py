"""The rights that an API key can have."""

from django.db.models import TextChoices


class Scope(TextChoices):
    """A right of an API key. Each operation of the API asks for one."""

    PAYMENTS_WRITE = "payments:write", "create and cancel payments"
    PAYMENTS_READ = "payments:read", "read payments, without their Checkout links"
    LINKS_READ = "links:read", "read Checkout links and users' notifications"
    REFUNDS_WRITE = "refunds:write", "refund payments"
    TOKENS_MINT = "tokens:mint", "make users' tokens"
    METRICS_READ = "metrics:read", "read the metrics"


ALL = frozenset(Scope)


def read(text: str) -> frozenset[Scope]:
    """Return the scopes of a key, as they are stored. One that this version does not know gives no right."""
    return frozenset(scope for scope in Scope if scope in text.split())
