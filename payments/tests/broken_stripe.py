"""A server in Stripe's place that answers as a test asks: what the sandbox, which works, never does."""

import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


def error(message, type_="api_error"):
    return {"error": {"message": message, "type": type_}}


@contextmanager
def answering(answer):
    """Serve `answer(method, path)`, which returns a status and a body for JSON; yield the server's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self.command, self.path)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Stripe-Should-Retry", "false")  # else the client waits between its tries
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer  # noqa: N815 the standard library's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Call:
    method: str
    path: str
    headers: dict = field(repr=False)


@contextmanager
def in_front_of(url, interfere):
    """Serve what `url` serves, but for what `interfere(call)` says; yield the server's URL and the calls that came.

    None: nothing is amiss. "lost": the call is carried out, and the connection cut in place of an answer. Bytes: they
    are the whole answer, and nothing is carried out. A function: it gets the socket to answer on.
    """
    calls = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            calls.append(call := Call(self.command, self.path, dict(self.headers)))
            amiss = interfere(call)
            self.close_connection = True
            if amiss is None or amiss == "lost":
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
                answer = httpx.request(self.command, url + self.path, headers=headers, content=body)
                amiss = amiss or raw(answer.status_code, answer.content)
            if callable(amiss):
                amiss(self.connection)
            elif amiss != "lost":
                self.wfile.write(amiss)

        do_GET = do_POST = _answer  # noqa: N815 the standard library's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.handle_error = lambda *_: None  # the client went away
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def raw(status, body, **headers):
    """Return an answer as bytes; `body` is bytes, or becomes JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} As told", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += ["Connection: close", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def silent(connection):
    """Say nothing until the client goes away."""
    connection.settimeout(30)
    while connection.recv(4096):
        pass


def trickling(connection):
    """Send an answer byte by byte until the client goes away."""
    gone = threading.Event()
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(300):
            connection.sendall(b" ")
            gone.wait(0.1)
    except OSError:
        connection.shutdown(socket.SHUT_RDWR)
