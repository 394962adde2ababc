"""Parse the frames that clients send, and write the frames that the service sends. No I/O.

The frames and the order of their keys are those of the WebSocket client guide.
"""

import enum
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

MESSAGE_MAX_BYTES = 16 * 1024
"""A client has no more to say. Servers allow megabytes by default."""
SEQ_MAX = 2**63 - 1
"""The largest number that a feed can reach in the database."""
USER_ID_MAX_LENGTH = 128


class InvalidUserIdError(ValueError):
    """A user id is empty, too long, or no text that a database can hold. Give 1 to 128 characters, none NUL."""


def check_user_id(user_id: str) -> str:
    """Return the user id, or raise InvalidUserIdError."""
    if not 1 <= len(user_id) <= USER_ID_MAX_LENGTH:
        raise InvalidUserIdError(f"A user id has 1 to {USER_ID_MAX_LENGTH} characters, not {len(user_id)}.")
    if "\0" in user_id:
        raise InvalidUserIdError("A user id has no NUL character: PostgreSQL cannot store it.")
    if any("\ud800" <= character <= "\udfff" for character in user_id):
        raise InvalidUserIdError("A user id has no half of a surrogate pair: it cannot be encoded.")
    return user_id


class CloseCode(enum.IntEnum):
    """Why the service closes a connection. Daphne lets an application send only 1000 and 3000 to 4999."""

    UNAUTHORIZED = 4401
    """The client is not authorised for the user id. It gets a new token, then connects again."""
    REGISTRATION_TIMEOUT = 4408
    """The client did not register in time. It connects again and registers."""
    REPLACED = 4409
    """A newer connection of the same user replaced this one. The client does not connect again by itself."""
    GOING_AWAY = 4412
    """The process ends and others serve, or the database has lost numbers. The client connects again after a random wait
    of at most a second."""
    TOO_SLOW = 4413
    """The client did not read its frames in time. It connects again."""
    TOO_MANY = 4429
    """The client did more than it may: it sent too many frames, or registered too often. It connects again later."""


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Register(_Message):
    """A client asks for a user's notifications."""

    type: Literal["register"]
    user_id: Annotated[str, AfterValidator(check_user_id)] = Field(alias="userId")
    token: str | None = None
    last_seq: int | None = Field(default=None, alias="lastSeq", ge=0, le=SEQ_MAX)
    epoch: str | None = None

    @field_validator("token", "last_seq", "epoch", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("Leave it out, or give it a value.")
        return value


class Ping(_Message):
    """A client checks that the connection lives."""

    type: Literal["ping"]


_MESSAGE: TypeAdapter[Register | Ping] = TypeAdapter(Annotated[Register | Ping, Field(discriminator="type")])


def parse(text: str | None) -> Register | Ping | None:
    """Return a client's message, or None if it is not valid. The text of a binary frame is None."""
    # Only `manage.py serve` bounds messages by itself: under another server this is the bound.
    # Half a surrogate pair has no bytes, and would raise here without `replace`.
    if text is None or len(text.encode(errors="replace")) > MESSAGE_MAX_BYTES:
        return None
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError:
        return None


def encode(frame: Mapping[str, object]) -> str:
    """Return the compact JSON text of a frame, keys in their order, in ASCII so that any text can be stored.

    Raises TypeError or ValueError if a value has no JSON form.
    """
    # NaN and infinities are no JSON (RFC 8259, section 6): a browser's parser would refuse the frame.
    return json.dumps(dict(frame), separators=(",", ":"), allow_nan=False)


def with_seq(frame: str, seq: int) -> str:
    """Return a stored frame with its number as the last key. The text is not parsed: this runs for each socket."""
    # A stored frame has at least one key (feed._text), so a comma can follow it.
    return f'{frame[:-1]},"seq":{seq}}}'


def registration_success(*, user_id: str, **of_resuming: object) -> str:
    """Return the answer to a client that registered.

    A client that sent `lastSeq` gets `lastSeq`, the feed's newest number, `resumed`, whether everything after the
    client's number follows, and `epoch` too.
    """
    text = "Successfully registered for payment notifications"
    return encode({"type": "registration_success", "message": text, "userId": user_id} | of_resuming)


def error(*, message: str, code: str) -> str:
    """Return an error frame. `code` is for programs, `message` for people."""
    return encode({"type": "error", "message": message, "code": code})


def rate_limited(message: str, *, seconds: int) -> str:
    """Return the error frame of a client that does more than it may. `seconds`: when to try again."""
    return encode({"type": "error", "message": message, "code": "rate_limited", "retryAfter": seconds})


INVALID_MESSAGE = encode(
    {
        "type": "error",
        "message": 'Invalid message format. Send {"type": "register", "userId": "your_user_id"}',
    }
)
UNAVAILABLE = error(
    message="Registration failed for now. Please register again in a moment.", code="unavailable"
)
PONG = encode({"type": "pong"})
