"""What may be a user id: any text that can be stored and hashed."""

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
