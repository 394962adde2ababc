"""Operations of the HTTP API on a user's connections: mint a token, and close all of them."""

from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Body, Path, Router
from ninja import Status as Response
from pydantic import Field

from access.api_keys.scopes import Scope
from notifications import disconnect
from notifications.auth import tokens
from payments.api.auth import ApiKey
from payments.api.errors import ErrorOut, Problem
from payments.api.schemas import RequestBody, ResponseBody, UserId
from payments.api.users import USER_IN_PATH

router = Router(by_alias=True, tags=["Users"], auth=ApiKey(Scope.TOKENS_MINT))
_User = Annotated[UserId, Path(description="The user id, percent-encoded.")]
_ERRORS: dict[int, Any] = dict.fromkeys((401, 403, 422, 503), ErrorOut)


class NewToken(RequestBody):
    """A token to mint."""

    expires_in: int | None = Field(
        default=None,
        ge=1,
        le=settings.NOTIFICATIONS_TOKEN_MAX_SECONDS,
        strict=True,
        description="For how many seconds it is good. Default: an hour.",
    )


class TokenOut(ResponseBody):
    """A token."""

    token: str = Field(description="Goes into `register`.")
    expires_at: datetime = Field(
        description="From then on it is refused, and a connection with it is closed."
    )


@router.post(
    f"/users/{USER_IN_PATH}/token",
    response={200: TokenOut, 409: ErrorOut, **_ERRORS},
    summary="Mint a user's token",
)
def mint_token(
    request: HttpRequest,  # noqa: ARG001 ninja passes it
    user_id: _User,
    body: Annotated[NewToken | None, Body()] = None,
) -> TokenOut | Response[ErrorOut]:
    """Sign a token with which the user's client registers on the WebSocket. Any user id will do. Scope: `tokens:mint`."""
    try:
        minted = tokens.mint(user_id=user_id, seconds=body.expires_in if body else None)
    except tokens.NoSecretError as error:
        return Response(409, ErrorOut(error=Problem(code="tokens_not_minted", message=str(error))))
    return TokenOut(token=minted.token, expires_at=minted.expires_at)


@router.post(
    f"/users/{USER_IN_PATH}/disconnect",
    response={204: None, **_ERRORS},
    summary="Close a user's connections",
)
def disconnect_user(request: HttpRequest, user_id: _User) -> Response[None]:  # noqa: ARG001 ninja passes it
    """Close the user's WebSocket connections with 4401, in every process. Scope: `tokens:mint`.

    The answer is the same if there are none.
    """
    disconnect.disconnect(user_id=user_id)
    return Response(204, None)
