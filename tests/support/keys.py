"""API keys and users' tokens for the servers under test."""

import uuid
from datetime import UTC, datetime, timedelta

import jwt

from access.api_keys import key_text

TOKEN_SECRET = "a-secret-of-tokens-for-tests-0123456789"


def grant(server, *scopes, name=None):
    """Put a key into a server's database; return its name, and it as a header."""
    name, text = name or f"key-{uuid.uuid4().hex}", key_text.make()
    # Into the table itself: a command of manage.py takes a second and more to start.
    server.database.execute(
        "INSERT INTO access_apikey (name, key_id, digest, scopes, created_at, replaced_by)"
        " VALUES (%s, %s, %s, %s, %s, '')",
        name,
        text.key_id,
        key_text.digest(text.secret),
        " ".join(scopes),
        str(datetime.now(UTC)),
    )
    return name, {"Authorization": f"Bearer {text}"}


def token(user_id, *, secret=TOKEN_SECRET, **claims):
    """Return a user's own token as a header."""
    lives_until = datetime.now(UTC) + timedelta(minutes=5)
    text = jwt.encode({"sub": user_id, "exp": lives_until} | claims, secret, algorithm="HS256")
    return {"Authorization": f"Bearer {text}"}
