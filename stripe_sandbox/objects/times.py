from datetime import datetime


def seconds(moment: datetime) -> int:
    """Return a time as Stripe writes it: whole seconds since 1970, UTC."""
    return int(moment.timestamp())
