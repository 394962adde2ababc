"""The token with which a user registers at the two peers in Python."""

import os
from typing import Any

import jwt

SECRET = os.environ["TOKEN_SECRET"]


def user_of(message: dict[str, Any]) -> str:
    """Return the user of a `register` frame. Raises jwt.InvalidTokenError for a token that is not that user's."""
    claims = jwt.decode(message["token"], SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    if claims["sub"] != message["userId"]:
        raise jwt.InvalidTokenError
    return str(claims["sub"])
