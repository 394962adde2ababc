"""Read which users are logged in to Django, for many sessions with two queries."""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare


def read(keys: Collection[str]) -> dict[str, str]:
    """Return the user id of each of these sessions that a user is logged in with. The others are left out.

    The user id is the user's `get_username()`. A session counts as in django.contrib.auth: it has not expired, its
    user is active, and the password is the one that it was begun with.
    """
    sessions = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    contents = {session.session_key: session.get_decoded() for session in sessions}
    owners = {key: owner for key, content in contents.items() if (owner := _owner(content)) is not None}
    users = get_user_model()._default_manager.filter(is_active=True).in_bulk(set(owners.values()))  # noqa: SLF001 Django documents it
    return {
        key: users[owner].get_username()
        for key, owner in owners.items()
        if owner in users and _is_of_password(contents[key], users[owner])
    }


def _owner(content: dict[str, Any]) -> Any:
    """Return the primary key of the session's user, or None."""
    # As get_user() has it: a backend that was removed from the settings logs nobody in any more.
    if content.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    try:
        return get_user_model()._meta.pk.to_python(content[SESSION_KEY])  # noqa: SLF001 Django documents it
    except (KeyError, ValidationError):
        return None


def _is_of_password(content: dict[str, Any], user: Any) -> bool:
    # The fallbacks are those of SECRET_KEY_FALLBACKS: a replaced key does not log everybody out.
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(content.get(HASH_SESSION_KEY, ""), each) for each in hashes)
