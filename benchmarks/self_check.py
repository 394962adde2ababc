"""Is the load generator itself the limit? It is measured against a server that does next to nothing."""

from typing import Any

from .load.client import Generator
from .services import answering

USERS = 1000
IN_FLIGHT = 24
RATE = 1600
SECONDS = 2.0
SECRET = "whsec_check"  # noqa: S105 nobody checks it


def self_check(generator: Generator) -> dict[str, Any]:
    """Return its rate in the closed loop, frames included, and how late it sends in the open loop."""
    with answering("benchmarks.trivial") as port:
        generator("aim", port=port, secret=SECRET, api_key="", token_secret="")
        generator("connect", count=USERS)
        generator("build_webhooks", first=0, count=30_000)
        closed = generator("closed_loop", in_flight=IN_FLIGHT, seconds=SECONDS)
        generator("build_webhooks", first=30_000, count=round(RATE * SECONDS * 1.2))
        paced = generator("open_loop", rate=RATE, seconds=SECONDS)
        generator("disconnect")
    return {"closed": closed, "paced": paced, "rate": RATE}
