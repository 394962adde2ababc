"""One worker, on the socket that it inherits: `uvicorn --fd $LISTEN_FD`, which would take the socket for a Unix one."""

import os
import socket

import uvicorn

config = uvicorn.Config(
    "benchmarks.peers.fastapi_peer.app:app",
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
    ws_per_message_deflate=False,  # small frames: a compressor for each connection costs more than it saves
    timeout_graceful_shutdown=5,
)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(os.environ["LISTEN_FD"]))])
