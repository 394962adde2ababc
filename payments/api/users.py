"""The operations of the HTTP API on what belongs to a user: the notifications."""

import json
from typing import Annotated, Any

from django.urls import register_converter
from ninja import Path, Query, Router
from pydantic import Field

from access.api_keys.scopes import Scope
from notifications.delivery import history
from notifications.protocol import SEQ_MAX, with_seq
from payments.api.auth import ApiKey, Called, only_user
from payments.api.errors import ErrorOut
from payments.api.schemas import ResponseBody, UserId


class _AnyText:
    """Takes any text from a path: a user id may hold slashes and line feeds."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(_AnyText, "any_text")
USER_IN_PATH = "{any_text:user_id}"
"""The place of a user id in the path of an operation."""

router = Router(by_alias=True, tags=["Users"])


class NotificationPage(ResponseBody):
    """A part of a user's feed."""

    user_id: str
    epoch: str = Field(description="The epoch of the numbers, as the WebSocket has it.")
    last_seq: int = Field(description="The number of the newest notification; 0: there is none.")
    notifications: list[dict[str, Any]] = Field(
        description="Frames as the WebSocket sends them, each with its number, oldest first."
    )
    next_after: int | None = Field(description="Send it as `after` for the next page; null on the last.")


@router.get(
    f"/users/{USER_IN_PATH}/notifications",
    auth=ApiKey(Scope.LINKS_READ, users=True),
    response={200: NotificationPage, **dict.fromkeys((401, 403, 422, 503), ErrorOut)},
    summary="Read a user's notifications",
)
def read_notifications(
    request: Called,
    *,
    user_id: Annotated[UserId, Path()],
    after: Annotated[int, Query(ge=0, le=SEQ_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> NotificationPage:
    """Return the notifications that are kept, from the one after a number on. The sockets still get each of them.

    Scope: `links:read`; a user's token reads the user's own.
    """
    only_user(request.auth, asked=user_id)
    feed = history.read_states(user_ids=[user_id])[user_id]
    # One row more than is shown says whether there is a next page.
    rows = history.read_after(user_id=user_id, seq=after, limit=limit + 1, epoch=feed.epoch)
    page = rows[:limit]
    return NotificationPage(
        user_id=user_id,
        epoch=feed.epoch,
        last_seq=feed.newest,
        notifications=[json.loads(with_seq(frame, seq)) for seq, frame in page],
        next_after=page[-1][0] if len(rows) > limit else None,
    )
