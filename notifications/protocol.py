"""The frames of the socket: what clients may say, and the text of what they are told. No I/O.

The frames and their order of keys are those of the WebSocket client guide.
A user id is any text that can be stored and hashed.
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
    """Why the service closes a connection. Daphne lets an application send no codes but 1000 and 3000 to 4999."""

    UNAUTHORIZED = 4401
    """Not authorised for the user id. Get a new token, then connect again."""
    REGISTRATION_TIMEOUT = 4408
    """Did not register in time. Connect again and register."""
    REPLACED = 4409
    """Replaced by a newer connection of the same user. Do not connect again by yourself."""
    GOING_AWAY = 4412
    """The server goes away, and others are there, or the database has lost numbers. Connect again after a short
    random wait."""
    TOO_SLOW = 4413
    """The client did not read what it was sent. Connect again."""
    TOO_MANY = 4429
    """The client sent more than it waited to be answered. Connect again, and send less."""


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
    """A client asks whether the service is there."""

    type: Literal["ping"]


_MESSAGE: TypeAdapter[Register | Ping] = TypeAdapter(Annotated[Register | Ping, Field(discriminator="type")])


def parse(text: str | None) -> Register | Ping | None:
    """Return what a client said, or None where it is no valid message. A binary frame has no text."""
    if text is None or len(text) > MESSAGE_MAX_BYTES:
        return None
    if len(text.encode(errors="replace")) > MESSAGE_MAX_BYTES:
        return None
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError:
        return None


def encode(frame: Mapping[str, object]) -> str:
    """Return the compact JSON text of a frame, keys in their order, in ASCII so that any text can be stored.

    Raises TypeError or ValueError where a value has no JSON form.
    """
    return json.dumps(dict(frame), separators=(",", ":"), allow_nan=False)


def with_seq(frame: str, seq: int) -> str:
    """Return a stored frame with its number as the last key. The text is not parsed: this runs for each socket."""
    return f'{frame[:-1]},"seq":{seq}}}'


def registration_success(*, user_id: str) -> str:
    return encode(
        {
            "type": "registration_success",
            "message": "Successfully registered for payment notifications",
            "userId": user_id,
        }
    )


def resumption_success(*, user_id: str, newest: int, resumed: bool, epoch: str) -> str:
    """Return the answer to a client that sent `lastSeq`.

    It has the feed's newest number, whether the gap follows, and the epoch of the numbers.
    """
    text = registration_success(user_id=user_id)
    flag = "true" if resumed else "false"
    return f'{text[:-1]},"lastSeq":{newest},"resumed":{flag},"epoch":{json.dumps(epoch)}}}'


def error(*, message: str, code: str) -> str:
    """Return an error with a cause of its own. `code` is for programs, `message` for people."""
    return encode({"type": "error", "message": message, "code": code})


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
