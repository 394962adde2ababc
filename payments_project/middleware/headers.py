"""Give every answer the headers by which browsers keep a page to itself.

They are added around Django, so that static files, webhooks and refused requests have them too.
Sources: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/permissions-policy/ and RFC 6797.
"""

from typing import Any

from django.conf import settings

from payments_project.middleware.prefix import path_below

_OUTSIDE = "frame-ancestors 'none'; base-uri 'none'"
NOTHING = f"default-src 'none'; form-action 'none'; {_OUTSIDE}"
"""The policy of all that is no page: JSON, plain text and files. A browser that shows it runs and loads nothing."""
_OWN = f"default-src 'none'; connect-src 'self'; font-src 'self'; img-src 'self' data:; manifest-src 'self'; {_OUTSIDE}"
PAGE = f"{_OWN}; script-src 'self'; style-src 'self'; form-action 'self'"
_PAY = f"{_OWN}; script-src 'self'; style-src 'self'; form-action 'self' https: http:"
"""Its form redirects to the success URL, which any host may serve, and browsers check redirects of forms."""
_SWAGGER = f"{_OWN}; script-src 'self'; style-src 'self' 'unsafe-inline'; form-action 'self'"
"""Swagger UI sets styles of elements."""
_ADMIN = f"{_OWN}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; form-action 'self'"
"""Alpine, of django-unfold, compiles the expressions in its pages, and the pages set their colours inline."""
_TECHNICAL = (
    f"{_OWN}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; form-action 'self'"
)
"""Django's own error pages, which exist with DEBUG only, hold their script and style."""

_BY_PATH = (
    ("/api/docs", _SWAGGER),
    ("/admin/", _ADMIN),
    ("/sandbox/pay/", _PAY),
    *((path, NOTHING) for path in ("/api/", "/webhooks/", "/static/", "/v1/", "/v2/")),
    ("", PAGE),
)
"""Policies by how the paths of their requests begin. The first that fits is taken."""
_TECHNICAL_STATUSES = (400, 403, 404, 500)

_UNUSED = (
    "accelerometer, autoplay, camera, display-capture, encrypted-media, geolocation, gyroscope, hid, magnetometer, "
    "microphone, midi, payment, picture-in-picture, publickey-credentials-create, screen-wake-lock, serial, usb"
)
_PERMISSIONS = ", ".join(f"{feature}=()" for feature in _UNUSED.split(", "))

Fields = list[tuple[bytes, bytes]]
NOT_STORED = (b"cache-control", b"no-store")
"""Answers of the API have links and what only one caller may read: nothing between may keep them.

Without it, a cache may choose to keep some errors too, such as 404 and 405 (RFC 9110, section 15.1).
"""


def safe_fields(policy: str = NOTHING) -> Fields:
    """Return the header fields that belong to an answer with this Content-Security-Policy."""
    fields = {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": _PERMISSIONS,
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    if settings.SECURE_HSTS_SECONDS:
        fields["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
    return [(name.encode(), value.encode()) for name, value in fields.items()]


class SafeHeaders:
    """ASGI middleware for HTTP: adds to each answer those of `safe_fields` that it has not got, and the API's NOT_STORED."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        path = path_below(scope)
        policy = next(policy for beginning, policy in _BY_PATH if path.startswith(beginning))
        more = [NOT_STORED] if path.startswith("/api/") else []

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": _completed(message, policy, more)}
            await send(message)

        await self._application(scope, receive, sent)


def _completed(message: Any, policy: str, more: Fields) -> Fields:
    fields = [(name, value) for name, value in message.get("headers", ())]
    there = {name.lower(): value for name, value in fields}
    is_html = there.get(b"content-type", b"").startswith(b"text/html")
    if not is_html and policy == PAGE:  # such as a redirect
        policy = NOTHING
    elif is_html and settings.DEBUG and message["status"] in _TECHNICAL_STATUSES:
        policy = _TECHNICAL
    return fields + [(name, value) for name, value in [*more, *safe_fields(policy)] if name not in there]
