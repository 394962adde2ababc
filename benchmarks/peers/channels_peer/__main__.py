"""One worker, on the socket that it inherits: `daphne --fd $LISTEN_FD`, without a log of each request."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.channels_peer.settings"

from daphne.cli import CommandLineInterface

CommandLineInterface().run(
    ["--fd", os.environ["LISTEN_FD"], "-v", "0", "benchmarks.peers.channels_peer.asgi:application"]
)
