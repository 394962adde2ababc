"""Make, rotate, expire and revoke API keys. A key is returned by what makes it, and never again."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from access.api_keys import key_text
from access.api_keys.scopes import Scope
from access.models import NAME_MAX_LENGTH, ApiKey

OVERLAP_DEFAULT = timedelta(days=1)
"""The time for which a replaced key goes on working, so that callers can change to the new one without a pause."""
OVERLAP_MOST = timedelta(days=90)


class RefusedError(Exception):
    """An action is refused for this key. The message says what to do instead."""


def create(
    *, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
) -> tuple[ApiKey, key_text.KeyText]:
    """Make a key; return its row, and the key to show once. Raises RefusedError."""
    name = check_name(name)
    rights = frozenset(scopes)
    if not rights:
        raise RefusedError(f"Give the key one scope or more of: {', '.join(Scope)}.")
    _check_future(expires_at)
    try:
        # In a block of its own: after an error PostgreSQL refuses all further statements of the caller's transaction.
        with transaction.atomic():
            return _insert(name=name, scopes=_joined(rights), expires_at=expires_at)
    except IntegrityError:
        raise RefusedError(
            f"There is a key {name!r} already: choose another name, or rotate that one. A name stays taken after its "
            "key was revoked, because it stands on payments."
        ) from None


def check_name(name: str) -> str:
    """Return the name without space around it. Raises RefusedError."""
    name = name.strip()
    # API_KEYS[1] is the name of a key of the setting, and `find` takes what begins with the prefix for an id.
    is_plain = name.isprintable() and not set("[]") & set(name) and not name.startswith(key_text.PREFIX)
    if not (name and is_plain and len(name) <= NAME_MAX_LENGTH):
        raise RefusedError(
            f"Choose a name of 1 to {NAME_MAX_LENGTH} printable characters without [ and ], that does not begin with "
            f"{key_text.PREFIX}: say which program uses the key, such as 'ride backend'."
        )
    return name


def find(which: str) -> ApiKey:
    """Return the key with this id (`pns_…`), or the current one with this name. Raises RefusedError."""
    if which.startswith(key_text.PREFIX):
        key_id = which.removeprefix(key_text.PREFIX).partition("_")[0]
        found = ApiKey.objects.filter(key_id=key_id).first()
        shown = f"{key_text.PREFIX}{key_id[:16]}"  # the rest may be a secret
    else:
        found, shown = ApiKey.objects.filter(name=which, replaced_by="").first(), repr(which)
    if found is None:
        raise RefusedError(f"There is no key {shown}. `manage.py api_key list` shows the names and ids.")
    return found


def problem() -> str:
    """Return why no program can call the API, in a sentence or two; empty if one can."""
    is_open = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    if settings.API_KEYS or ApiKey.objects.filter(is_open, revoked_at=None).exists():
        return ""
    return "No backend can ask for a payment, because there is no API key. Make one with `manage.py api_key create`."


@transaction.atomic
def rotate(
    key: ApiKey, *, overlap: timedelta = OVERLAP_DEFAULT, expires_at: datetime | None = None
) -> tuple[ApiKey, key_text.KeyText]:
    """Make a key with the same name and scopes, and let the old one end after `overlap`. Return as `create` does.

    Of several at once the first rotates the key, and the others are refused. A revoked key stays revoked.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MOST:
        raise RefusedError(f"Let the old key work on for 0 to {OVERLAP_MOST.days} days.")
    _check_future(expires_at)
    key = _locked(key)
    if key.replaced_by:
        raise RefusedError(f"{key} is replaced by pns_{key.replaced_by} already: rotate that one.")
    text = key_text.make()
    end = timezone.now() + overlap
    key.replaced_by = text.key_id
    if not key.revoked_at:
        key.expires_at = min(key.expires_at or end, end)  # an overlap prolongs no key that ends sooner
    key.save(update_fields=["replaced_by", "expires_at"])  # first, because one current key has the name
    return _insert(name=key.name, scopes=key.scopes, expires_at=expires_at, text=text)


@transaction.atomic
def expire(key: ApiKey, *, at: datetime | None) -> ApiKey:
    """Let a key end at a time in the future; None: it no longer expires. Raises RefusedError."""
    _check_future(at)
    key = _locked(key)
    if key.revoked_at is not None:
        raise RefusedError(f"{key} is revoked, for good: rotate it to get another one.")
    if at is None and key.replaced_by:
        raise RefusedError(f"{key} is replaced by pns_{key.replaced_by}: give it a time at which it ends.")
    key.expires_at = at
    key.save(update_fields=["expires_at"])
    return key


@transaction.atomic
def revoke(key: ApiKey, *, with_replaced: bool = False) -> list[ApiKey]:
    """Refuse a key from now on, for good; `with_replaced`: and all others with its name. Return those that it ended.

    Raises RefusedError if there is nothing left to revoke.
    """
    wanted = Q(name=key.name) if with_replaced else Q(pk=key.pk)
    # In one order, so that two that revoke the same keys cannot deadlock.
    locked = ApiKey.objects.select_for_update(no_key=True).filter(wanted, revoked_at=None).order_by("pk")
    revoked = list(locked)
    if not revoked:
        raise RefusedError(f"{key} is revoked already.")
    for each in revoked:
        each.revoked_at = timezone.now()
        each.save(update_fields=["revoked_at"])
    return revoked


def _insert(
    *, name: str, scopes: str, expires_at: datetime | None, text: key_text.KeyText | None = None
) -> tuple[ApiKey, key_text.KeyText]:
    text = text or key_text.make()
    digest = key_text.digest(text.secret)
    key = ApiKey.objects.create(
        name=name, key_id=text.key_id, digest=digest, scopes=scopes, expires_at=expires_at
    )
    return key, text


def _locked(key: ApiKey) -> ApiKey:
    return ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)


def _joined(scopes: frozenset[Scope]) -> str:
    return " ".join(scope.value for scope in Scope if scope in scopes)


def _check_future(at: datetime | None) -> None:
    if at is not None and at <= timezone.now():
        raise RefusedError("Choose a time in the future. To end a key at once, revoke it.")
