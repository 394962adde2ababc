"""Parse HTTP with httptools, within bounds, and accept no upgrade but a WebSocket."""

from typing import Any

import httptools

from payments_project.middleware.refusing import Refusal
from payments_project.serving.limits import FIELDS_MAX, HEAD_MAX_BYTES, PIECE_BYTES

MALFORMED = Refusal(400, "bad_request", "The request could not be read: send HTTP/1.1.")
HEAD_TOO_LARGE = Refusal(431, "head_too_large", "Send at most 100 header fields, and 32 KiB of them.")
NO_HOST = Refusal(400, "bad_request", "Send the header `Host` with the name of this service.")
OTHER_VERSION = Refusal(505, "version_not_supported", "Send HTTP/1.1.")
OTHER_CODING = Refusal(
    501, "coding_not_supported", "Send the body as it is, or as chunks, and not compressed."
)
NO_TUNNEL = Refusal(405, "method_not_allowed", "This is no proxy: it takes no CONNECT.")

WIRE_PER_BYTE = 8
"""Bytes on the wire for one byte of the body: a chunk of one byte takes six. Extensions and trailers take more."""


class RefusedError(Exception):
    """A request is refused while it is parsed. `refusal` is the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class RequestParser:
    """Replaces httptools.HttpRequestParser in uvicorn's protocol.

    httptools stops at each request that offers an upgrade, and assumes that it has no body. Java's clients offer `h2c`
    on every request. A server may ignore the offer (RFC 9110, section 7.8): the request is parsed again without it.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._parser = self._new_parser()
        self._is_websocket = self._is_ignored = False
        self.is_between = True
        """Whether the last request is whole and no other has begun."""
        self.is_in_head = True
        """Whether nothing has arrived of a request, or only a part of its head."""
        self._wire_bytes = self._body_bytes = self._head_bytes = self._fields = 0

    def feed_data(self, data: bytes) -> None:
        """Parse bytes, and have the protocol refuse errors. Raises httptools.HttpParserUpgrade for a WebSocket."""
        try:
            self._parse(data)
            self._wire_bytes += len(data)
            self._check_wire()
        except httptools.HttpParserUpgrade:
            raise
        except RefusedError as error:
            self._protocol.refuse(error.refusal)
        except httptools.HttpParserError as error:
            # httptools raises an error of its own from one that a callback raised.
            cause = error.__context__
            self._protocol.refuse(cause.refusal if isinstance(cause, RefusedError) else MALFORMED)

    @property
    def head_under_way(self) -> int:
        """Bytes that have arrived of a head that has not ended."""
        return self._wire_bytes if self.is_in_head and not self.is_between else 0

    def should_upgrade(self) -> bool:
        """Return whether the request opens a WebSocket."""
        return self._is_websocket

    def should_keep_alive(self) -> bool:
        """Return whether the connection may serve another request."""
        return self._parser.should_keep_alive()

    def get_http_version(self) -> str:
        """Return the request's version, such as 1.1."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """Return the request's method."""
        return self._parser.get_method()

    def on_message_begin(self) -> None:
        """Start to count a request."""
        self.is_between = False
        self.is_in_head = True
        self._is_websocket = self._is_ignored = False
        self._wire_bytes = self._body_bytes = self._head_bytes = self._fields = 0
        self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count and pass on the URL, or a part of it."""
        self._count(len(url))
        self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field, and pass it on unless it is a trailer, which is no header (RFC 9110, section 6.5.1)."""
        self._fields += 1
        self._count(len(name) + len(value) + len(b": \r\n"))
        if self.is_in_head:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass on the end of the head, unless the request has to be parsed again without its upgrade."""
        self._check_head()
        if self._parser.should_upgrade():
            if self.get_method() == b"CONNECT":
                raise RefusedError(NO_TUNNEL)
            self._is_websocket = not self._protocol.is_answering() and self._offers_websocket()
            self._is_ignored = not self._is_websocket
            if self._is_ignored:
                return
            # A length of zero may be written `00` too, which websockets would refuse.
            kept = [
                field for field in _without_upgrade(self._protocol.headers) if field[0] != b"content-length"
            ]
            self._protocol.headers[:] = [*kept, *_WEBSOCKET]
            self._protocol.url = _origin_form(self._protocol.url)
        self._protocol.on_headers_complete()
        self.is_in_head = False

    def on_body(self, body: bytes) -> None:
        """Count and pass on a part of the body."""
        self._body_bytes += len(body)
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        """Pass on the end of a request, unless it has to be parsed again."""
        if not self._is_ignored:
            self.is_between = self.is_in_head = True
            self._wire_bytes = self._body_bytes = 0
            self._protocol.on_message_complete()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        return parser

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self._is_websocket:
                    raise
                data = data[offer.args[0] :]
                head = self._head_without_upgrade()
                self._parser = self._new_parser()
                self._parser.feed_data(head)
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        version = self.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.get_method(), self._protocol.url, version)]
        lines += [b"%s: %s" % field for field in _without_upgrade(self._protocol.headers)]
        return b"\r\n".join([*lines, b"", b""])

    def _offers_websocket(self) -> bool:
        """Return whether a request with an upgrade can open a WebSocket: RFC 6455, section 4.1, and no body."""
        fields = dict(self._protocol.headers)
        has_body = b"transfer-encoding" in fields or fields.get(b"content-length", b"").strip(b"0") != b""
        is_right = self.get_method() == b"GET" and self.get_http_version() == "1.1" and not has_body
        return is_right and b"websocket" in _tokens(self._protocol.headers, b"upgrade")

    def _check_head(self) -> None:
        """Refuse what HTTP/1.1 does not allow, or what would be misread (RFC 9112, sections 2.3, 3.2 and 6.1)."""
        version, fields = self.get_http_version(), dict(self._protocol.headers)
        if version not in {"1.0", "1.1"}:
            raise RefusedError(OTHER_VERSION)
        if version == "1.1" and b"host" not in fields:
            raise RefusedError(NO_HOST)
        if b"transfer-encoding" in fields:
            codings = _tokens(self._protocol.headers, b"transfer-encoding")
            if codings != [b"chunked"]:
                raise RefusedError(OTHER_CODING)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES or self._fields > FIELDS_MAX:
            raise RefusedError(HEAD_TOO_LARGE)

    def _check_wire(self) -> None:
        """Refuse bytes that httptools still buffers: a line without end, or chunks with next to no content."""
        if self.is_in_head and self._wire_bytes > HEAD_MAX_BYTES + PIECE_BYTES:
            raise RefusedError(HEAD_TOO_LARGE)
        if self._wire_bytes > 2 * HEAD_MAX_BYTES + WIRE_PER_BYTE * self._body_bytes:
            raise RefusedError(MALFORMED)


_WEBSOCKET = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))


def _tokens(fields: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [token.strip().lower() for name, value in fields if name == wanted for token in value.split(b",")]


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of a request's target, which a proxy may send whole (RFC 9112, section 3.2.2)."""
    parsed = httptools.parse_url(target)
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")


def _without_upgrade(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return header fields without the offer of an upgrade; other tokens of `Connection` are kept."""
    kept = [field for field in fields if field[0] not in {b"upgrade", b"connection"}]
    rest = [token for token in _tokens(fields, b"connection") if token != b"upgrade"]
    return [*kept, (b"connection", b", ".join(rest))] if rest else kept
