"""Idempotency keys, as Stripe keeps them. Source: https://docs.stripe.com/api/idempotent_requests."""

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from stripe_sandbox.api.answers import Answer
from stripe_sandbox.api.form import Form
from stripe_sandbox.errors import ApiError, NotPossible
from stripe_sandbox.models import IdempotentRequest

logger = logging.getLogger(__name__)

MAX_KEY = 255
KEPT = timedelta(hours=24)
CLAIM = timedelta(seconds=60)
"""How long a request has its key to itself, should its process die before it answers."""


def answer_once(*, key: str, path: str, form: Form, request_id: str, run: Callable[[], Answer]) -> Answer:
    """Return what the first request with this key was answered, or answer this one with `run` and keep that.

    `run` works in one transaction with the keeping of its answer. Kept are its results, what is not possible,
    and crashes; a request that did not pass validation leaves its key unused. Raise ApiError: a key used with
    other parameters (400), or for a request that is still being answered (409).
    """
    held = _claim(key=key, path=path, form=form, request_id=request_id)
    if held.status is not None:
        return Answer(status=held.status, body=held.body, request_id=held.request_id)
    try:
        with transaction.atomic():
            answer = run()
            _keep(held, answer)
    except NotPossible as error:
        answer = Answer.refusal(error, request_id=request_id)
        _keep(held, answer)
    except ApiError:
        IdempotentRequest.objects.filter(pk=held.pk, request_id=request_id).delete()
        raise
    except Exception:
        logger.exception("A request to the sandbox failed: %s", request_id)
        answer = Answer.failure(request_id=request_id)
        _keep(held, answer)
    return answer


def forget_old(*, now: datetime | None = None) -> None:
    """Delete the keys that need not be kept any longer."""
    old = IdempotentRequest.objects.filter(created_at__lt=(now or timezone.now()) - KEPT)
    if old.exists():
        old.delete()


@transaction.atomic
def _claim(*, key: str, path: str, form: Form, request_id: str) -> IdempotentRequest:
    """Return the key's row: answered, or ours to answer now."""
    if len(key) > MAX_KEY:
        raise ApiError(f"Idempotency keys can have up to {MAX_KEY} characters.", type_="idempotency_error")
    now = timezone.now()
    fingerprint = hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()
    ours = {"request_id": request_id, "claimed_until": now + CLAIM}
    held, created = IdempotentRequest.objects.select_for_update().get_or_create(
        key=key, defaults={"path": path, "fingerprint": fingerprint, **ours}
    )
    if created:
        return held
    _check_same(held, path, fingerprint)
    if held.status is None:
        if held.claimed_until > now:
            raise ApiError(
                "There is currently another in-progress request using this Idempotency Key (that probably "
                f"means you submitted twice, and the other request is still going through): {key}",
                status=409,
                type_="idempotency_error",
                code="idempotency_key_in_use",
            )
        IdempotentRequest.objects.filter(pk=held.pk).update(**ours)
        held.request_id = request_id
    return held


def _check_same(held: IdempotentRequest, path: str, fingerprint: str) -> None:
    if held.fingerprint == fingerprint:
        return
    what = "with the same parameters they were first used with"
    if held.path != path:
        what = f"for the same endpoint they were first used for ('{path}' vs '{held.path}')"
    raise ApiError(
        f"Keys for idempotent requests can only be used {what}. Try using a key other than '{held.key}' if you "
        "meant to execute a different request.",
        type_="idempotency_error",
    )


def _keep(held: IdempotentRequest, answer: Answer) -> None:
    """Keep the answer with its key, unless the key was given to another request meanwhile."""
    mine = IdempotentRequest.objects.filter(pk=held.pk, request_id=answer.request_id)
    if not mine.update(status=answer.status, body=answer.body):
        raise ApiError(
            "This request took too long and its Idempotency Key has passed on to another.",
            status=409,
            type_="idempotency_error",
            code="idempotency_key_in_use",
        )
