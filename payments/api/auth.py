"""The API's keys."""

import secrets

from django.conf import settings
from django.http import HttpRequest
from ninja.security import HttpBearer


class ApiKey(HttpBearer):
    """A bearer token that is one of settings.API_KEYS, compared in constant time."""

    def __call__(self, request: HttpRequest) -> str | None:
        """Return the caller, or None. Unlike ninja's own, do not log a malformed header with the key in it."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.authenticate(request, token.strip()) if scheme.lower() == "bearer" else None

    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        """Return the caller, or None if no key matches. Compare with each key, so that timing says nothing."""
        matches = [secrets.compare_digest(token.encode(), key.encode()) for key in settings.API_KEYS]
        return "backend" if any(matches) else None
