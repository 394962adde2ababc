"""Responses of the API, before they become HTTP responses."""

import json
from dataclasses import dataclass
from typing import Any, Self

from stripe_sandbox.errors import ApiError


@dataclass(frozen=True, kw_only=True)
class ApiResponse:
    """A status, a JSON body, and the id of the request that they answer."""

    status: int
    body: str
    request_id: str

    @classmethod
    def of(cls, rendered: dict[str, Any], *, request_id: str, status: int = 200) -> Self:
        """Return the response with an object."""
        return cls(status=status, body=json.dumps(rendered, indent=2), request_id=request_id)

    @classmethod
    def refusal(cls, error: ApiError, *, request_id: str) -> Self:
        """Return the response with an error."""
        return cls.of(error.body(request_id=request_id), request_id=request_id, status=error.status)

    @classmethod
    def failure(cls, *, request_id: str) -> Self:
        """Return the response 500."""
        error = ApiError(f"An error happened in the sandbox ({request_id}).", status=500, type_="api_error")
        return cls.refusal(error, request_id=request_id)
